// The client against an API that this file makes up, to force what a real one
// does seldom. Clocks are fake if time matters.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLatchkey } from '../latchkey.js'
import {
  USER, answer, createFakeAPI, createWallet, grant, login, openPage, problem, settle,
} from './harness.js'

const URL_OF_API = 'https://api.example.com'
const profile = () => answer({ user: USER, session: { id: 's1' }, preferences: {} })
const nonce = () => answer({
  message: `app.example.com wants you to sign in with your Ethereum account:\n${USER.address}\n\nSign in.\n`,
  nonce: 'n', chainIds: [1],
})
const signer = { address: USER.address, chainId: 1, sign: async () => '0x00' }
const expired = () => problem(401, 'token_expired')

/** Answers with each of these, and with the last one from then on. */
const series = (...answers) => {
  let i = 0
  return request => answers[Math.min(i++, answers.length - 1)](request)
}

/** A promise that a test settles. */
function pending() {
  const p = {}
  p.promise = new Promise((resolve, reject) => Object.assign(p, { resolve, reject }))
  return p
}

const unreachable = () => { throw new TypeError('fetch failed') }

function open(t, routes = {}, options = {}) {
  const isBearer = options.transport === 'bearer'
  const api = createFakeAPI(isBearer, {
    'GET /api/profile': profile, 'GET /auth/nonce': nonce, 'POST /auth/login': () => answer(login()),
    'POST /auth/refresh': () => answer(grant()), 'POST /auth/logout': () => new Response(null, { status: 204 }),
    'GET /thing': () => answer({}), ...routes,
  })
  const client = createLatchkey({ url: URL_OF_API, fetch: api.fetch, ...options })
  t.after(client.dispose)
  return { api, client }
}

/** Opens a page with a client that has a subscriber and is signed in. */
async function signedIn(t, routes, options) {
  const page = openPage(t)
  const { api, client } = open(t, routes, options)
  const stop = client.subscribe(() => {})
  await settle()
  await client.signIn(signer)
  await settle()
  api.requests.length = 0
  return { api, client, page, stop }
}

const useClock = t => t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-11-30') })

// --- Lost answers, offline, Retry-After ---

test('the lost answer of a refresh: it is repeated at once with the same token', async t => {
  const { api, client } = await signedIn(t, {
    'GET /thing': series(expired, () => answer({})),
    'POST /auth/refresh': series(unreachable, () => answer(grant())),
  }, { transport: 'bearer' })
  assert.equal((await client.fetch('/thing')).status, 200)
  const bodies = api.requests.filter(r => r.name === 'POST /auth/refresh').map(r => r.body)
  assert.equal(bodies.length, 2)
  assert.equal(bodies[0], bodies[1])
})

test('offline is not signed out', async t => {
  const { client } = await signedIn(t, {
    'GET /thing': expired, 'POST /auth/refresh': unreachable,
  })
  await assert.rejects(client.fetch('/thing'), { code: 'network_error', status: 0 })
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a 503 of the refresh is not signed out', async t => {
  const { client } = await signedIn(t, {
    'GET /thing': expired, 'POST /auth/refresh': () => problem(503, 'unavailable'),
  })
  await assert.rejects(client.fetch('/thing'), { code: 'unavailable', status: 503 })
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a page that loads offline asks again, and stays loading until then', async t => {
  useClock(t)
  openPage(t)
  const { api, client } = open(t, { 'GET /api/profile': series(unreachable, profile) })
  client.subscribe(() => {})
  await settle()
  assert.equal(client.getSnapshot().status, 'loading')
  t.mock.timers.tick(10_000)
  await settle()
  assert.deepEqual([client.getSnapshot().status, api.count('GET /api/profile')], ['signedIn', 2])
})

const busy = (status, code) => () => problem(status, code, {}, { 'retry-after': '3' })

