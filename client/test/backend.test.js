// Backends that ask Latchkey who their callers are: real frameworks against the
// local server, and every answer that a stand-in for Latchkey can give.

import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http from 'node:http'
import { after, before, describe, test } from 'node:test'
import { serve } from '@hono/node-server'
import express from 'express'
import Fastify from 'fastify'
import { Hono } from 'hono'
import { latchkey } from '../server.js'
import { PAGE, createWallet, freePort, startServer } from './harness.js'

const AGENT = 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0'
const OTHER_AGENT = 'Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36'
const EVIL = 'https://evil.example'
const newKey = () => 'lks_' + randomBytes(32).toString('base64url')
const KEY = newKey()
const variables = {
  SERVICE_KEYS: `orders=${createHash('sha256').update(KEY).digest('hex')}`,
  ROLES: '{"user":{"permissions":["orders:read"]}}',
}

let server, short

before(async () => {
  [server, short] = await Promise.all([
    startServer(variables),
    // Access tokens live for two seconds, and no session is fresh for long.
    startServer({
      ...variables, ACCESS_TOKEN_MINUTES: '0.0334', REFRESH_GRACE_SECONDS: '1', STEP_UP_MINUTES: '0.0001',
    }),
  ])
}, { timeout: 600_000 })
after(() => [server, short].forEach(s => s?.stop()))

// --- Backends, a proxy, and their callers ---

const answerTo = session => ({ userId: session.userId, account: session.account })

/** Each starts a backend with the same routes, and returns its port. */
const frameworks = {
  async express(t, guard) {
    const app = express()
    app.all('/orders', guard.express({ permission: 'orders:read' }), (req, res) => { res.json(answerTo(req.latchkey)) })
    app.all('/refunds', guard.express({ permission: 'orders:write' }), (req, res) => { res.json({}) })
    app.all('/transfers', guard.express({ fresh: true }), (req, res) => { res.json({}) })
    const listener = app.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    t.after(() => close(listener))
    return listener.address().port
  },
  async fastify(t, guard) {
    const app = Fastify({ forceCloseConnections: true })
    app.all('/orders', { preHandler: guard.fastify({ permission: 'orders:read' }) }, async r => answerTo(r.latchkey))
    app.all('/refunds', { preHandler: guard.fastify({ permission: 'orders:write' }) }, async () => ({}))
    app.all('/transfers', { onRequest: guard.fastify({ fresh: true }) }, async () => ({}))
    await app.listen({ port: 0, host: '127.0.0.1' })
    t.after(() => app.close())
    return app.server.address().port
  },
  async hono(t, guard) {
    const app = new Hono()
    app.all('/orders', guard.hono({ permission: 'orders:read' }), c => c.json(answerTo(c.get('latchkey'))))
    app.all('/refunds', guard.hono({ permission: 'orders:write' }), c => c.json({}))
    app.all('/transfers', guard.hono({ fresh: true }), c => c.json({}))
    const listener = serve({ fetch: app.fetch, port: 0, hostname: '127.0.0.1' })
    await once(listener, 'listening')
    t.after(() => close(listener))
    return listener.address().port
  },
}

function close(listener) {
  listener.closeAllConnections()
  return new Promise(resolve => listener.close(resolve))
}

/** Starts a server of this process, and returns its port. */
async function listen(t, handler) {
  const listener = http.createServer(handler).listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.after(() => close(listener))
  return listener.address().port
}

/** Puts Latchkey and a backend behind one host, and returns its address. */
async function startProxy(t, api, backendPort) {
  const port = await listen(t, (req, res) => {
    const isLatchkeys = /^\/(auth|api)\//.test(req.url)
    const [hostname, to] = isLatchkeys ? ['localhost', new URL(api.url).port] : ['127.0.0.1', backendPort]
    const headers = req.rawHeaders.slice()
    const onward = http.request({ hostname, port: to, method: req.method, path: req.url, headers, setHost: false },
      answer => {
        res.writeHead(answer.statusCode, answer.rawHeaders)
        answer.pipe(res)
      })
    onward.on('error', () => res.destroy())
    req.pipe(onward)
  })
  return `http://localhost:${port}`
}

/**
 * Starts a backend, and returns where callers of a transport reach it: those
 * with a cookie come through the proxy.
 */
async function startBackend(t, framework, transport, { api = server, ...options } = {}) {
  const logged = []
  const guard = latchkey({ url: api.url, key: KEY, log: message => logged.push(message), ...options })
  const port = await frameworks[framework](t, guard)
  const own = `http://127.0.0.1:${port}`
  return { url: transport === 'cookie' ? await startProxy(t, api, port) : own, own, logged }
}

/**
 * Is a person at a browser or with an app. Cookies without a Domain are sent to
 * the host name that set them, on every port, and to no other name.
 */
