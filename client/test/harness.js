// What the tests share: a local server, browsers, and wallets that have keys.

import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { PAGE, createProvider } from './fakes.js'

// A copy of this folder, which has no server beside it, has LATCHKEY_ROOT.
const root = process.env.LATCHKEY_ROOT ?? fileURLToPath(new URL('../..', import.meta.url))

export * from './fakes.js'

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

export function freePort() {
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
    ANSWERS: process.env.ANSWERS, ANSWERS_PACKAGE: 'latchkey/client', ...variables,
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

/** Is an injected wallet with a key of its own. */
export function createWallet() {
  const account = privateKeyToAccount(generatePrivateKey())
  return createProvider(account.address, message => account.signMessage({ message }))
}