for (const [name, method, first, repeated] of [
  ['a read after a 503', 'GET', busy(503, 'unavailable'), true],
  ['a read after a 429', 'GET', busy(429, 'rate_limited'), true],
  ['a change after our 429', 'POST', busy(429, 'rate_limited'), true],
  ['a change after a 503', 'POST', busy(503, 'unavailable'), false],
  ['a read without Retry-After', 'GET', () => problem(503, 'unavailable'), false],
  ['a read after an hour', 'GET', () => problem(503, 'unavailable', {}, { 'retry-after': '3600' }), false],
]) {
  test(`Retry-After: ${name} is ${repeated ? '' : 'not '}repeated`, async t => {
    useClock(t)
    const { api, client } = await signedIn(t, { [`${method} /thing`]: series(first, () => answer({})) })
    const call = client.fetch('/thing', { method })
    await settle()
    assert.equal(api.count(`${method} /thing`), 1)
    t.mock.timers.tick(3000)
    await settle()
    assert.equal(api.count(`${method} /thing`), repeated ? 2 : 1)
    assert.equal((await call).ok, repeated)
  })
}

test('Retry-After: it waits a bounded number of times', async t => {
  useClock(t)
  const { api, client } = await signedIn(t, { 'GET /thing': busy(503, 'unavailable') })
  const call = client.fetch('/thing')
  for (let i = 0; i < 5; i++) {
    await settle()
    t.mock.timers.tick(3000)
  }
  assert.equal((await call).status, 503)
  assert.equal(api.count('GET /thing'), 3)
})

test('Retry-After: an abort ends the wait', async t => {
  useClock(t)
  const { client } = await signedIn(t, { 'GET /thing': busy(503, 'unavailable') })
  const controller = new AbortController()
  const call = client.fetch('/thing', { signal: controller.signal })
  await settle()
  controller.abort()
  await assert.rejects(call, { name: 'AbortError' })
})

test('a sign-in, a step-up and a sign-out are not repeated by themselves', async t => {
  useClock(t)
  const { api, client } = await signedIn(t, {
    'POST /auth/login': series(() => answer(login()), busy(429, 'rate_limited')),
    'POST /auth/step-up': busy(429, 'rate_limited'), 'POST /auth/logout': busy(429, 'rate_limited'),
  })
  for (const act of [() => client.signIn(signer), () => client.stepUp(signer), () => client.signOut()]) {
    await assert.rejects(act(), { code: 'rate_limited' })
  }
  const posts = api.requests.map(r => r.name).filter(name => name.startsWith('POST'))
  assert.deepEqual(posts, ['POST /auth/login', 'POST /auth/step-up', 'POST /auth/logout'])
  assert.equal(client.getSnapshot().status, 'signedIn', 'a sign-out that failed is none')
})

test('after a 503 of a sign-in retry() sends the same signed message', async t => {
  openPage(t)
  const { api, client } = open(t, {
    'POST /auth/login': series(busy(503, 'unavailable'), busy(503, 'unavailable'), () => answer(login())),
  })
  let signatures = 0
  const error = await client.signIn({ ...signer, sign: async () => `0x${++signatures}` }).catch(e => e)
  const again = await error.retry().catch(e => e)
  assert.equal((await again.retry()).user.id, USER.id)
  const bodies = api.requests.filter(r => r.name === 'POST /auth/login').map(r => r.body)
  assert.equal(new Set(bodies).size, 1)
  assert.deepEqual([bodies.length, signatures], [3, 1])
})

test('other failures of a sign-in have no retry, and the next one has a new message', async t => {
  openPage(t)
  const { api, client } = open(t, { 'POST /auth/login': series(() => problem(401, 'login_failed'), () => answer(login())) })
  await client.prepare(signer)
  const error = await client.signIn(signer).catch(e => e)
  assert.equal(error.retry, undefined)
  await client.signIn(signer)
  assert.equal(api.count('GET /auth/nonce'), 2)
})

test('two wallets at the same time do not sign the same nonce', async t => {
  openPage(t)
  const { api, client } = open(t)
  await client.prepare(signer)
  const wallet = createWallet()
  wallet.sign = async () => '0x00'
  await Promise.all([client.signIn(signer), client.signIn(wallet)])
  assert.equal(api.count('GET /auth/nonce'), 2)
})

test('a message that was prepared long ago is not used', async t => {
  useClock(t)
  openPage(t)
  const { api, client } = open(t)
  await client.prepare(signer)
  t.mock.timers.tick(120_000)
  await client.signIn(signer)
  assert.equal(api.count('GET /auth/nonce'), 2)
})