function createPerson() {
  const jars = new Map()
  const person = {
    token: undefined,
    async fetch(url, { headers, ...init } = {}) {
      const { hostname } = new URL(url)
      const jar = jars.get(hostname) ?? new Map()
      jars.set(hostname, jar)
      const sent = new Headers({ 'User-Agent': AGENT, Origin: PAGE })
      if (jar.size) sent.set('Cookie', [...jar].map(pair => pair.join('=')).join('; '))
      if (person.token) sent.set('Authorization', `Bearer ${person.token}`)
      for (const [name, value] of Object.entries(headers ?? {})) sent.set(name, value)
      const answer = await fetch(url, { ...init, headers: sent })
      for (const line of answer.headers.getSetCookie()) {
        const [, name, value] = /^([^=]*)=([^;]*)/.exec(line)
        assert.doesNotMatch(line, /domain=/i)
        if (value) jar.set(name, value)
        else jar.delete(name)
      }
      return answer
    },
    cookies: hostname => [...jars.get(hostname) ?? []].map(pair => pair.join('=')).join('; '),
  }
  return person
}

/** Signs a new account in, and returns its person. */
async function signIn(api, transport, headers = {}) {
  const person = createPerson()
  const { address, sign } = createWallet()
  const offer = await person.fetch(`${api.url}/auth/nonce?transport=${transport}&chainId=1&address=${address}`)
  const { message } = await offer.json()
  const login = await person.fetch(`${api.url}/auth/login`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', ...headers },
    body: JSON.stringify({ message, signature: await sign(message), transport }),
  })
  const { user, accessToken } = await login.json()
  assert.equal(login.status, 200)
  return Object.assign(person, { token: accessToken, user })
}

const signOut = (api, person) => person.fetch(`${api.url}/auth/logout`, { method: 'POST' })

/** Returns what a program or a page reads of an answer. */
async function read(answer) {
  const { requestId, ...body } = await answer.json()
  const [challenge, type, caching] = ['www-authenticate', 'content-type', 'cache-control'].map(name => answer.headers.get(name))
  return { status: answer.status, challenge, type, caching, body }
}

async function assertRefused(answer, status, code) {
  const { body, ...rest } = await read(answer)
  assert.deepEqual([rest.status, body.status, body.code], [status, status, code])
  assert.deepEqual([rest.type, rest.caching], ['application/problem+json', 'no-store'])
  return { ...rest, body }
}

async function assertUnavailable(answer, retryAfter = '1') {
  await assertRefused(answer, 503, 'unavailable')
  assert.equal(answer.headers.get('retry-after'), retryAfter)
}

for (const framework of Object.keys(frameworks)) {
  for (const transport of ['cookie', 'bearer']) {
    describe(`${framework}, ${transport}`, () => {
      test('an allowed caller, and what is required of others', async t => {
        const { url, logged } = await startBackend(t, framework, transport)
        const person = await signIn(server, transport)
        for (const method of ['GET', 'POST']) {
          const answer = await person.fetch(`${url}/orders`, { method })
          assert.equal(answer.status, 200)
          assert.deepEqual(await answer.json(), { userId: person.user.id, account: person.user.account })
        }
        assert.equal((await person.fetch(`${url}/transfers`, { method: 'POST' })).status, 200)
        const refused = await assertRefused(await person.fetch(`${url}/refunds`), 403, 'forbidden')
        assert.deepEqual([refused.body.permission, refused.challenge], ['orders:write', 'Bearer error="insufficient_scope"'])
        await assertRefused(await createPerson().fetch(`${url}/orders`), 401, 'no_credentials')
        assert.deepEqual(logged, [])
      })

      test('a session that has ended is refused as Latchkey refuses it', async t => {
        const { url } = await startBackend(t, framework, transport)
        const person = await signIn(server, transport)
        const kept = person.cookies('localhost')
        assert.equal((await signOut(server, person)).status, 204)
        const headers = kept ? { Cookie: kept } : {}
        const own = await read(await person.fetch(`${server.url}/api/profile`, { headers }))
        const refused = await assertRefused(await person.fetch(`${url}/orders`, { headers }), 401, 'session_ended')
        assert.equal(refused.body.reason, 'logged_out')
        assert.deepEqual(refused, own)
      })

      test('another device is refused, and the session is unharmed', async t => {
        const { url } = await startBackend(t, framework, transport)
        const person = await signIn(server, transport)
        const headers = { 'User-Agent': OTHER_AGENT }
        const refused = await assertRefused(await person.fetch(`${url}/orders`, { headers }), 401, 'step_up_required')
        assert.equal(refused.challenge, 'Bearer error="insufficient_user_authentication"')
        assert.equal((await person.fetch(`${url}/orders`)).status, 200)
        assert.equal((await person.fetch(`${server.url}/api/profile`)).status, 200)
        const own = await read(await person.fetch(`${server.url}/api/profile`, { headers }))
        assert.deepEqual(refused, own)
      })

      test('a device id is required of a session that has one', async t => {
        const { url } = await startBackend(t, framework, transport)
        const person = await signIn(server, transport, { 'X-Device-Id': 'an-id' })
        assert.equal((await person.fetch(`${url}/orders`, { headers: { 'X-Device-Id': 'an-id' } })).status, 200)
        await assertRefused(await person.fetch(`${url}/orders`), 401, 'step_up_required')
      })

      test('a foreign origin', async t => {
        const { url } = await startBackend(t, framework, transport)
        const person = await signIn(server, transport)
        const foreign = { method: 'POST', headers: { Origin: EVIL } }
        const answer = await person.fetch(`${url}/orders`, foreign)
        if (transport === 'bearer') return assert.equal(answer.status, 200)
        await assertRefused(answer, 403, 'origin_not_allowed')
        const crossSite = { method: 'POST', headers: { 'Sec-Fetch-Site': 'cross-site' } }
        await assertRefused(await person.fetch(`${url}/orders`, crossSite), 403, 'origin_not_allowed')
        assert.equal((await person.fetch(`${url}/orders`, { headers: { Origin: EVIL } })).status, 200) // a GET
      })

      test('a wrong service key is not the person’s fault', async t => {
        const key = newKey()
        const { url, logged } = await startBackend(t, framework, transport, { key })
        const person = await signIn(server, transport)
        for (let i = 0; i < 3; i++) await assertUnavailable(await person.fetch(`${url}/orders`))
        assert.deepEqual(logged, ['latchkey: the service key is refused: SERVICE_KEYS of Latchkey must have its hash'])
        assert.equal((await person.fetch(`${server.url}/api/profile`)).status, 200)
      })

      test('an expired token, and a session that is not fresh', async t => {
        const { url } = await startBackend(t, framework, transport, { api: short })
        const person = await signIn(short, transport)
        const untilRefused = async path => {
          for (;;) {
            const answer = await person.fetch(url + path)
            if (!answer.ok) return answer
          }
        }
        const notFresh = await assertRefused(await untilRefused('/transfers'), 401, 'step_up_required')
        assert.equal(notFresh.challenge, 'Bearer error="insufficient_user_authentication"')
        const refused = await assertRefused(await untilRefused('/orders'), 401, 'token_expired')
        assert.deepEqual(refused, await read(await person.fetch(`${short.url}/api/profile`)))
      })
    })
  }
}

