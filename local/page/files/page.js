// The page at / of the local server. It tries what the server does, with the
// client alone.

import { openSocket } from '/client/socket.js'
import { createLatchkey } from '/latchkey.js'
import { askToSign } from './dialog.js'
import { byId, element, hide, onClick } from './dom.js'
import { clearLog, loggedFetch } from './log.js'
import {
  shortened, showEvents, showPanels, showSession, showSessions, showTimes,
} from './panels.js'
import { watchPublished } from './published.js'
import { findWallets, keepChoice, throwAway, walletButton, walletOf } from './wallets.js'
import { reasonInWords } from './words.js'

const url = location.origin

// --- The clients ---

/** Returns a new device id. */
function newDeviceId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16))
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}

// A session that begins with a device id is bound to it.
const deviceId = localStorage.getItem('latchkey:device') ?? newDeviceId()
localStorage.setItem('latchkey:device', deviceId)

// When the access token expires. A script cannot read that from the cookie, so
// it is known only from an answer.
let accessEnds = 0
let mustSign = false
let stepUps = 0

const logged = loggedFetch('client', ({ path, status, body }) => {
  if (status === 200 && body?.expiresIn) accessEnds = Date.now() + body.expiresIn * 1000
  if (body?.code === 'step_up_required') mustSign = true
  if (status === 200 && /^\/(api\/.*|auth\/(login|step-up))$/.test(path)) mustSign = false
  if (status === 200 && path === '/auth/step-up') stepUps++
  showStatus()
})

// The next call of the profile is sent with this device id.
let otherDevice = ''

const latchkey = createLatchkey({
  url,
  deviceId,
  onStepUp: confirm => askToSign(confirm, walletOf(userNow())),
  fetch(input, init) {
    if (!otherDevice || String(input) !== `${url}/api/profile`) return logged(input, init)
    const headers = new Headers(init?.headers)
    headers.set('X-Device-Id', otherDevice)
    otherDevice = ''
    return logged(input, { ...init, headers })
  },
})

// The guarded example takes bearer tokens alone. Nobody subscribes to this
// client, so it is on its own, and asks nothing by itself.
const bearer = createLatchkey({
  url,
  transport: 'bearer',
  guarded: [url],
  deviceName: 'Bearer client of the page',
  fetch: loggedFetch('bearer client'),
})

/** Returns who is signed in. */
function userNow() {
  const now = latchkey.getSnapshot()
  return now.status === 'signedIn' ? now.user : undefined
}

// --- The state ---

let shownId = ''

function render() {
  const now = latchkey.getSnapshot()
  if (now.status === 'signedIn') showSession(now)
  else showSignedOut(now)
  showPanels(now.status)
  showStatus()
  showTime()
  if (now.status !== 'signedIn' || now.session.id === shownId) return
  shownId = now.session.id
  watchWallet()
  reload().catch(() => {})
}

/**
 * Shows that nobody is signed in, with the reason if a session has ended, and
 * signs out the bearer client.
 *
 * @param {import('/client/types.js').Snapshot} now
 */
function showSignedOut(now) {
  const { reason = '' } = /** @type {{ reason?: string }} */ (now)
  byId('ended').hidden = !reason
  byId('ended').textContent = reason && reasonInWords(reason)
  byId('ended').dataset.kind = reason === 'logged_out' ? 'good' : 'warn'
  shownId = ''
  accessEnds = 0
  mustSign = false
  if (bearer.getSnapshot().status === 'signedIn') bearer.signOut().catch(() => {})
}

function showStatus() {
  const user = userNow()
  const isLoading = latchkey.getSnapshot().status === 'loading'
  const [kind, text] = user && mustSign ? ['warn', 'Signature required'] :
    user ? ['good', `Signed in as ${shortened(user.address)}`] :
      ['idle', isLoading ? 'Asking the server' : 'Signed out']
  hide(byId('must-sign'), !mustSign, 'signed-in-title')
  const status = byId('status')
  status.dataset.kind = kind
  if (status.textContent !== text) status.textContent = text
}

function showTime() {
  const now = latchkey.getSnapshot()
  if (now.status === 'signedIn') showTimes(now.session, accessEnds)
}

/** Notices if the wallet of the session switches to another account. */
function watchWallet() {
  const { wallet } = walletOf(userNow()) ?? {}
  if (wallet && 'request' in wallet) latchkey.watch(wallet)
}