// --- Decisions by code ---

test('a bare 401 decides nothing', async t => {
  useClock(t)
  const { api, client } = await signedIn(t, { 'GET /thing': () => answer({ message: 'Unauthorized' }, { status: 401 }) })
  t.mock.timers.tick(60_000)
  assert.equal((await client.fetch('/thing')).status, 401)
  assert.equal(api.count('POST /auth/refresh'), 0)
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('token_expired twice is repeated once', async t => {
  const { api, client } = await signedIn(t, { 'GET /thing': expired })
  assert.equal((await client.fetch('/thing')).status, 401)
  assert.deepEqual([api.count('GET /thing'), api.count('POST /auth/refresh')], [2, 1])
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a refused refresh does not decide: another tab may have renewed the cookies', async t => {
  const { client } = await signedIn(t, {
    'GET /thing': series(expired, () => answer({})),
    'POST /auth/refresh': () => problem(401, 'invalid_token'),
  })
  assert.equal((await client.fetch('/thing')).status, 200)
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a refused refresh and a refused call: the session is over, with the reason', async t => {
  const { client } = await signedIn(t, {
    'GET /thing': expired, 'POST /auth/refresh': () => problem(401, 'session_ended', { reason: 'idle_timeout' }),
  })
  await client.fetch('/thing')
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'idle_timeout' })
})

test('two calls that learn of the end leave its reason', async t => {
  for (const transport of ['cookie', 'bearer']) {
    const { client } = await signedIn(t, {
      'GET /thing': request => request.headers.get('authorization') || transport === 'cookie' ?
        problem(401, 'session_ended', { reason: 'revoked' }) : problem(401, 'no_credentials'),
    }, { transport })
    await Promise.all([client.fetch('/thing'), client.fetch('/thing')])
    await client.fetch('/thing')
    assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'revoked' })
    client.dispose()
  }
})

test('a late answer about an earlier session does not sign out', async t => {
  const late = pending()
  const { client } = await signedIn(t, { 'GET /thing': series(() => late.promise, () => answer({})) })
  const call = client.fetch('/thing')
  await client.signIn(signer)
  late.resolve(problem(401, 'session_ended', { reason: 'logged_out' }))
  assert.equal((await call).status, 200)
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a body that cannot be sent twice is not repeated', async t => {
  const { api, client } = await signedIn(t, { 'POST /thing': expired })
  const body = new ReadableStream({ start(c) { c.enqueue(new Uint8Array(3)); c.close() } })
  assert.equal((await client.fetch('/thing', { method: 'POST', body, duplex: 'half' })).status, 401)
  assert.deepEqual([api.count('POST /thing'), api.count('POST /auth/refresh')], [1, 1])
})

test('a Request with a body is repeated with its body', async t => {
  const { api, client } = await signedIn(t, { 'POST /thing': series(expired, () => answer({})) })
  const request = new Request(`${URL_OF_API}/thing`, { method: 'POST', body: 'text', headers: { 'x-own': '1' } })
  assert.equal((await client.fetch(request)).status, 200)
  const sent = api.requests.filter(r => r.name === 'POST /thing')
  assert.deepEqual(sent.map(r => [r.body, r.request.headers.get('x-own')]), [['text', '1'], ['text', '1']])
})

// --- Origins ---

for (const [name, options, origin, hasCredentials] of [
  ['the API', {}, URL_OF_API, true],
  ['a guarded origin', { guarded: ['https://orders.example.com/v1'] }, 'https://orders.example.com', true],
  ['a foreign origin', { guarded: ['https://orders.example.com'] }, 'https://evil.example', false],
  ['an origin that begins alike', {}, `${URL_OF_API}.evil.example`, false],
  ['another port', {}, `${URL_OF_API}:8443`, false],
]) {
  for (const transport of ['cookie', 'bearer']) {
    test(`${name} gets ${hasCredentials ? 'the' : 'no'} credentials of ${transport}`, async t => {
      const { api, client } = await signedIn(t, {}, { transport, deviceId: 'd1', ...options })
      await client.fetch(`${origin}/thing`)
      const { request } = api.requests.at(-1)
      const isCookie = transport === 'cookie'
      assert.equal(request.credentials, !hasCredentials ? 'same-origin' : isCookie ? 'include' : 'omit')
      assert.equal(!!request.headers.get('authorization'), hasCredentials && !isCookie)
      assert.equal(request.headers.get('x-device-id'), hasCredentials ? 'd1' : null)
    })
  }
}