// --- Host names ---

test('a backend on another host name gets no cookie; behind Latchkey’s own host it does', async t => {
  const { url, own } = await startBackend(t, 'express', 'cookie')
  const person = await signIn(server, 'cookie')
  assert.match(person.cookies('localhost'), /session_\d+=lka_/)
  assert.equal(person.cookies('127.0.0.1'), '')
  await assertRefused(await person.fetch(`${own}/orders`), 401, 'no_credentials')
  assert.equal((await person.fetch(`${url}/orders`)).status, 200)
})

// --- Redis ---

const hasRedis = (() => {
  try {
    return Boolean(execFileSync('redis-server', ['--version']))
  } catch {
    return false
  }
})()

test('Redis is stopped', { skip: !hasRedis && process.env.CI !== 'true' && 'no redis-server found' }, async t => {
  const port = await freePort()
  const redis = spawn('redis-server', ['--bind', '127.0.0.1', '--port', String(port), '--save', '', '--appendonly', 'no'])
  t.after(() => redis.kill())
  for await (const text of redis.stdout) if (/Ready to accept/.test(text)) break
  const own = await startServer({ ...variables, REDIS_HOST: '127.0.0.1', REDIS_PORT: String(port) })
  t.after(own.stop)
  for (const transport of ['cookie', 'bearer']) {
    const person = await signIn(own, transport)
    const { url } = await startBackend(t, 'express', transport, { api: own })
    assert.equal((await person.fetch(`${url}/orders`)).status, 200)
    if (transport === 'cookie') continue
    redis.kill('SIGKILL')
    await once(redis, 'exit')
    await assertUnavailable(await person.fetch(`${url}/orders`))
  }
})

// --- A session that a thousand careless calls leave as it is ---

test('a thousand calls without any header of the person leave the session as it is', async t => {
  const person = await signIn(server, 'bearer')
  const { own } = await startBackend(t, 'express', 'bearer')
  // To read the session is activity of its own, which counts if a minute has passed.
  const readSession = async () => {
    const [{ lastSeenAt, idleExpiresAt, ...session }] = (await (await person.fetch(`${server.url}/api/sessions`)).json()).sessions
    return session
  }
  const before = await readSession()
  const ask = body => fetch(`${server.url}/auth/validate`, {
    method: 'POST',
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  })
  for (let i = 0; i < 500; i++) assert.equal((await (await ask({ token: person.token })).json()).active, true)
  // The token alone, as a thief sends it.
  for (let i = 0; i < 500; i++) {
    const headers = ['Host', '127.0.0.1', 'Authorization', `Bearer ${person.token}`]
    assert.equal((await sendRaw(`${own}/orders`, { headers })).status, 401)
  }
  const events = await (await person.fetch(`${server.url}/api/activity`)).json()
  assert.deepEqual(events.events.map(event => event.type), ['login'])
  assert.deepEqual(await readSession(), before)
  assert.equal((await person.fetch(`${own}/orders`)).status, 200)
})

/** Sends a request with exactly these headers, and returns the answer. */
function sendRaw(url, { method = 'GET', headers }) {
  return new Promise((resolve, reject) => {
    const request = http.request(url, { method, headers, setHost: false }, async answer => {
      let text = ''
      for await (const part of answer) text += part
      resolve({ status: answer.statusCode, body: text && JSON.parse(text) })
    })
    request.on('error', reject)
    request.end()
  })
}

// --- Unusual requests ---

