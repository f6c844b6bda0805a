// What the tests share: a local server, browsers, wallets, and a fake API.

import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { hexToString } from 'viem'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Is the origin of the pages in the tests. */
export const PAGE = 'http://localhost:5173'

/**
 * Returns the path of the local server, which LATCHKEY_SERVER names. Without it
 * the server is built, for this process alone, so it is never an earlier one.
 */
function binary() {
  if (process.env.LATCHKEY_SERVER) return process.env.LATCHKEY_SERVER
  const folder = mkdtempSync(join(tmpdir(), 'latchkey-server-'))
  process.on('exit', () => rmSync(folder, { recursive: true }))
  const path = process.env.LATCHKEY_SERVER = join(folder, 'local')
  const env = { ...process.env, CGO_ENABLED: '0' }
  execFileSync('go', ['build', '-o', path, './local'], { cwd: root, env, stdio: 'inherit' })
  return path
}

function freePort() {
  return new Promise((resolve, reject) => {
    const probe = createServer()
    probe.on('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

/** Starts a local server. The test file stops it at its end. */
export async function startServer(variables = {}) {
  const port = await freePort()
  const env = {
    PATH: process.env.PATH, PORT: String(port), SIWE_DOMAINS: 'localhost:5173',
    RATE_LIMIT_NONCE_PER_MINUTE: '0', RATE_LIMIT_LOGIN_PER_MINUTE: '0', RATE_LIMIT_REFRESH_PER_MINUTE: '0',
    ...variables,
  }
  const child = spawn(binary(), [], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  let log = ''
  child.stderr.on('data', text => { log += text })
  await new Promise((resolve, reject) => {
    child.stdout.once('data', resolve)
    child.once('exit', code => reject(new Error(`the server ended with ${code}:\n${log}`)))
  })
  return { url: `http://localhost:${port}`, stop: () => child.kill() }
}

/** Is a browser's cookies and network. Its tabs share its fetch. */
export function createBrowser({ userAgent = 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0', origin = PAGE } = {}) {
  const cookies = new Map()
  const browser = {
    userAgent,
    cookies,
    /** Lists requests as `GET /path 200`. */
    log: [],
    /** Replaces a request, if it returns or throws something. */
    intercept: undefined,
    /** Says whether the cookies of an answer are not kept, by its path. */
    isBlocked: () => false,
    async fetch(input, init = {}) {
      const request = new Request(input, init)
      const headers = new Headers(request.headers)
      headers.set('Origin', origin)
      headers.set('User-Agent', browser.userAgent)
      const isWithCookies = request.credentials === 'include'
      if (isWithCookies && cookies.size) {
        headers.set('Cookie', [...cookies].map(pair => pair.join('=')).join('; '))
      }
      const send = () => fetch(new Request(request, { headers }))
      const answer = await browser.intercept?.(request, send) ?? await send()
      const { pathname } = new URL(request.url)
      if (isWithCookies && !browser.isBlocked(pathname)) answer.headers.getSetCookie().forEach(keepCookie)
      browser.log.push(`${request.method} ${pathname} ${answer.status}`)
      return answer
    },
    count: entry => browser.log.filter(line => line.startsWith(entry)).length,
  }
  function keepCookie(line) {
    const [, name, value] = /^([^=]*)=([^;]*)/.exec(line)
    if (/max-age=0|max-age=-/i.test(line) || !value) cookies.delete(name)
    else cookies.set(name, value)
  }
  return browser
}

/** Is an injected wallet with a key of its own, as an EIP-1193 provider. */
export function createWallet() {
  let account = privateKeyToAccount(generatePrivateKey())
  const listeners = new Set() // to accountsChanged
  const others = new Set()
  const wallet = {
    address: account.address,
    chainId: 1,
    signed: [],
    rejects: false,
    calls: [],
    async request({ method, params }) {
      wallet.calls.push(method)
      if (method === 'eth_requestAccounts') return [account.address]
      if (method === 'eth_chainId') return '0x' + wallet.chainId.toString(16)
      if (method !== 'personal_sign') throw new Error(method)
      if (wallet.rejects) throw Object.assign(new Error('rejected'), { code: 4001 })
      return wallet.sign(hexToString(params[0]))
    },
    sign(message) {
      wallet.signed.push(message)
      return account.signMessage({ message })
    },
    on(event, listener) { (event === 'accountsChanged' ? listeners : others).add(listener) },
    removeListener(event, listener) { listeners.delete(listener) },
    listeners,
    switchTo(accounts) { for (const listener of listeners) listener(accounts) },
    switchChain(id) { for (const listener of others) listener(id) },
  }
  return wallet
}

/** Makes this process look like a page, until the test ends. */
export function openPage(t) {
  const events = new EventTarget()
  const names = {
    location: { href: PAGE + '/' },
    addEventListener: events.addEventListener.bind(events),
    removeEventListener: events.removeEventListener.bind(events),
    dispatchEvent: events.dispatchEvent.bind(events),
  }
  for (const [name, value] of Object.entries(names)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  }
  t.after(() => { for (const name of Object.keys(names)) delete globalThis[name] })
  return {
    emit: (name, members = {}) => events.dispatchEvent(Object.assign(new Event(name), members)),
  }
}

/** Waits until a client is in a state. */
export function reach(client, status) {
  return new Promise((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error(
      `waiting for ${status}, the state is ${JSON.stringify(client.getSnapshot())}`)), 5000)
    const check = () => {
      if (client.getSnapshot().status !== status) return
      clearTimeout(timeout)
      queueMicrotask(() => stop())
      resolve(client.getSnapshot())
    }
    const stop = client.subscribe(check)
    check()
  })
}

/** Lets everything that is due happen, without any clock. */
export async function settle() {
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
}

export const USER = {
  id: 'u1', address: '0x00000000000000000000000000000000000000A1', roles: ['user'], permissions: [],
}

/**
 * Answers like the API, from a table of functions by method and path. With
 * cookies it leaves out the tokens.
 */
export function createFakeAPI(isBearer, routes) {
  const fake = {
    requests: [],
    routes,
    async fetch(input, init) {
      const request = new Request(input, init)
      const { pathname } = new URL(request.url)
      const name = `${request.method} ${pathname}`
      fake.requests.push({ name, request, body: await request.clone().text() })
      if (fake.requests.length > 100) throw new Error('the client repeats without end')
      const route = fake.routes[name]
      if (!route) return problem(404, 'not_found')
      const answered = await route(request)
      if (isBearer || !answered.ok || answered.status === 204) return answered
      const { accessToken, refreshToken, ...body } = await answered.json()
      return answer(body)
    },
    count: name => fake.requests.filter(request => request.name === name).length,
  }
  return fake
}

export const answer = (body, init) => Response.json(body, init)

export const problem = (status, code, more = {}, headers = {}) =>
  Response.json({ type: 'about:blank', status, code, ...more },
    { status, headers: { 'content-type': 'application/problem+json', ...headers } })

let drawn = 0

/** Is what a refresh answers. */
export const grant = (more = {}) => ({
  tokenType: 'Bearer', accessToken: `lka_${++drawn}`, refreshToken: `lkr_${drawn}`,
  expiresIn: 900, refreshExpiresIn: 1800, session: { id: 's1', n: drawn }, ...more,
})

/** A login's, with bearer. */
export const login = () => grant({ user: USER })