test('no redirect is followed with a token, a device id or a secret body', async t => {
  const bearer = await signedIn(t, { 'GET /thing': series(expired, () => answer({})) }, { transport: 'bearer' })
  await bearer.client.fetch('/thing', { redirect: 'follow' })
  await bearer.client.signOut()
  const withDevice = open(t, {}, { deviceId: 'd1' })
  await withDevice.client.fetch('/thing')
  const withCookies = open(t)
  await withCookies.client.signOut()
  const requests = [bearer, withDevice, withCookies].flatMap(({ api }) => api.requests)
  assert.equal(requests.length, 6)
  assert.deepEqual(requests.filter(r => r.request.redirect !== 'error'), [])
})

test('tokens are never in a URL', async t => {
  const { api, client } = await signedIn(t, { 'GET /thing': series(expired, () => answer({})) }, { transport: 'bearer' })
  await client.fetch('/thing')
  await client.signOut()
  assert.deepEqual(api.requests.filter(r => /lk[ar]_/.test(r.request.url)), [])
})

test('the grant of a sign-in holds no token', async t => {
  openPage(t)
  const { client } = open(t, {}, { transport: 'bearer' })
  assert.doesNotMatch(JSON.stringify(await client.signIn(signer)), /lk[ar]_/)
  assert.doesNotMatch(JSON.stringify(client.getSnapshot()), /lk[ar]_/)
})

// --- Guarded APIs ---

const ORDERS = 'https://orders.example.com'
const denial = (status, body) => () => answer(body, { status })

for (const [name, deny] of [
  ['401', denial(401, { message: 'Unauthorized' })],
  ['403', denial(403, { message: 'Forbidden' })],
  ['403 of a REST API', denial(403, { Message: 'User is not authorized to access this resource' })],
]) {
  test(`guarded: a bare ${name} is refreshed and repeated once`, async t => {
    useClock(t)
    const { api, client } = await signedIn(t, { 'GET /orders': deny }, { guarded: [ORDERS] })
    t.mock.timers.tick(60_000)
    assert.ok(!(await client.fetch(`${ORDERS}/orders`)).ok)
    assert.deepEqual([api.count('GET /orders'), api.count('POST /auth/refresh')], [2, 1])
    await client.fetch(`${ORDERS}/orders`)
    assert.equal(api.count('POST /auth/refresh'), 1, 'the token was refreshed within the last minute')
  })
}

test('guarded: a 403 of the API’s own kind is left alone', async t => {
  useClock(t)
  const { api, client } = await signedIn(t, { 'GET /orders': denial(403, { error: 'no', message: 'x' }) }, { guarded: [ORDERS] })
  t.mock.timers.tick(60_000)
  await client.fetch(`${ORDERS}/orders`)
  assert.equal(api.requests.length, 1)
})

test('guarded: if the session is over, the state says so', async t => {
  useClock(t)
  const { client } = await signedIn(t, {
    'GET /orders': denial(403, { message: 'Forbidden' }),
    'POST /auth/refresh': () => problem(401, 'session_ended', { reason: 'revoked' }),
    'GET /api/profile': series(profile, profile, () => problem(401, 'session_ended', { reason: 'revoked' })),
  }, { guarded: [ORDERS] })
  t.mock.timers.tick(60_000)
  await client.fetch(`${ORDERS}/orders`)
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'revoked' })
})

// --- Refreshes ---

test('a sign-out while a refresh is under way wins', async t => {
  for (const transport of ['cookie', 'bearer']) {
    const late = pending()
    const { client } = await signedIn(t, {
      'GET /thing': series(expired, () => problem(401, 'session_ended', { reason: 'logged_out' })),
      'POST /auth/refresh': () => late.promise,
    }, { transport })
    const call = client.fetch('/thing')
    await settle()
    await client.signOut()
    late.resolve(answer(grant()))
    await call
    await settle()
    assert.equal(client.getSnapshot().status, 'signedOut')
    client.dispose()
  }
})