for (const framework of Object.keys(frameworks)) {
  test(`${framework}: HEAD, OPTIONS, and headers that come twice`, async t => {
    const { own, url } = await startBackend(t, framework, 'cookie')
    const person = await signIn(server, 'bearer')
    const browser = await signIn(server, 'cookie')
    const [name] = browser.cookies('localhost').match(/session_\d+/)
    const head = await person.fetch(`${own}/orders`, { method: 'HEAD' })
    assert.deepEqual([head.status, await head.text()], [200, ''])
    const refused = await createPerson().fetch(`${own}/orders`, { method: 'HEAD' })
    assert.deepEqual([refused.status, await refused.text()], [401, ''])
    await assertRefused(await createPerson().fetch(`${own}/orders`, { method: 'OPTIONS' }), 401, 'no_credentials')

    const base = ['Host', 'localhost', 'User-Agent', AGENT, 'Content-Length', '0']
    const bearer = ['Authorization', `Bearer ${person.token}`]
    const cookie = ['Cookie', browser.cookies('localhost')]
    const send = (headers, method) => sendRaw(`${own}/orders`, { method, headers: [...base, ...headers] })
    assert.equal((await send(bearer)).status, 200)
    for (const headers of [
      [...bearer, 'Authorization', 'Bearer lka_x'],
      ['Authorization', 'Bearer lka_x', ...bearer],
      ['Authorization', 'Basic eA==', ...bearer],
      ['Authorization', `Bearer ${person.token}, Bearer ${person.token}`],
      ['Authorization', 'Bearer'],
      ['Authorization', `Bearer ${person.token} x`],
      [...bearer, ...cookie],
      [...cookie, 'Cookie', `${name}=lka_${'A'.repeat(100)}`],
    ]) {
      const { status, body } = await send(headers)
      assert.ok(status === 400 && body.code === 'invalid_request', `${headers}: ${status} ${body.code}`)
    }
    assert.equal((await send(['Authorization', 'Basic eA=='])).body.code, 'no_credentials')
    assert.equal((await send([...cookie, 'Cookie', 'theme=dark'])).status, 200)
    for (const headers of [
      ['Origin', PAGE, 'Origin', EVIL],
      ['Origin', EVIL, 'Origin', PAGE],
      ['Origin', PAGE, 'Sec-Fetch-Site', 'same-site', 'Sec-Fetch-Site', 'cross-site'],
      ['Sec-Fetch-Site', 'same-origin', 'Sec-Fetch-Site', 'same-origin'],
      [],
    ]) {
      assert.equal((await send([...cookie, ...headers], 'POST')).body.code, 'origin_not_allowed')
    }
    // Any page can begin a WebSocket with cookies: an upgrade is no safe method.
    const upgrade = ['Connection', 'keep-alive', 'Upgrade', 'websocket']
    assert.equal((await send([...cookie, ...upgrade, 'Origin', EVIL])).body?.code, 'origin_not_allowed')
    assert.equal((await send([...cookie, ...upgrade, 'Origin', PAGE])).status, 200)
    assert.equal((await browser.fetch(`${url}/orders`)).status, 200)
  })
}

test('a framework that makes up its requests has no raw headers', async () => {
  const person = await signIn(server, 'bearer')
  const guard = latchkey({ url: server.url, key: KEY }).express()
  const req = { method: 'GET', headers: { authorization: `Bearer ${person.token}`, 'user-agent': [AGENT] } }
  await new Promise((resolve, reject) => guard(req, {}, error => error ? reject(error) : resolve()))
  assert.equal(req.latchkey.userId, person.user.id)
})

test('what a route throws is the framework’s to handle', async t => {
  const person = await signIn(server, 'bearer')
  const guard = latchkey({ url: server.url, key: KEY })
  const app = express()
  app.get('/', guard.express(), () => { throw new Error('of the route') })
  app.use((error, req, res, next) => { res.status(500).json({ message: error.message }) })
  const listener = app.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  t.after(() => close(listener))
  const answer = await person.fetch(`http://127.0.0.1:${listener.address().port}/`)
  assert.deepEqual([answer.status, await answer.json()], [500, { message: 'of the route' }])
})

/** Asks the local server about a request of a person, with exactly these headers. */
const askAbout = (person, { headers, rule, method = 'GET', ...options }) =>
  latchkey({ url: server.url, key: KEY, ...options }).requireSession(new Request('https://orders.example.com/', {
    method,
    headers: { 'User-Agent': AGENT, ...person.token && { Authorization: `Bearer ${person.token}` }, ...headers },
  }), rule)

for (const transport of ['cookie', 'bearer']) {
  test(`a WebSocket’s handshake cannot show a device id, and harms no session: ${transport}`, async () => {
    const person = await signIn(server, transport, { 'X-Device-Id': 'an-id' })
    const credentials = transport === 'cookie' ? { Cookie: person.cookies('localhost'), Origin: PAGE } : {}
    const upgrade = { ...credentials, Upgrade: 'websocket' }
    const ask = (headers, rule, method) => askAbout(person, { headers, rule, method })
    for (const rule of [{}, { touch: true }]) {
      const { session } = await ask(upgrade, rule)
      assert.equal(session?.userId, person.user.id)
      assert.equal((await ask({ ...upgrade, 'X-Device-Id': 'an-id' }, rule)).session?.userId, person.user.id)
    }
    const own = await person.fetch(`${server.url}/api/profile`, { headers: { 'X-Device-Id': 'an-id' } })
    assert.equal(own.status, 200)
    // Whatever else is known is compared, and only a handshake is excused.
    for (const [headers, method] of [
      [{ ...upgrade, 'User-Agent': OTHER_AGENT }], [{ ...upgrade, 'X-Device-Id': 'another' }],
      [{ ...upgrade, 'X-Device-Id': '' }], [credentials], [upgrade, 'POST'],
    ]) {
      await assertRefused((await ask(headers, {}, method)).response, 401, 'step_up_required')
    }
  })
}

