// The client against an API that this file makes up, to force what a real one
// does seldom. Clocks are fake if time matters.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLatchkey } from '../latchkey.js'
import {
  USER, answer, createFakeAPI, createProvider, grant, login, openPage, problem, settle,
} from './fakes.js'

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

/** Returns what a promise has come to, if no clock has to move for that. */
const outcome = promise =>
  Promise.race([promise, settle().then(() => { throw new Error('it still waits') })])

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
  ['a read after a 429 of API Gateway', 'GET', busy(429), true],
  ['a change after a 429 of API Gateway', 'POST', busy(429), false],
  ['a change after a 503', 'POST', busy(503, 'unavailable'), false],
  ['a read without Retry-After', 'GET', () => problem(503, 'unavailable'), false],
  ['a read after an hour', 'GET', () => problem(503, 'unavailable', {}, { 'retry-after': '3600' }), false],
]) {
  test(`Retry-After: ${name} is ${repeated ? '' : 'not '}repeated`, async t => {
    useClock(t)
    const { api, client } = await signedIn(t, { [`${method} /thing`]: series(first, () => answer({})) })
    const call = client.fetch('/thing', { method })
    await settle()
    t.mock.timers.tick(2999)
    await settle()
    assert.equal(api.count(`${method} /thing`), 1)
    t.mock.timers.tick(1)
    await settle()
    assert.equal(api.count(`${method} /thing`), repeated ? 2 : 1)
    assert.equal((await outcome(call)).ok, repeated)
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
  assert.equal((await outcome(call)).status, 503)
  assert.equal(api.count('GET /thing'), 3)
})

test('Retry-After: an abort ends the wait', async t => {
  useClock(t)
  const { client } = await signedIn(t, { 'GET /thing': busy(503, 'unavailable') })
  const controller = new AbortController()
  const call = client.fetch('/thing', { signal: controller.signal })
  await settle()
  controller.abort()
  await assert.rejects(outcome(call), { name: 'AbortError' })
})

test('Retry-After: a body that cannot be sent twice does not wait', async t => {
  useClock(t)
  const { client } = await signedIn(t, { 'POST /thing': busy(429, 'rate_limited') })
  const body = (async function* () { yield new Uint8Array(3) })()
  const { status } = await outcome(client.fetch('/thing', { method: 'POST', body, duplex: 'half' }))
  assert.equal(status, 429)
})

test('a sign-in, a step-up and a sign-out are not repeated by themselves', async t => {
  useClock(t)
  const { api, client } = await signedIn(t, {
    'POST /auth/login': series(() => answer(login()), busy(429, 'rate_limited')),
    'POST /auth/step-up': busy(429, 'rate_limited'), 'POST /auth/logout': busy(429, 'rate_limited'),
  })
  for (const act of [() => client.signIn(signer), () => client.stepUp(signer), () => client.signOut()]) {
    await assert.rejects(outcome(act()), { code: 'rate_limited' })
  }
  const posts = api.requests.map(r => r.name).filter(name => name.startsWith('POST'))
  assert.deepEqual(posts, ['POST /auth/login', 'POST /auth/step-up', 'POST /auth/logout'])
  assert.equal(client.getSnapshot().status, 'signedIn', 'a failed sign-out does not sign out')
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
  const { api, client } = open(t, {
    'POST /auth/login': series(() => problem(401, 'login_failed'), () => answer(login())),
  })
  await client.prepare(signer)
  const error = await client.signIn(signer).catch(e => e)
  assert.equal(error.retry, undefined)
  await client.signIn(signer)
  assert.equal(api.count('GET /auth/nonce'), 2)
})

test('sign-ins at the same time share one attempt, and a later one does not', async t => {
  openPage(t)
  const { api, client } = open(t)
  let signatures = 0
  const counted = () => ({ ...signer, sign: async () => `0x${++signatures}` })
  const [a, b] = await Promise.all([client.signIn(counted()), client.signIn(counted())])
  assert.equal(a, b)
  assert.deepEqual([signatures, api.count('POST /auth/login')], [1, 1])
  await client.signIn(counted())
  assert.deepEqual([signatures, api.count('POST /auth/login')], [2, 2])
})

test('a rejected signature leaves its nonce for the next try, another failure does not', async t => {
  openPage(t)
  const { api, client } = open(t)
  const failing = error => ({ ...signer, sign: () => Promise.reject(error) })
  await client.prepare(signer)
  await assert.rejects(client.signIn(failing(Object.assign(new Error('no'), { code: 4001 }))), { code: 4001 })
  await client.signIn(signer)
  assert.equal(api.count('GET /auth/nonce'), 1)
  await assert.rejects(client.signIn(failing(new Error('closed'))), { message: 'closed' })
  await client.signIn(signer)
  assert.equal(api.count('GET /auth/nonce'), 3)
})

test('the nonce of a message that was signed already is not used again', async t => {
  openPage(t)
  const { api, client } = open(t)
  const { message } = await client.prepare(signer)
  await client.signIn({ message, signature: '0x00' })
  await client.signIn(signer)
  assert.equal(api.count('GET /auth/nonce'), 2)
})

test('a message that was prepared for another account or chain is not used', async t => {
  openPage(t)
  const { api, client } = open(t)
  await client.prepare({ address: '0x00000000000000000000000000000000000000b2', chainId: 1 })
  await client.signIn(signer)
  await client.prepare({ ...signer, chainId: 8453 })
  await client.signIn(signer)
  assert.equal(api.count('GET /auth/nonce'), 4)
})

test('a message that was prepared is not used after the wallet has switched', async t => {
  const { api, client } = await signedIn(t)
  const wallet = createProvider()
  client.watch(wallet)
  await client.prepare(signer)
  wallet.switchTo(['0x00000000000000000000000000000000000000b2'])
  await client.signIn(wallet)
  assert.equal(api.count('GET /auth/nonce'), 2)
})

test('a message that could not be prepared is requested again', async t => {
  openPage(t)
  const { client } = open(t, { 'GET /auth/nonce': series(unreachable, nonce) })
  await assert.rejects(client.prepare(signer), { code: 'network_error' })
  assert.ok((await client.prepare(signer)).message)
})

test('after prepare the wallet is called in the click itself', async t => {
  openPage(t)
  const { client } = open(t)
  await client.prepare(signer)
  let isCalled = false
  const signingIn = client.signIn({ ...signer, sign: async () => { isCalled = true; return '0x00' } })
  assert.ok(isCalled)
  await signingIn
})

test('a chain that is not accepted is replaced by the first that is', async t => {
  openPage(t)
  const { api, client } = open(t, {
    'GET /auth/nonce': request => /chainId=137/.test(request.url) ? problem(400, 'invalid_request') : nonce(),
  })
  await client.signIn({ ...signer, chainId: 137 })
  assert.match(api.requests[2].request.url, /chainId=1$/)
  api.routes['GET /auth/nonce'] = () => problem(503, 'unavailable')
  await assert.rejects(client.signIn(signer), { code: 'unavailable' })
  assert.equal(api.count('GET /auth/nonce'), 4, 'only an answer that refuses the chain')
})

test('a provider is asked for its account, and signs the server’s message in hex', async t => {
  openPage(t)
  const { api, client } = open(t)
  const asked = []
  const answers = { eth_requestAccounts: [USER.address], eth_chainId: '0x1', personal_sign: '0x00' }
  await client.signIn({ request: async call => { asked.push(call); return answers[call.method] } })
  const { message } = await nonce().json()
  assert.deepEqual(asked.at(-1).params, [`0x${Buffer.from(message).toString('hex')}`, USER.address])
  const { body } = api.requests.find(r => r.name === 'POST /auth/login')
  assert.equal(JSON.parse(body).message, message)
})

test('two wallets at the same time do not sign the same nonce', async t => {
  openPage(t)
  const { api, client } = open(t)
  await client.prepare(signer)
  const wallet = createProvider()
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

// --- Step-up ---

/** Opens a page whose calls need a step-up until there was one. */
function needsStepUp(t, onStepUp) {
  let isDone = false
  return signedIn(t, {
    'GET /thing': () => isDone ? answer({}) : problem(401, 'step_up_required'),
    'POST /auth/step-up': () => { isDone = true; return answer(grant()) },
  }, { onStepUp })
}

test('step-up: calls at the same time share one question to the user, and are repeated', async t => {
  let asked = 0
  const { api, client } = await needsStepUp(t, async confirm => { asked++; await confirm(signer) })
  const answers = await Promise.all([client.fetch('/thing'), client.fetch('/thing')])
  assert.deepEqual(answers.map(({ status }) => status), [200, 200])
  assert.deepEqual([asked, api.count('POST /auth/step-up'), api.count('GET /thing')], [1, 1, 4])
})

test('step-up: the wallet is called in the click itself', async t => {
  const { client } = await needsStepUp(t, async confirm => {
    let isCalled = false
    const confirming = confirm({ sign: async () => { isCalled = true; return '0x00' } })
    assert.ok(isCalled)
    await confirming
  })
  assert.equal((await client.fetch('/thing')).status, 200)
})

test('step-up: a second click does not use the same nonce', async t => {
  const { api, client } = await needsStepUp(t, async confirm => {
    await confirm({ sign: () => Promise.reject(new Error('closed')) }).catch(() => {})
    await confirm(signer)
  })
  assert.equal((await client.fetch('/thing')).status, 200)
  assert.equal(api.count('GET /auth/nonce'), 2)
})

test('step-up: if the user declines, the call is not repeated', async t => {
  const { api, client } = await needsStepUp(t, () => {})
  assert.equal((await client.fetch('/thing')).status, 401)
  assert.equal(api.count('GET /thing'), 1)
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('step-up: a call asks once', async t => {
  let asked = 0
  const { api, client } = await signedIn(t, {
    'GET /thing': () => problem(401, 'step_up_required'), 'POST /auth/step-up': () => answer(grant()),
  }, { onStepUp: confirm => { asked++; return confirm(signer) } })
  assert.equal((await client.fetch('/thing')).status, 401)
  assert.deepEqual([asked, api.count('GET /thing')], [1, 2])
})

test('step-up: a call that was sent before one does not ask for another', async t => {
  const late = pending()
  const { client } = await signedIn(t, {
    'GET /thing': series(() => late.promise, () => answer({})), 'POST /auth/step-up': () => answer(grant()),
  }, { onStepUp: () => assert.fail('the user was asked') })
  const call = client.fetch('/thing')
  await settle()
  await client.stepUp(signer)
  late.resolve(problem(401, 'step_up_required'))
  assert.equal((await call).status, 200)
})

// --- Decisions by code ---

test('a bare 401 decides nothing', async t => {
  useClock(t)
  const bare = () => answer({ message: 'Unauthorized' }, { status: 401 })
  const { api, client } = await signedIn(t, { 'GET /thing': bare })
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
  const { api, client } = await signedIn(t, {
    'GET /thing': expired, 'POST /auth/refresh': () => problem(401, 'session_ended', { reason: 'idle_timeout' }),
  })
  await client.fetch('/thing')
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'idle_timeout' })
  assert.equal(api.count('POST /auth/refresh'), 1)
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

for (const [name, bodyOf] of [
  ['a stream', () => new ReadableStream({ start(c) { c.enqueue(new Uint8Array(3)); c.close() } })],
  ['an async iterable', async function* () { yield new Uint8Array(3) }],
]) {
  test(`${name} cannot be sent twice and is not repeated`, async t => {
    const { api, client } = await signedIn(t, { 'POST /thing': expired })
    const init = { method: 'POST', body: bodyOf(), duplex: 'half' }
    assert.equal((await client.fetch('/thing', init)).status, 401)
    assert.deepEqual([api.count('POST /thing'), api.count('POST /auth/refresh')], [1, 1])
  })
}

test('a Request with a body is repeated with its body', async t => {
  const { api, client } = await signedIn(t, { 'POST /thing': series(expired, () => answer({})) })
  const request = new Request(`${URL_OF_API}/thing`, { method: 'POST', body: 'text', headers: { 'x-own': '1' } })
  assert.equal((await client.fetch(request)).status, 200)
  const sent = api.requests.filter(r => r.name === 'POST /thing')
  assert.deepEqual(sent.map(r => [r.body, r.request.headers.get('x-own')]), [['text', '1'], ['text', '1']])
})

test('an error has the code, status, detail, request id and reason of the answer', async t => {
  const facts = { detail: 'no', requestId: 'r1', reason: 'evicted' }
  const { api, client } = await signedIn(t, { 'GET /api/sessions': () => problem(401, 'session_ended', facts) })
  await assert.rejects(client.sessions(), { name: 'LatchkeyError', code: 'session_ended', status: 401, ...facts })
  api.routes['GET /api/sessions'] = () => answer({ message: 'Too Many Requests' }, { status: 429 })
  await assert.rejects(client.sessions(), { code: 'http_429', status: 429, detail: 'Too Many Requests' })
})

// --- Origins ---

test('a URL that begins with two slashes is not a path of the API', async t => {
  const { api, client } = await signedIn(t)
  await assert.rejects(client.fetch('//evil.example/thing'), TypeError) // Node has no base for it
  assert.deepEqual(api.requests, [])
})

for (const [name, options, origin, hasCredentials] of [
  ['the API', {}, URL_OF_API, true],
  ['a guarded origin', { guarded: ['https://orders.example.com'] }, 'https://orders.example.com', true],
  ['what only begins like a guarded origin', { guarded: ['https://orders.example.com/v1', '*', ''] }, 'https://orders.example.com', false],
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
  const { api, client } = await signedIn(t, {
    'GET /thing': series(expired, () => answer({})),
  }, { transport: 'bearer' })
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
  const own = denial(403, { error: 'no', message: 'x' })
  const { api, client } = await signedIn(t, { 'GET /orders': own }, { guarded: [ORDERS] })
  t.mock.timers.tick(60_000)
  await client.fetch(`${ORDERS}/orders`)
  assert.equal(api.requests.length, 1)
})

test('guarded: a 404 of API Gateway is left alone', async t => {
  useClock(t)
  const none = denial(404, { message: 'Not Found' })
  const { api, client } = await signedIn(t, { 'GET /orders': none }, { guarded: [ORDERS] })
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

test('calls at the same time share one refresh, and one that was sent before does not refresh', async t => {
  const late = pending()
  const { api, client } = await signedIn(t, {
    'GET /thing': series(() => late.promise, expired, expired, () => answer({})),
  })
  const calls = [1, 2, 3].map(() => client.fetch('/thing'))
  await Promise.all(calls.slice(1))
  late.resolve(expired())
  assert.deepEqual((await Promise.all(calls)).map(({ status }) => status), [200, 200, 200])
  assert.equal(api.count('POST /auth/refresh'), 1)
})

test('without a token nothing is refreshed', async t => {
  const { api, client } = open(t, { 'GET /thing': expired }, { transport: 'bearer' })
  await client.fetch('/thing')
  assert.equal(api.count('POST /auth/refresh'), 0)
})

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

test('a sign-out while the store is read leaves no token in it', async t => {
  const reading = pending()
  const store = createStore()
  const { client } = await signedIn(t, {
    'GET /thing': expired,
    'POST /auth/refresh': () => { store.get = () => reading.promise; return answer(grant()) },
  }, { transport: 'bearer', storage: store })
  const [before] = store.values.values()
  const call = client.fetch('/thing')
  await settle()
  await client.signOut()
  reading.resolve(before)
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

test('a reload finds the tokens in the store, and without any asks nobody', async t => {
  const store = createStore()
  const options = { transport: 'bearer', storage: store }
  await signedIn(t, {}, options)
  for (const [status, requests] of [['signedIn', 1], ['signedOut', 0]]) {
    const { api, client } = open(t, {}, options)
    client.subscribe(() => {})
    await settle()
    assert.deepEqual([client.getSnapshot().status, api.requests.length], [status, requests])
    store.values.clear()
  }
})

test('the end of a session leaves the tokens that another tab has stored since', async t => {
  const store = createStore()
  const { client } = await signedIn(t, {
    'GET /thing': () => problem(401, 'session_ended', { reason: 'evicted' }),
  }, { transport: 'bearer', storage: store })
  const [key] = store.values.keys()
  const others = JSON.stringify({ accessToken: 'lka_other', refreshToken: 'lkr_other' })
  store.values.set(key, others)
  await client.fetch('/thing')
  assert.equal(store.values.get(key), others)
})

test('tabs with a store use the tokens of the last refresh', async t => {
  const store = createStore()
  const options = { transport: 'bearer', storage: store }
  const { client } = await signedIn(t, { 'GET /thing': series(expired, () => answer({})) }, options)
  const other = open(t, {}, options)
  other.client.subscribe(() => {})
  await settle()
  await client.fetch('/thing')
  await settle()
  await other.client.fetch('/thing')
  const { accessToken } = JSON.parse([...store.values.values()][0])
  assert.equal(other.api.requests.at(-1).request.headers.get('authorization'), `Bearer ${accessToken}`)
})

test('a step-up waits for a refresh', async t => {
  const late = pending()
  const { api, client } = await signedIn(t, {
    'GET /thing': series(expired, () => answer({})), 'POST /auth/refresh': () => late.promise,
    'POST /auth/step-up': () => answer(grant()),
  }, { transport: 'bearer' })
  const call = client.fetch('/thing')
  await settle()
  const steppingUp = client.stepUp(signer)
  await settle()
  assert.equal(api.count('POST /auth/step-up'), 0)
  const next = grant()
  late.resolve(answer(next))
  await Promise.all([call, steppingUp])
  const [{ body }] = api.requests.filter(r => r.name === 'POST /auth/step-up')
  assert.equal(JSON.parse(body).refreshToken, next.refreshToken)
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

test('refresh ahead: a click counts, and a short token has its own time', async t => {
  useClock(t)
  const { api, page } = await signedIn(t, { 'POST /auth/login': () => answer({ ...login(), expiresIn: 60 }) })
  page.emit('pointerdown')
  t.mock.timers.tick(47_999)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 0)
  t.mock.timers.tick(1)
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 1)
})

test('refresh ahead: a refusal is in the state', async t => {
  useClock(t)
  const ended = () => problem(401, 'session_ended', { reason: 'revoked' })
  const { api, client, page } = await signedIn(t, { 'POST /auth/refresh': ended })
  api.routes['GET /api/profile'] = ended
  page.emit('keydown')
  t.mock.timers.tick(840_000)
  await settle()
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'revoked' })
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

test('an answer that is older than a sign-in does not overwrite it', async t => {
  openPage(t)
  const late = pending()
  const { client } = open(t, { 'GET /api/profile': series(() => late.promise, profile) })
  client.subscribe(() => {})
  await settle()
  await client.signIn(signer)
  late.resolve(answer({ user: { ...USER, id: 'u0' }, session: { id: 's0' } }))
  await settle()
  assert.equal(client.getSnapshot().user.id, USER.id)
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

test('a second subscriber starts nothing, and the first of two stops nothing', async t => {
  const { api, client, stop } = await signedIn(t)
  let changes = 0
  const count = () => changes++
  const stopFirst = client.subscribe(count)
  client.subscribe(count)
  await settle()
  assert.deepEqual(api.requests, [])
  stop()
  stopFirst()
  const other = open(t).client
  other.subscribe(() => {})
  await settle()
  await other.signOut()
  await settle()
  assert.deepEqual([client.getSnapshot().status, changes], ['signedOut', 1])
})

test('the last subscriber stops timers and the channel', async t => {
  useClock(t)
  const { api, client, page, stop } = await signedIn(t)
  const other = open(t).client
  await client.fetch('/thing')
  stop()
  page.emit('keydown')
  t.mock.timers.tick(840_000) // when it would refresh
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 0)
  other.subscribe(() => {})
  await settle()
  await other.signOut()
  await settle()
  assert.equal(client.getSnapshot().status, 'signedIn', 'it does not listen')
})

test('the last subscriber stops what would ask again', async t => {
  useClock(t)
  const page = openPage(t)
  const { api, client } = open(t, { 'GET /api/profile': unreachable })
  const stop = client.subscribe(() => {})
  await settle()
  stop()
  t.mock.timers.tick(10_000)
  page.emit('pageshow', { persisted: true })
  await settle()
  assert.equal(api.count('GET /api/profile'), 1)
})

test('dispose ends all', async t => {
  const { api, client, page } = await signedIn(t)
  const found = []
  client.wallets(wallet => found.push(wallet))
  client.subscribe(() => assert.fail('a subscriber was called'))
  client.dispose()
  client.subscribe(() => {})
  page.emit('eip6963:announceProvider', { detail: { info: { uuid: '1' }, provider: {} } })
  await settle()
  assert.deepEqual([found, api.requests], [[], []])
  await client.signOut()
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

test('tabs have the same state, and each the account of its own wallet', async t => {
  useClock(t)
  openPage(t)
  const a = open(t, { 'GET /thing': series(expired, () => answer({})) })
  const b = open(t)
  a.client.subscribe(() => {})
  b.client.subscribe(() => {})
  await settle()
  await a.client.signOut()
  await settle()
  assert.deepEqual(b.client.getSnapshot(), { status: 'signedOut', reason: 'logged_out' })
  const wallet = createProvider()
  await a.client.signIn(wallet)
  wallet.switchTo(['0x00000000000000000000000000000000000000b2'])
  await a.client.fetch('/thing')
  await settle()
  const { otherAccount, ...common } = a.client.getSnapshot()
  assert.ok(otherAccount)
  assert.deepEqual(b.client.getSnapshot(), common)
  await b.client.fetch('/thing')
  t.mock.timers.tick(840_000)
  await settle()
  assert.equal(b.api.count('POST /auth/refresh'), 1, 'it knows when the token expires')
})

test('bearer in memory: only the fact of a sign-out is broadcast', async t => {
  openPage(t)
  const heard = []
  const channel = new BroadcastChannel(`latchkey:${URL_OF_API}`)
  channel.onmessage = event => heard.push(event.data)
  t.after(() => channel.close())
  const { client } = open(t, {
    'GET /thing': series(expired, () => answer({})), 'GET /ended': () => problem(401, 'session_ended', { reason: 'revoked' }),
  }, { transport: 'bearer' })
  const other = open(t, {}, { transport: 'bearer' })
  client.subscribe(() => {})
  other.client.subscribe(() => {})
  await settle()
  await client.signIn(signer)
  await other.client.signIn(signer)
  await client.fetch('/thing')
  await client.fetch('/ended')
  assert.equal(client.getSnapshot().reason, 'revoked')
  await settle()
  assert.deepEqual(heard, [], 'the end of a session that is its own')
  await client.signIn(signer)
  await client.signOut()
  await settle()
  assert.deepEqual(heard, [{ status: 'signedOut' }])
  assert.equal(other.client.getSnapshot().status, 'signedIn', 'its session is its own')
  assert.equal(other.api.count('GET /api/profile'), 1, 'but it asks whether that has ended too')
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
  await settle()
  assert.deepEqual(heard.map(message => message.status), ['signedIn', 'signedOut'])
  assert.doesNotMatch(JSON.stringify(heard), /lk[ar]_/)
})

test('clients of both transports in one browser have two sessions', async t => {
  openPage(t)
  const { client: cookie } = open(t)
  const { client: bearer } = open(t, {}, { transport: 'bearer' })
  const { client: stored } = open(t, {}, { transport: 'bearer', storage: createStore() })
  for (const client of [cookie, bearer, stored]) client.subscribe(() => {})
  await settle()
  await cookie.signIn(signer)
  await bearer.signIn(signer)
  await bearer.signOut()
  await settle()
  assert.equal(cookie.getSnapshot().status, 'signedIn', 'a bearer session has ended')
  assert.equal(stored.getSnapshot().status, 'signedOut', 'the cookie is not in its store')
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
  page.emit('pageshow', { persisted: false })
  await settle()
  assert.deepEqual(api.requests, [])
  page.emit('pagehide')
  assert.equal(open, 0)
  page.emit('pageshow', { persisted: true })
  await settle()
  assert.deepEqual([open, api.count('GET /api/profile')], [1, 1])
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'revoked' })
})

for (const [name, last, want] of [
  ['ended', () => problem(401, 'session_ended', { reason: 'revoked' }), 'revoked'],
  ['changed hands', () => answer({ user: { ...USER, id: 'u2' }, session: { id: 's2' } }), 's2'],
]) {
  test(`the back/forward cache: the session has ${name}, and an earlier question is open`, async t => {
    const [first, second] = [pending(), pending()]
    const { api, page, client } = await signedIn(t, {
      'GET /api/profile': series(profile, profile, () => first.promise, () => second.promise),
    })
    const restore = async () => {
      page.emit('pagehide')
      page.emit('pageshow', { persisted: true })
      await settle()
    }
    await restore()
    await restore()
    assert.equal(api.count('GET /api/profile'), 2)
    first.resolve(answer({ user: { ...USER, roles: ['new'] }, session: { id: 's1' } }))
    await settle()
    second.resolve(last())
    await settle()
    const { reason, session } = client.getSnapshot()
    assert.equal(reason ?? session.id, want)
  })
}

test('a change of the account is in the state, a change of the chain is not', async t => {
  const { client, api } = await signedIn(t)
  const wallet = createProvider()
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
  wallet.switchChain('0x89')
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
  const announce = uuid =>
    page.emit('eip6963:announceProvider', { detail: { info: { uuid, name: uuid }, provider: {} } })
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

test('wallets without a function to call leaves no listener', t => {
  openPage(t)
  const { client } = open(t)
  const [added, removed] = ['addEventListener', 'removeEventListener'].map(name => t.mock.method(globalThis, name).mock)
  assert.deepEqual(client.wallets(), [])
  assert.deepEqual([added.callCount(), removed.callCount()], [1, 1])
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

test('cookies_blocked: the browser keeps no cookie of a login, or none at all', async t => {
  for (const routes of [
    { 'GET /api/profile': () => problem(401, 'no_credentials') },
    { 'POST /auth/login': () => problem(401, 'login_failed', { reason: 'no_prelogin_cookie' }) },
  ]) {
    openPage(t)
    const { client } = open(t, routes)
    await assert.rejects(client.signIn(signer), { code: 'cookies_blocked', detail: /domain.*frame.*private/ })
    assert.notEqual(client.getSnapshot().status, 'signedIn')
  }
})

test('a sign-in whose cookies cannot be checked has succeeded', async t => {
  openPage(t)
  const { client } = open(t, { 'GET /api/profile': unreachable })
  await client.signIn(signer)
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a new sign-in presents the token of the session that it replaces', async t => {
  const { api, client } = await signedIn(t, {}, { transport: 'bearer' })
  await client.signIn(signer)
  const { request, body } = api.requests.find(r => r.name === 'POST /auth/login')
  assert.match(request.headers.get('authorization'), /^Bearer lka_/)
  assert.doesNotMatch(body, /lk[ar]_/)
})

test('a sign-out of every session says so to the API', async t => {
  const { api, client } = await signedIn(t)
  await client.signOut({ everywhere: true })
  assert.equal(JSON.parse(api.requests[0].body).everywhere, true)
})

test('a sign-out that finds no session is done', async t => {
  const { client } = await signedIn(t, { 'POST /auth/logout': () => problem(401, 'invalid_token') })
  await client.signOut()
  assert.equal(client.getSnapshot().status, 'signedOut')
  await assert.rejects(client.signOut({ everywhere: true }), { code: 'invalid_token' })
})

// --- Answers that come late, or from something else ---

test('a bare 401 of a refresh or a sign-out is not the API’s, and ends nothing', async t => {
  const bare = () => Response.json({ message: 'Unauthorized' }, { status: 401 })
  for (const transport of ['cookie', 'bearer']) {
    const { client } = await signedIn(t, {
      'GET /thing': expired, 'POST /auth/refresh': bare, 'POST /auth/logout': bare,
    }, { transport })
    await assert.rejects(client.fetch('/thing'), { code: 'http_401', status: 401, message: 'http_401: Unauthorized' })
    assert.equal(client.getSnapshot().status, 'signedIn')
    await assert.rejects(client.signOut(), { code: 'http_401' })
    assert.equal(client.getSnapshot().status, 'signedIn')
  }
})

test('a code of another status decides nothing', async t => {
  for (const [status, code] of [
    [422, 'invalid_token'], [404, 'session_ended'], [400, 'no_credentials'], [500, 'token_expired'], [502, 'step_up_required'],
  ]) {
    let asked = false
    const { api, client } = await signedIn(t, { 'POST /thing': () => problem(status, code) }, { onStepUp: () => { asked = true } })
    assert.equal((await client.fetch('/thing', { method: 'POST' })).status, status)
    assert.deepEqual([client.getSnapshot().status, api.requests.length, asked], ['signedIn', 1, false], code)
  }
})

test('a page that is no answer of the API signs nobody in', async t => {
  openPage(t)
  const fetch = async () => new Response('<html>', { headers: { 'content-type': 'text/html' } })
  const client = createLatchkey({ url: URL_OF_API, fetch })
  t.after(client.dispose)
  client.subscribe(() => {})
  await settle()
  assert.deepEqual(client.getSnapshot(), { status: 'loading' })
})

test('if another page of the site has signed in, a refresh shows whose session it is', async t => {
  const other = { ...USER, id: 'u2', address: '0x00000000000000000000000000000000000000B2' }
  const { api, client } = await signedIn(t, { 'GET /thing': series(expired, () => answer({})) })
  api.routes['POST /auth/refresh'] = () => answer(grant({ session: { id: 's2' } }))
  api.routes['GET /api/profile'] = () => answer({ user: other, session: { id: 's2' } })
  await client.fetch('/thing')
  await settle()
  assert.equal(client.getSnapshot().user.id, 'u2')
})

test('a sign-out while a sign-in is under way wins', async t => {
  openPage(t)
  const late = pending()
  const { api, client } = open(t, { 'POST /auth/login': () => late.promise })
  client.subscribe(() => {})
  await settle()
  const signIn = client.signIn(signer)
  await settle()
  const signOut = client.signOut()
  await settle()
  late.resolve(answer(login()))
  await Promise.all([signIn, signOut])
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'logged_out' })
  assert.equal(api.requests.at(-1).name, 'POST /auth/logout')
})

test('another tab that signs out while a sign-in looks for its cookies wins', async t => {
  openPage(t)
  const check = pending()
  const { api, client } = open(t)
  client.subscribe(() => {})
  await settle()
  api.routes['GET /api/profile'] = () => check.promise
  const signIn = client.signIn(signer)
  await settle()
  const channel = new BroadcastChannel(`latchkey:${URL_OF_API} cookie`)
  t.after(() => channel.close())
  channel.postMessage({ status: 'signedOut', reason: 'logged_out' })
  await settle()
  check.resolve(profile())
  await signIn
  assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'logged_out' })
})

test('a sign-in waits for a refresh, and a refresh for a sign-in', async t => {
  const held = pending()
  const { api, client } = await signedIn(t, { 'GET /thing': series(expired, () => answer({})) })
  api.routes['POST /auth/refresh'] = () => held.promise
  const call = client.fetch('/thing')
  await settle()
  const signIn = client.signIn(signer)
  await settle()
  assert.equal(api.count('POST /auth/login'), 0, 'the refresh is under way')
  held.resolve(answer(grant()))
  await Promise.all([call, signIn])

  const late = pending()
  api.routes['POST /auth/login'] = () => late.promise
  api.routes['POST /auth/refresh'] = () => answer(grant())
  api.routes['GET /thing'] = series(expired, () => answer({}))
  api.requests.length = 0
  const again = client.signIn(signer)
  await settle()
  const second = client.fetch('/thing')
  await settle()
  assert.equal(api.count('POST /auth/refresh'), 0, 'the sign-in is under way')
  late.resolve(answer(login()))
  await Promise.all([again, second])
})

test('the account of the wallet stays in the state when other tabs and the server say who is signed in', async t => {
  const provider = createProvider()
  const { client, page } = await signedIn(t)
  await client.signIn(provider)
  const other = '0x00000000000000000000000000000000000000B2'
  provider.switchTo([other])
  assert.equal(client.getSnapshot().otherAccount, other)
  const channel = new BroadcastChannel(`latchkey:${URL_OF_API} cookie`)
  t.after(() => channel.close())
  channel.postMessage({ status: 'signedIn', user: USER, session: { id: 's1', n: 'next' }, expiresIn: 900 })
  await settle()
  assert.deepEqual([client.getSnapshot().session.n, client.getSnapshot().otherAccount], ['next', other])
  page.emit('pagehide')
  page.emit('pageshow', { persisted: true })
  await settle()
  assert.equal(client.getSnapshot().otherAccount, other)
  client.watch(createProvider())
  assert.equal('otherAccount' in client.getSnapshot(), false, 'of another wallet it is not known')
  client.watch(provider)
  provider.switchTo([USER.address.toLowerCase()])
  assert.equal('otherAccount' in client.getSnapshot(), false)
})

test('a switch of the account while a sign-in is under way is in the state', async t => {
  openPage(t)
  const late = pending()
  const provider = createProvider()
  const { client } = open(t, { 'POST /auth/login': () => late.promise })
  client.subscribe(() => {})
  await settle()
  const signIn = client.signIn(provider)
  await settle()
  provider.switchTo(['0x00000000000000000000000000000000000000B2'])
  late.resolve(answer(login()))
  await signIn
  assert.equal(client.getSnapshot().otherAccount, '0x00000000000000000000000000000000000000B2')
})

test('a message that a wallet declined is not offered after it has switched to another account', async t => {
  const { client } = await signedIn(t)
  const prompt = pending()
  const provider = createProvider()
  provider.sign = () => prompt.promise
  const signIn = client.signIn(provider)
  await settle()
  provider.switchTo(['0x00000000000000000000000000000000000000B2'])
  prompt.reject(Object.assign(new Error('rejected'), { code: 4001 }))
  await assert.rejects(signIn, { code: 4001 })
  provider.calls.length = 0
  client.signIn(provider).catch(() => {})
  await settle()
  assert.equal(provider.calls[0], 'eth_requestAccounts')
})

test('what a subscriber throws does not keep the tokens in the store', async t => {
  openPage(t)
  const storage = createStore()
  const { client } = open(t, {}, { transport: 'bearer', storage })
  await client.signIn(signer)
  client.subscribe(() => { if (client.getSnapshot().status === 'signedOut') throw new Error('render failed') })
  await assert.rejects(client.signOut(), { message: 'render failed' })
  await settle()
  assert.equal(storage.values.size, 0)
})

test('a store whose text is no pair holds no tokens', async t => {
  openPage(t)
  const storage = createStore()
  const { client } = open(t, {}, { transport: 'bearer', storage })
  storage.values.set(`latchkey:${URL_OF_API}`, 'not json')
  client.subscribe(() => {})
  await settle()
  assert.equal(client.getSnapshot().status, 'signedOut')
  await client.signIn(signer)
  assert.equal(client.getSnapshot().status, 'signedIn')
})

test('a tab that finds no tokens does not remove those of another tab', async t => {
  openPage(t)
  const storage = createStore()
  const slow = pending()
  const { client: first } = open(t, {}, { transport: 'bearer', storage })
  const { client: second } = open(t, {}, { transport: 'bearer', storage: { ...storage, get: () => slow.promise } })
  second.subscribe(() => {})
  await settle()
  await first.signIn(signer)
  slow.resolve(null)
  await settle()
  assert.equal(storage.values.size, 1)
})

test('a relative address is the page’s own, whatever its base element says', async t => {
  openPage(t)
  const seen = []
  const fetch = async input => { seen.push(input); return nonce() }
  const client = createLatchkey({ url: '/v1/', fetch })
  t.after(client.dispose)
  await client.fetch('/thing')
  await client.prepare(signer)
  assert.equal(seen[0], 'http://localhost:5173/v1/thing')
  assert.match(seen[1], /^http:\/\/localhost:5173\/v1\/auth\/nonce\?/)
})

test('an error without a detail has its code alone', async t => {
  const { client } = open(t, { 'GET /auth/nonce': () => new Response('<html>', { status: 502 }) })
  await assert.rejects(client.prepare(signer), { message: 'http_502', code: 'http_502', status: 502, detail: undefined })
})