test('a sign-out while a refresh is under way leaves no token in the store', async t => {
  const late = pending()
  const store = createStore()
  const { client } = await signedIn(t, {
    'GET /thing': expired, 'POST /auth/refresh': () => late.promise,
  }, { transport: 'bearer', storage: store })
  const call = client.fetch('/thing')
  await settle()
  await client.signOut()
  late.resolve(answer(grant()))
  await call
  assert.equal(store.values.size, 0)
})

function createStore() {
  const values = new Map()
  return {
    values,
    get: async key => values.get(key),
    set: async (key, value) => { values.set(key, value) },
    remove: async key => { values.delete(key) },
  }
}

test('a store from which another tab has removed the tokens is not written', async t => {
  const store = createStore()
  const { client } = await signedIn(t, {
    'GET /thing': series(expired, () => problem(401, 'no_credentials')),
    'POST /auth/refresh': () => { store.values.clear(); return answer(grant()) },
  }, { transport: 'bearer', storage: store })
  store.set = () => assert.fail('the store was written')
  await client.fetch('/thing')
  assert.equal(store.values.size, 0)
})

test('the store is read before a refresh', async t => {
  const store = createStore()
  const { api, client } = await signedIn(t, {
    'GET /thing': request => request.headers.get('authorization') === 'Bearer lka_other' ? answer({}) : expired(),
  }, { transport: 'bearer', storage: store })
  const [key] = store.values.keys()
  store.values.set(key, JSON.stringify({ accessToken: 'lka_other', refreshToken: 'lkr_other' }))
  assert.equal((await client.fetch('/thing')).status, 200)
  assert.equal(api.count('POST /auth/refresh'), 0)
})

test('a step-up and a refresh do not cross', async t => {
  const late = pending()
  const { api, client } = await signedIn(t, {
    'POST /auth/step-up': () => late.promise, 'GET /thing': series(expired, () => answer({})),
  }, { transport: 'bearer' })
  const steppingUp = client.stepUp(signer)
  await settle()
  const call = client.fetch('/thing')
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 0)
  const next = grant()
  late.resolve(answer(next))
  await steppingUp
  assert.equal((await call).status, 200)
  const [{ body }] = api.requests.filter(r => r.name === 'POST /auth/refresh')
  assert.equal(JSON.parse(body).refreshToken, next.refreshToken)
})

test('refresh ahead: only if the page was used since the last refresh', async t => {
  useClock(t)
  const { api, client, page } = await signedIn(t)
  t.mock.timers.tick(840_000)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 0, 'nobody uses the page')

  await client.signIn(signer)
  page.emit('keydown')
  t.mock.timers.tick(840_000)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 1, 'a key was pressed')
  t.mock.timers.tick(840_000)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 1, 'not since the last refresh')

  await client.signIn(signer)
  await client.fetch('/thing')
  t.mock.timers.tick(839_999)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 1)
  t.mock.timers.tick(1)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 2, 'a call was made')
})

test('sleep: the timer that fires late does not refresh, the first token_expired does', async t => {
  useClock(t)
  const { api, client } = await signedIn(t, { 'GET /thing': series(() => answer({}), expired, () => answer({})) })
  await client.fetch('/thing')
  t.mock.timers.setTime(Date.now() + 3_600_000)
  t.mock.timers.tick(1) // fires what is due, an hour late
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 0)
  assert.equal((await client.fetch('/thing')).status, 200)
  assert.equal(api.count('POST /auth/refresh'), 1)
})

// --- State, tabs, and the life of a page ---

test('a snapshot is the same object until it changes', async t => {
  const { client } = await signedIn(t, { 'GET /thing': () => problem(401, 'no_credentials') })
  let changes = 0
  client.subscribe(() => changes++)
  const before = client.getSnapshot()
  await client.fetch('/api/profile')
  assert.equal(client.getSnapshot(), before)
  await client.fetch('/thing')
  await client.fetch('/thing')
  await settle()
  assert.equal(changes, 1)
})