test('headers that are too large are the caller’s fault', async () => {
  const logged = []
  const log = message => logged.push(message)
  const person = await signIn(server, 'cookie')
  const own = person.cookies('localhost')
  const ask = size => askAbout(person, { headers: { Cookie: `theme=${'x'.repeat(size)}; ${own}` }, log })
  assert.equal((await ask(12_000)).session.userId, person.user.id)
  await assertRefused((await ask(20_000)).response, 431, 'too_large')
  assert.deepEqual(logged, [])
})

/** Returns a list of the rejections that nobody handles until the test ends. */
function collectUnhandled(t) {
  const unhandled = []
  const others = process.listeners('unhandledRejection') // the runner's, which fails the test
  process.removeAllListeners('unhandledRejection').on('unhandledRejection', error => unhandled.push(error))
  t.after(() => {
    process.removeAllListeners('unhandledRejection')
    others.forEach(other => process.on('unhandledRejection', other))
  })
  return unhandled
}

test('next is called once, whatever it throws', async t => {
  const { guard } = createStandIn()
  const thrown = new Error('of the route')
  const unhandled = collectUnhandled(t)
  const calls = []
  await new Promise(resolve => guard.express()({ method: 'GET', headers: { authorization: 'Bearer lka_x' } }, {}, error => {
    calls.push(error)
    setImmediate(resolve)
    throw thrown
  }))
  assert.deepEqual([calls, unhandled], [[undefined], [thrown]])
})

test('a refusal that cannot be sent is the framework’s to handle', async () => {
  const failure = new Error('the headers have been sent')
  const { guard } = createStandIn()
  const calls = []
  const res = { setHeader() { throw failure } }
  const req = { method: 'GET', headers: { authorization: 'Bearer' } }
  await new Promise(resolve => guard.express()(req, res, error => {
    calls.push(error)
    setImmediate(resolve)
  }))
  assert.deepEqual(calls, [failure])
})

// --- A stand-in for Latchkey ---

const ACTIVE = {
  active: true, userId: 'u1', account: '0xA1', address: '0xA1', wallet: 'eoa', chainId: 1, sessionId: 's1',
  roles: ['user'], permissions: ['orders:read'],
  expiresAt: '2100-01-01T00:00:00.000Z', idleExpiresAt: '2100-01-01T00:00:00.000Z',
}
const { active, ...SESSION } = ACTIVE
const TOKEN = 'lka_secret'

/** Returns a guard whose questions a function answers, and what was asked and logged. */
function createStandIn(answer = () => Response.json(ACTIVE), options = {}) {
  const asked = []
  const logged = []
  const guard = latchkey({
    url: 'https://api.example.com/v1/', key: KEY, log: message => logged.push(message),
    fetch: async (url, init) => {
      asked.push({ url, ...init, body: JSON.parse(init.body) })
      return answer(asked.length)
    },
    ...options,
  })
  const send = (headers = {}, rule = undefined, method = 'GET') =>
    guard.requireSession(new Request('https://orders.example.com/', {
      method, headers: { Authorization: `Bearer ${TOKEN}`, ...headers },
    }), rule)
  return { guard, asked, logged, send }
}

