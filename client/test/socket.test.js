// WebSockets with tickets, against the local server.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { LatchkeyError, createLatchkey } from '../latchkey.js'
import { openSocket } from '../socket.js'
import { createBrowser, createWallet, openPage, problem, reach, startServer } from './harness.js'

const skip = typeof WebSocket === 'undefined' && 'this Node has no WebSocket: run node --experimental-websocket, as npm test does'

let server

before(async () => { server = await startServer() }, { timeout: 600_000 })
after(() => server?.stop())

const socketUrl = () => server.url.replace('http', 'ws') + '/protected/ws'

/** Makes the WebSockets of this process those of a browser, and lists what they offer. */
function useBrowser(t, browser) {
  const Original = WebSocket
  const offers = []
  globalThis.WebSocket = class extends Original {
    constructor(url, protocols) {
      offers.push(protocols)
      super(url, { protocols, headers: { 'User-Agent': browser.userAgent, Origin: 'https://evil.example' } })
    }
  }
  t.after(() => { globalThis.WebSocket = Original })
  return offers
}

/** Opens a tab that is signed in. */
async function signedIn(t, options) {
  openPage(t)
  const browser = createBrowser()
  const client = createLatchkey({ url: server.url, fetch: browser.fetch, ...options })
  t.after(client.dispose)
  client.subscribe(() => {})
  await reach(client, 'signedOut')
  const wallet = createWallet()
  await client.signIn(wallet)
  return { client, browser, wallet }
}

/** Sends a message, and returns the answer. */
async function ask(socket, message) {
  const answer = new Promise((resolve, reject) => {
    socket.addEventListener('message', ({ data }) => resolve(JSON.parse(data)), { once: true })
    socket.addEventListener('close', () => reject(new Error('closed')), { once: true })
  })
  socket.send(message)
  return answer
}

for (const transport of ['cookie', 'bearer']) {
  test(`${transport}: open, ask, and connect again`, { skip }, async t => {
    const { client, browser, wallet } = await signedIn(t, { transport })
    const offers = useBrowser(t, browser)
    const socket = await openSocket(client, socketUrl(), { protocols: ['chat'] })
    t.after(() => socket.close())
    assert.equal(socket.readyState, WebSocket.OPEN)
    assert.equal(socket.protocol, 'latchkey')
    assert.match(offers[0].join(), /^latchkey,lkt_[\w-]+,chat$/)
    const { user } = client.getSnapshot()
    assert.deepEqual(await ask(socket, 'hello'), { userId: user.id, account: wallet.address, message: 'hello' })
    const again = await openSocket(client, new URL(socketUrl()))
    t.after(() => again.close())
    assert.equal((await ask(again, 'again')).message, 'again')
    assert.notEqual(offers[0][1], offers[1][1], 'each WebSocket has a ticket of its own')
  })
}

test('a ticket works once', { skip }, async t => {
  const { client, browser } = await signedIn(t)
  useBrowser(t, browser)
  let first
  const replay = {
    async fetch(...call) {
      first ??= await client.fetch(...call)
      return first.clone()
    },
  }
  const socket = await openSocket(replay, socketUrl())
  t.after(() => socket.close())
  await assert.rejects(openSocket(replay, socketUrl()), error =>
    error instanceof LatchkeyError && error.code === 'socket_closed' && error.status === 0)
})

test('an expired access token is refreshed before', { skip }, async t => {
  const { client, browser } = await signedIn(t)
  useBrowser(t, browser)
  let isExpired = false
  browser.intercept = request => {
    if (new URL(request.url).pathname !== '/auth/ticket' || isExpired) return undefined
    isExpired = true
    return problem(401, 'token_expired')
  }
  const socket = await openSocket(client, socketUrl())
  t.after(() => socket.close())
  assert.equal(browser.count('POST /auth/refresh 200'), 1)
  assert.equal(browser.count('POST /auth/ticket 200'), 1)
})

test('without a session no WebSocket is opened', { skip }, async t => {
  const { client, browser } = await signedIn(t)
  const offers = useBrowser(t, browser)
  await client.signOut()
  await assert.rejects(openSocket(client, socketUrl()), error =>
    error instanceof LatchkeyError && error.code === 'no_credentials' && error.status === 401)
  assert.deepEqual(offers, [])
})

test('Node itself opens one', { skip }, async t => {
  const client = createLatchkey({ url: server.url, transport: 'bearer' })
  t.after(client.dispose)
  await client.signIn(createWallet())
  const socket = await openSocket(client, socketUrl())
  t.after(() => socket.close())
  assert.equal((await ask(socket, 'hello')).message, 'hello')
})