test('an answer that says the same changes nothing', async t => {
  const { client, page } = await signedIn(t)
  const reload = async () => {
    page.emit('pageshow', { persisted: true })
    await settle()
    return client.getSnapshot()
  }
  assert.equal(await reload(), await reload())
})

test('StrictMode: mounting twice asks once, and leaves one listener', async t => {
  openPage(t)
  const { api, client } = open(t)
  const stop = client.subscribe(() => {})
  stop()
  let changes = 0
  const unsubscribe = client.subscribe(() => changes++)
  await settle()
  assert.deepEqual([api.count('GET /api/profile'), changes], [1, 1])
  unsubscribe()
  unsubscribe()
  await client.signIn(signer)
  assert.equal(changes, 1)
})

test('the last subscriber stops timers and the channel', async t => {
  useClock(t)
  const { api, client, page, stop } = await signedIn(t)
  const other = open(t).client
  await client.fetch('/thing')
  stop()
  page.emit('keydown')
  t.mock.timers.tick(900_000)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 0)
  other.subscribe(() => {})
  await settle()
  await other.signOut()
  await settle()
  assert.equal(client.getSnapshot().status, 'signedIn', 'it does not listen')
})

test('dispose ends all', async t => {
  const { api, client, page } = await signedIn(t)
  const found = []
  client.wallets(wallet => found.push(wallet))
  client.dispose()
  client.subscribe(() => {})
  page.emit('eip6963:announceProvider', { detail: { info: { uuid: '1' }, provider: {} } })
  await settle()
  assert.deepEqual([found, api.requests], [[], []])
})

test('on a server the state is loading, nothing starts and nothing is kept', async t => {
  const { api, client } = open(t, { 'GET /thing': expired })
  const stop = client.subscribe(() => assert.fail('the state changed'))
  await settle()
  assert.equal(api.requests.length, 0)
  assert.deepEqual(client.wallets(() => {}), [])
  assert.equal((await client.fetch('/thing')).status, 401)
  await client.signIn(signer)
  assert.deepEqual(client.getSnapshot(), { status: 'loading' })
  assert.equal(api.count('POST /auth/refresh'), 0)
  stop()
})

test('in Node a script signs in with bearer', async t => {
  const { client } = open(t, {}, { transport: 'bearer' })
  await client.signIn(signer)
  assert.equal(client.getSnapshot().user.id, USER.id)
})

test('several APIs on one page do not share state, channel or store', async t => {
  openPage(t)
  const store = createStore()
  const options = { transport: 'bearer', storage: store }
  const a = open(t, {}, options).client
  const b = open(t, {}, { ...options, url: 'https://other.example.com' }).client
  a.subscribe(() => {})
  b.subscribe(() => {})
  await settle()
  await a.signIn(signer)
  await settle()
  assert.deepEqual([a.getSnapshot().status, b.getSnapshot().status], ['signedIn', 'signedOut'])
  await b.signIn(signer)
  assert.equal(store.values.size, 2)
  await a.signOut()
  await settle()
  assert.deepEqual([a.getSnapshot().status, b.getSnapshot().status], ['signedOut', 'signedIn'])
})

test('bearer in memory: only the fact of a sign-out is broadcast', async t => {
  openPage(t)
  const heard = []
  const channel = new BroadcastChannel(`latchkey:${URL_OF_API}`)
  channel.onmessage = event => heard.push(event.data)
  t.after(() => channel.close())
  const { client } = open(t, { 'GET /thing': series(expired, () => answer({})) }, { transport: 'bearer' })
  const other = open(t, {}, { transport: 'bearer' })
  client.subscribe(() => {})
  other.client.subscribe(() => {})
  await settle()
  await client.signIn(signer)
  await other.client.signIn(signer)
  await client.fetch('/thing')
  await client.signOut()
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.deepEqual(heard, [{ status: 'signedOut' }])
  assert.equal(other.client.getSnapshot().status, 'signedIn', 'its session is its own')
})