test('what is asked', async () => {
  const { asked, send } = createStandIn()
  const headers = {
    'User-Agent': AGENT, 'X-Device-Id': 'an-id', Cookie: 'a=b', Origin: PAGE, 'Sec-Fetch-Site': 'same-site',
    'Sec-Fetch-Mode': 'cors', 'X-Forwarded-For': '203.0.113.7',
  }
  const { session, response } = await send(headers, { permission: 'p', fresh: true, touch: true }, 'DELETE')
  assert.deepEqual([session, response], [SESSION, undefined])
  const [{ url, method, headers: own, redirect, body }] = asked
  assert.deepEqual([url, method, redirect], ['https://api.example.com/v1/auth/validate', 'POST', 'manual'])
  assert.deepEqual(own, { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' })
  assert.deepEqual(body, {
    token: TOKEN, cookie: 'a=b', origin: PAGE, secFetchSite: 'same-site', secFetchMode: 'cors', method: 'DELETE',
    userAgent: AGENT, deviceId: 'an-id', permission: 'p', fresh: true, touch: true,
  })
  await send()
  // A header that is missing is said to be missing, so that it is compared.
  assert.deepEqual(asked[1].body, { token: TOKEN, cookie: '', method: 'GET', userAgent: '', deviceId: '' })
})

test('the address of a header that is trusted, and of no other', async () => {
  const { asked, logged, send } = createStandIn(undefined, { trustedAddressHeader: 'X-Real-IP' })
  for (const [value, ip] of [
    ['203.0.113.7', '203.0.113.7'], ['203.0.113.7:4711', '203.0.113.7'], ['2001:db8::1', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'], ['[2001:db8::1]', '2001:db8::1'], ['198.51.100.1, 203.0.113.7', '203.0.113.7'],
  ]) {
    await send({ 'X-Real-IP': value, 'X-Forwarded-For': '198.51.100.9' })
    assert.equal(asked.at(-1).body.ip, ip)
  }
  const sent = asked.length
  for (const value of ['', 'unknown', '203.0.113.7,', 'a'.repeat(50), ':', '_hidden']) {
    await assertUnavailable((await send({ 'X-Real-IP': value })).response)
  }
  await assertUnavailable((await send()).response)
  assert.equal(asked.length, sent)
  assert.deepEqual(logged, ['latchkey: the header X-Real-IP has no address: does every request come through the proxy?'])
})

const problem = { type: 'about:blank', title: 'Unauthorized', status: 401, code: 'token_expired', detail: 'd', requestId: 'r', more: 1 }
const inactive = (changes = {}) => Response.json({ active: false, code: 'token_expired', status: 401, problem, ...changes })

test('a problem is passed on unchanged', async () => {
  const { response } = await createStandIn(() => inactive()).send()
  assert.equal(response.headers.get('www-authenticate'), 'Bearer error="invalid_token"')
  assert.equal(await response.text(), JSON.stringify(problem))
  const other = { ...problem, status: 403, code: 'a_new_code' }
  const unknown = await createStandIn(() => inactive({ code: 'a_new_code', status: 403, problem: other })).send()
  assert.deepEqual([unknown.response.status, unknown.response.headers.get('www-authenticate')], [403, null])
})

for (const [name, answer, message, retryAfter] of [
  ['503', () => Response.json({ code: 'unavailable' }, { status: 503, headers: { 'Retry-After': '7' } }), /503 unavailable$/, '7'],
  ['503 with a date', () => new Response('', { status: 503, headers: { 'Retry-After': 'Fri, 31 Dec 1999' } }), /503$/],
  ['429 of the gateway', () => Response.json({ message: 'Too Many Requests' }, { status: 429 }), /429$/],
  ['400', () => Response.json({ code: 'invalid_request', detail: TOKEN }, { status: 400 }), /400 invalid_request$/],
  ['401', () => Response.json({ code: 'no_credentials' }, { status: 401 }), /service key/],
  ['403', () => Response.json({ ...ACTIVE, code: 'edge_required' }, { status: 403 }), /403 edge_required$/],
  ['404', () => Response.json({ message: 'Not Found' }, { status: 404 }), /404$/],
  ['a redirect', () => new Response(null, { status: 307, headers: { Location: EVIL } }), /307$/],
  ['201', () => Response.json(ACTIVE, { status: 201 }), /201$/],
  ['text', () => new Response('<html>'), /something else/],
  ['null', () => Response.json(null), /something else/],
  ['a list', () => Response.json([ACTIVE]), /something else/],
  ['active that is no boolean', () => Response.json({ ...ACTIVE, active: 'true' }), /something else/],
  ['no user', () => Response.json({ ...ACTIVE, userId: '' }), /something else/],
  ['no permissions', () => Response.json({ ...ACTIVE, permissions: undefined }), /something else/],
  ['inactive without a problem', () => inactive({ problem: undefined }), /something else/],
  ['inactive with a success', () => inactive({ status: 200, problem: { ...problem, status: 200 } }), /something else/],
  ['inactive with two statuses', () => inactive({ status: 403 }), /something else/],
  ['no answer', () => { throw new TypeError(`fetch failed ${TOKEN}`, { cause: { code: 'ECONNREFUSED' } }) }, /ECONNREFUSED$/],
  ['an error that quotes the key', () => { throw new TypeError(`Bearer ${KEY}`) }, /TypeError$/],
  ['an answer that breaks off', () => new Response(new ReadableStream({ start: c => c.error(new Error(KEY)) })), /no answer.*Error$/],
]) {
  test(`Latchkey answers with ${name}`, async () => {
    const { logged, send } = createStandIn(answer)
    await assertUnavailable((await send()).response, retryAfter)
    await assertUnavailable((await send()).response, retryAfter)
    assert.equal(logged.length, 1)
    assert.match(logged[0], message)
    assert.ok(!logged[0].includes(KEY) && !logged[0].includes(TOKEN), logged[0])
  })
}

test('Latchkey does not answer in time', async t => {
  // The time is over when the request has arrived, or after the head of the answer.
  const clock = t.mock.method(AbortSignal, 'timeout', () => controller.signal)
  let controller
  for (const isBegun of [false, true]) {
    controller = new AbortController()
    const timeOut = () => controller.abort(new DOMException('it took too long', 'TimeoutError'))
    const requests = []
    const port = await listen(t, (req, res) => {
      requests.push(req.url)
      if (!isBegun) return timeOut()
      res.write('{')
      res.flushHeaders()
    })
    const send = async (url, init) => {
      const answer = await fetch(url, init)
      setImmediate(timeOut)
      return answer
    }
    const stand = createStandIn(undefined, { url: `http://127.0.0.1:${port}`, timeoutSeconds: 7, fetch: isBegun ? send : undefined })
    await assertUnavailable((await stand.send()).response)
    assert.deepEqual(requests, ['/auth/validate'])
    assert.match(stand.logged[0], /TimeoutError$/)
    assert.equal(clock.mock.calls.at(-1).arguments[0], 7000)
  }
})

test('a log that fails changes no answer', async t => {
  const unhandled = collectUnhandled(t)
  const failures = [() => { throw new Error('disk full') }, async () => { throw new Error('disk full') }]
  for (const log of failures) {
    const { send } = createStandIn(() => new Response('', { status: 503 }), { log })
    await assertUnavailable((await send()).response)
    await assertUnavailable((await send()).response)
  }
  await new Promise(setImmediate)
  assert.deepEqual(unhandled, [])
})

test('413 of anything before Latchkey is for the caller, too', async () => {
  const { logged, send } = createStandIn(() => new Response('<html>', { status: 413 }))
  const { body } = await assertRefused((await send()).response, 431, 'too_large')
  assert.deepEqual([body.title, logged], ['Request Header Fields Too Large', []])
})

test('a redirect gets neither key nor token', async t => {
  const requests = []
  const other = await listen(t, (req, res) => { requests.push(req.url); res.end('{}') })
  const port = await listen(t, (req, res) => { res.writeHead(307, { Location: `http://127.0.0.1:${other}/` }).end() })
  const { send } = createStandIn(undefined, { url: `http://127.0.0.1:${port}`, fetch: undefined })
  await assertUnavailable((await send()).response)
  assert.deepEqual(requests, [])
})

test('a service key that is missing or malformed is logged, and never sent', async () => {
  for (const key of [undefined, '', 'lks_x', `${KEY}\n`, KEY.slice(4), ` ${KEY}`]) {
    const { asked, logged, send } = createStandIn(undefined, { key })
    await assertUnavailable((await send()).response)
    assert.equal(asked.length, 0)
    assert.deepEqual(logged, ['latchkey: no valid service key is set: the option key takes one, which begins with lks_'])
  }
})

test('a message is logged again after a minute', async t => {
  t.mock.timers.enable({ apis: ['Date'] })
  const { logged, send } = createStandIn(() => new Response('', { status: 503 }))
  for (const [ms, count] of [[0, 1], [59_999, 1], [1, 2], [59_999, 2]]) {
    t.mock.timers.tick(ms)
    await send()
    assert.equal(logged.length, count)
  }
})

// --- Options and rules ---

test('options and rules that are not valid are refused', async () => {
  const { guard } = createStandIn()
  for (const options of [
    { url: 'http://api.example.com' }, { url: 'http://localhost.example.com' }, { url: 'ftp://localhost' }, { url: '' },
    { cacheSeconds: 5.1 }, { cacheSeconds: -1 }, { cacheSeconds: NaN }, { cacheSeconds: Infinity }, { cacheSeconds: '1m' },
    { timeoutSeconds: 0 }, { timeoutSeconds: 61 }, { timeoutSeconds: NaN }, { log: null }, { log: console },
  ]) {
    assert.throws(() => createStandIn(undefined, options), JSON.stringify(options))
  }
  class Rule { permission = 'orders:read' }
  const hidden = Object.defineProperty({}, 'permission', { value: 1 })
  for (const rule of [
    new Map([['permission', 'orders:read']]), new Set(['orders:read']), [], ['orders:read'], () => {}, new Rule(), 1, true,
    Object.create({ permission: 'orders:read' }), Object.create(new Rule()), new Date(), hidden, { [Symbol('permission')]: 'orders:read' },
    'orders:read', null, { permision: 'orders:read' }, { fesh: true }, { permission: undefined }, { permission: '' },
    { permission: ['orders:read'] }, { fresh: 'yes' }, { touch: 1 },
  ]) {
    for (const wrap of ['express', 'fastify', 'hono']) assert.throws(() => guard[wrap](rule), TypeError)
    await assert.rejects(guard.requireSession(new Request('https://orders.example.com/'), rule), TypeError)
  }
})

test('a requirement that is not enumerable, or of an object without a prototype, counts', async () => {
  const { asked, send } = createStandIn()
  const rule = Object.create(null, { permission: { value: 'orders:read' }, fresh: { value: true, enumerable: true } })
  await send({}, rule)
  assert.deepEqual([asked[0].body.permission, asked[0].body.fresh], ['orders:read', true])
})

test('a rule is read once', async () => {
  const { asked, send } = createStandIn()
  let reads = 0
  await send({}, { get permission() { return reads++ ? undefined : 'orders:read' } })
  assert.equal(asked[0].body.permission, 'orders:read')
})

test('the url is an address alone', async () => {
  for (const [url, from] of [
    ['https://api.example.com', 'https://api.example.com'], ['https://api.example.com//', 'https://api.example.com'],
    [' https://API.example.com/v1/ ', 'https://api.example.com/v1'], ['http://[::1]:3000', 'http://[::1]:3000'],
  ]) {
    const { asked, send } = createStandIn(undefined, { url })
    await send()
    assert.equal(asked[0].url, `${from}/auth/validate`)
  }
  for (const more of ['?', '?stage=1', '#', '#x', '/?/', '/#/']) {
    assert.throws(() => createStandIn(undefined, { url: `https://api.example.com${more}` }), /no query, no fragment/)
  }
  for (const info of ['user:secret', 'secret', ':secret']) {
    assert.throws(() => createStandIn(undefined, { url: `https://${info}@api.example.com` }),
      error => /no user name or password/.test(error.message) && !error.message.includes('secret'))
    assert.throws(() => createStandIn(undefined, { url: `http://${info}@api.example.com` }), error => !error.message.includes('secret'))
  }
})

// --- The cache ---

test('without a cache every request is asked about', async () => {
  const { asked, send } = createStandIn()
  await send()
  await send()
  assert.equal(asked.length, 2)
})

test('an answer of the cache is used for as long as the option says', async t => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 0) })
  const { asked, send } = createStandIn(undefined, { cacheSeconds: 5 })
  const { session } = await send()
  session.permissions.push('everything') // of this request alone
  t.mock.timers.tick(4999)
  assert.deepEqual((await send()).session, SESSION)
  assert.equal(asked.length, 1)
  t.mock.timers.tick(1)
  await send()
  assert.equal(asked.length, 2)
  t.mock.timers.setTime(Date.UTC(2025, 0)) // a clock that is set back makes it no older
  await send()
  assert.equal(asked.length, 3)
})