/** Reads the lists of sessions and of activity. */
async function reload() {
  const { sessions } = await latchkey.sessions()
  showSessions(sessions, endOne)
  showEvents((await latchkey.activity({ limit: 20 })).events)
}

/** @param {string} id */
async function endOne(id) {
  await latchkey.endSession(id)
  await reload()
  byId('devices-title').focus()
  return 'Ended. That device notices at its next call.'
}

// --- Signing in ---

/** @param {import('./wallets.js').Choice} choice */
async function signIn(choice) {
  await latchkey.signIn(choice.wallet)
  keepChoice(choice)
}

onClick(byId('throw-away'), byId('sign-in-result'), () => signIn(throwAway))

findWallets(latchkey, choice => {
  const button = walletButton(choice)
  onClick(button, byId('sign-in-result'), () => signIn(choice))
  byId('wallets').append(element('li', {}, button))
  watchWallet()
})

onClick(byId('switch'), byId('switch-result'), () => signIn(myWallet()))

// --- What can be tried ---

/** Returns the wallet of the user. */
function myWallet() {
  const choice = walletOf(userNow())
  if (!choice) throw new Error('The wallet of this session is not here. Sign out, and in again.')
  return choice
}

/**
 * Throws what an answer refuses.
 *
 * @param {Response} answer
 */
async function accepted(answer) {
  const body = await answer.json()
  if (answer.ok) return body
  if (body.code === 'step_up_required') {
    throw new Error('401 step_up_required: the server waits for your signature.')
  }
  throw new Error(`${answer.status} ${body.code ?? ''}: ${body.detail ?? body.message}`)
}

/**
 * Has a button do something to the session, and then shows what has changed.
 *
 * @param {string} id
 * @param {() => Promise<string | void>} run
 */
function onAction(id, run) {
  onClick(byId(id), byId(`${id}-result`), async () => {
    const text = await run()
    if (userNow()) await reload()
    return text
  })
}

onAction('call', async () => {
  const { user } = await accepted(await latchkey.fetch('/api/profile'))
  return `200: you are ${shortened(user.address)}.`
})

onAction('refresh', async () => {
  await accepted(await latchkey.fetch('/auth/refresh', { method: 'POST' }))
  return 'The browser has new tokens.'
})

onAction('step-up', async () => {
  await latchkey.stepUp(myWallet().wallet)
  return 'Stepped up. See above for how long.'
})

onAction('sign', async () => {
  await latchkey.stepUp(myWallet().wallet)
  return ''
})

onAction('other-device', async () => {
  const before = stepUps
  otherDevice = newDeviceId()
  await accepted(await latchkey.fetch('/api/profile'))
  return stepUps > before ? 'You signed, and the client repeated the call.' :
    'The server let it pass. Either DEVICE_POLICY is not step_up, ' +
      'or the session began in a page that sends no device id.'
})

onAction('guarded', async () => {
  if (bearer.getSnapshot().status !== 'signedIn') await bearer.signIn(myWallet().wallet)
  const answer = await bearer.fetch('/protected/orders')
  // API Gateway's denial says no reason. The API does.
  if (answer.status === 403) await bearer.fetch('/api/profile')
  if (bearer.getSnapshot().status !== 'signedIn') {
    throw new Error('The session of the bearer client has ended. Call again, and it signs in anew.')
  }
  const { orders } = await accepted(answer)
  const count = orders.length === 1 ? 'an order' : `${orders.length} orders`
  return `200: the example knows who you are, and has ${count} of yours.`
})

onAction('socket', async () => {
  const socket = await openSocket(latchkey, `${url.replace('http', 'ws')}/protected/ws`)
  const answer = new Promise((resolve, reject) => {
    socket.addEventListener('message', ({ data }) => resolve(JSON.parse(data)))
    socket.addEventListener('close', () => reject(new Error('The server closed the WebSocket.')))
  })
  socket.send('hello')
  const { account, message } = await answer
  socket.close()
  return `The WebSocket answers "${message}" to ${shortened(account)}, and is closed again.`
})

onAction('end-others', async () => {
  const ended = await latchkey.endOtherSessions()
  if (ended === 0) return 'There is no other session.'
  return ended === 1 ? 'One other session has ended.' : `${ended} other sessions have ended.`
})

onAction('sign-out', () => latchkey.signOut())
onAction('sign-out-everywhere', () => latchkey.signOut({ everywhere: true }))
onClick(byId('reload'), byId('devices-result'), reload)
byId('clear').addEventListener('click', clearLog)

latchkey.subscribe(render)
render()
setInterval(showTime, 1000)
watchPublished()