test('with a store no token is broadcast', async t => {
  openPage(t)
  const heard = []
  const channel = new BroadcastChannel(`latchkey:${URL_OF_API}`)
  channel.onmessage = event => heard.push(event.data)
  t.after(() => channel.close())
  const { client } = open(t, {}, { transport: 'bearer', storage: createStore() })
  client.subscribe(() => {})
  await settle()
  await client.signIn(signer)
  await client.signOut()
  await new Promise(resolve => setTimeout(resolve, 50))
  assert.deepEqual(heard.map(message => message.status), ['signedOut', 'signedIn', 'signedOut'])
  assert.doesNotMatch(JSON.stringify(heard), /lk[ar]_/)
})

test('without BroadcastChannel tabs are on their own', async t => {
  const own = globalThis.BroadcastChannel
  delete globalThis.BroadcastChannel
  t.after(() => { globalThis.BroadcastChannel = own })
  const { client } = await signedIn(t)
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('the back/forward cache: pagehide closes the channel, pageshow asks the server', async t => {
  let open = 0
  const Own = globalThis.BroadcastChannel
  globalThis.BroadcastChannel = class extends Own {
    constructor(name) { super(name); open++ }
    close() { super.close(); open-- }
  }
  t.after(() => { globalThis.BroadcastChannel = Own })
  const { api, page, client } = await signedIn(t, {
    'GET /api/profile': series(profile, profile, () => problem(401, 'session_ended', { reason: 'revoked' })),
  })
  assert.equal(open, 1)
  page.emit('pagehide')
  assert.equal(open, 0)
  page.emit('pageshow', { persisted: true })
  await settle()
  assert.deepEqual([open, api.count('GET /api/profile')], [1, 1])
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'revoked' })
})

test('a change of the account is in the state, a change of the chain is not', async t => {
  const { client, api } = await signedIn(t)
  const wallet = createWallet()
  wallet.sign = async () => '0x00'
  await client.signIn(wallet)
  assert.equal(client.getSnapshot().otherAccount, undefined)
  api.requests.length = 0
  const before = client.getSnapshot()
  wallet.switchTo(['0x00000000000000000000000000000000000000b2'])
  assert.deepEqual(client.getSnapshot(), { ...before, otherAccount: '0x00000000000000000000000000000000000000b2' })
  wallet.switchTo([])
  assert.ok(client.getSnapshot().otherAccount, 'a locked wallet has no other account')
  wallet.switchTo([USER.address.toLowerCase()])
  assert.equal(client.getSnapshot().otherAccount, undefined)
  assert.equal(client.getSnapshot().status, 'signedIn')
  assert.deepEqual(api.requests, [])
  assert.equal(wallet.listeners.size, 1)
  client.dispose()
  assert.equal(wallet.listeners.size, 0)
})

test('wallets are found by EIP-6963, also late ones, each once', async t => {
  const page = openPage(t)
  const { client } = open(t)
  const announce = uuid => page.emit('eip6963:announceProvider', { detail: { info: { uuid, name: uuid }, provider: {} } })
  addEventListener('eip6963:requestProvider', () => announce('early'))
  const controller = new AbortController()
  const found = []
  const now = client.wallets(wallet => found.push(wallet.info.uuid), { signal: controller.signal })
  assert.deepEqual(now.map(wallet => wallet.info.uuid), ['early'])
  announce('late')
  announce('late')
  assert.deepEqual(found, ['early', 'late'])
  controller.abort()
  announce('too late')
  assert.deepEqual(found, ['early', 'late'])
})

test('a session that requires a step-up at the start is signed out with that reason', async t => {
  openPage(t)
  const { client, api } = open(t, { 'GET /api/profile': () => problem(401, 'step_up_required') })
  client.subscribe(() => {})
  await settle()
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'step_up_required' })
  api.routes['POST /auth/step-up'] = () => answer(grant())
  api.routes['GET /api/profile'] = profile
  await client.stepUp(signer)
  await settle()
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a step-up without a wallet says so', async t => {
  const { client } = open(t)
  await assert.rejects(client.stepUp(), { code: 'no_wallet' })
})

test('a sign-out that finds no session is done', async t => {
  const { client } = await signedIn(t, { 'POST /auth/logout': () => problem(401, 'invalid_token') })
  await client.signOut()
  assert.equal(client.getSnapshot().status, 'signedOut')
  await assert.rejects(client.signOut({ everywhere: true }), { code: 'invalid_token' })
})