test('the time of a cached answer begins when it was asked for', async t => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 0) })
  const { asked, send } = createStandIn(() => {
    t.mock.timers.tick(3000)
    return Response.json(ACTIVE)
  }, { cacheSeconds: 5 })
  await send()
  t.mock.timers.tick(2000)
  await send()
  assert.equal(asked.length, 2)
})

test('no answer outlives its session or its freshness in the cache', async t => {
  for (const name of ['expiresAt', 'idleExpiresAt', 'elevatedUntil']) {
    t.mock.timers.enable({ apis: ['Date'], now: Date.UTC(2026, 0) })
    const until = new Date(Date.now() + 1000).toISOString()
    const { asked, send } = createStandIn(() => Response.json({ ...ACTIVE, [name]: until }), { cacheSeconds: 5 })
    await send()
    t.mock.timers.tick(999)
    await send()
    assert.equal(asked.length, 1)
    t.mock.timers.tick(1)
    await send()
    assert.equal(asked.length, 2)
    t.mock.timers.reset()
  }
})

test('the cache knows everything that was asked apart', async t => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const { asked, send } = createStandIn(undefined, { cacheSeconds: 5, trustedAddressHeader: 'X-Real-IP' })
  const base = { 'X-Real-IP': '203.0.113.7' }
  const variants = [
    [base], [{ ...base, Authorization: 'Bearer lka_other' }], [{ ...base, Cookie: 'a=b' }], [{ ...base, 'User-Agent': 'x' }],
    [{ ...base, 'X-Device-Id': 'x' }], [{ ...base, Origin: EVIL }], [{ ...base, 'Sec-Fetch-Site': 'cross-site' }],
    [{ ...base, 'Sec-Fetch-Mode': 'navigate' }], [{ ...base, Upgrade: 'websocket' }], [{ 'X-Real-IP': '198.51.100.1' }],
    [base, { permission: 'a' }], [base, { permission: 'b' }], [base, { fresh: true }], [base, {}, 'POST'],
  ]
  for (const variant of [...variants, ...variants]) await send(...variant)
  assert.equal(asked.length, variants.length)
})

test('the cache has neither refusals nor faults, nor what counts as activity', async () => {
  for (const [answer, rule] of [
    [() => inactive()], [() => new Response('', { status: 503 })], [() => Response.json(ACTIVE), { touch: true }],
  ]) {
    const { asked, send } = createStandIn(answer, { cacheSeconds: 5 })
    await send({}, rule)
    await send({}, rule)
    assert.equal(asked.length, 2)
  }
  const { asked, send } = createStandIn(n => n === 1 ? inactive() : Response.json(ACTIVE), { cacheSeconds: 5 })
  assert.equal((await send()).response.status, 401)
  assert.deepEqual((await send()).session, SESSION)
  assert.equal(asked.length, 2)
})

test('the cache is bounded: the oldest answer goes first', async t => {
  // A thousand questions may take longer than an answer may be used.
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const { asked, send } = createStandIn(undefined, { cacheSeconds: 5 })
  const from = i => send({ 'User-Agent': `agent-${i}` })
  for (let i = 0; i <= 1000; i++) await from(i)
  await from(1000)
  await from(1)
  assert.equal(asked.length, 1001)
  await from(0)
  assert.equal(asked.length, 1002)
})

test('an ended session passes from the cache, and no longer than that', async t => {
  t.mock.timers.enable({ apis: ['Date'], now: Date.now() })
  const person = await signIn(server, 'bearer')
  const guard = latchkey({ url: server.url, key: KEY, cacheSeconds: 5 })
  const send = () => guard.requireSession(new Request('https://orders.example.com/', {
    headers: { Authorization: `Bearer ${person.token}`, 'User-Agent': AGENT },
  }))
  assert.equal((await send()).session.userId, person.user.id)
  await signOut(server, person)
  assert.equal((await send()).session.userId, person.user.id)
  t.mock.timers.tick(5000)
  await assertRefused((await send()).response, 401, 'session_ended')
})
