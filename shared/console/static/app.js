// The admin console. It is made of the client and has no state of its own but
// what a tab holds: the session is in memory, and the screen in the fragment.

import { accountScreen } from './account.js'
import { accountsScreen } from './accounts.js'
import { auditScreen } from './audit.js'
import { createCalls } from './calls.js'
import { askToSign } from './dialogs.js'
import { byId, element, focusOn, say } from './dom.js'
import { failureNotice } from './failure.js'
import { createLatchkey } from './latchkey.js'
import { overviewScreen } from './overview.js'
import { restoreScreen } from './restore.js'
import { nobodyScreen, signInScreen } from './signin.js'
import { permissions, short, timeOfDay } from './words.js'

/**
 * What a screen gets.
 *
 * @typedef {object} App
 * @property {import('./calls.js').Calls} calls
 * @property {(permission: string) => boolean} can says whether the account has a
 *   permission
 * @property {import('./types.js').User} me
 * @property {string} subject what follows the name of the screen in the fragment
 * @property {URLSearchParams} query
 * @property {AbortSignal} signal is aborted when the screen is left
 * @property {() => void} show draws the screen again
 */

/** @typedef {(app: App) => Node} Screen */

/** @type {Record<string, { title: string, needs: string[], draw: Screen }>} */
const screens = {
  overview: { title: 'Overview', needs: ['sessions:read'], draw: overviewScreen },
  accounts: { title: 'Accounts', needs: ['users:read'], draw: accountsScreen },
  account: {
    title: 'Account',
    needs: ['users:read', 'users:write', 'sessions:write', 'audit:read'],
    draw: accountScreen,
  },
  audit: { title: 'Audit log', needs: ['audit:read'], draw: auditScreen },
  restore: { title: 'Restore', needs: ['users:write'], draw: restoreScreen },
}

// The screens of the navigation. The first that the account may see is its home.
const tops = ['overview', 'accounts', 'audit']

const latchkey = createLatchkey({
  url: location.origin,
  transport: 'bearer',
  onStepUp: askToSign,
  fetch: fetchAndSayWaits,
})
const calls = createCalls(latchkey, refused)

/** @type {import('./types.js').User | undefined} */
let me
/** @type {AbortController | undefined} */
let screen

/**
 * Fetches. The client waits as long as an answer asks for, and the console says
 * so meanwhile.
 *
 * @type {typeof globalThis.fetch}
 */
async function fetchAndSayWaits(input, init) {
  const answer = await fetch(input, init)
  const seconds = parseInt(answer.headers.get('retry-after') ?? '')
  const isWaiting = (answer.status === 429 || answer.status === 503) && seconds > 1
  byId('waiting').textContent = isWaiting
    ? `The server asked to wait until ${timeOfDay(Date.now() + seconds * 1000)}.`
    : ''
  return answer
}

/** @param {string} permission */
const can = permission => !!me?.permissions.includes(permission)

/**
 * After a 403 the account may have lost a role. Then the console shows what is
 * left of it.
 */
async function refused() {
  const answer = await latchkey.fetch('/api/profile').catch(() => undefined)
  const { user } = answer?.ok ? await answer.json() : {}
  if (!user || !me || user.id !== me.id) return
  const lost = me.permissions.filter(permission => !user.permissions.includes(permission))
  me = user
  if (!lost.length) return
  byId('notices').replaceChildren(
    element(
      'div',
      { className: 'notice warn', id: 'demoted', role: 'alert' },
      element('strong', {}, 'Your roles have changed.'),
      ` Your account no longer has ${lost.join(', ')}. Ask an admin if that is wrong.`
    )
  )
  drawFrame()
  if (!hasAny()) draw()
}

const hasAny = () => permissions.some(can)

/** Reads the fragment, such as `#/accounts/0x…` or `#/accounts?status=live`. */
function route() {
  const [path, query = ''] = location.hash.replace(/^#?\/?/, '').split('?')
  const [first, ...rest] = path.split('/')
  const subject = decode(rest.join('/'))
  const home = tops.find(name => screens[name].needs.some(can)) ?? 'account'
  const name = first === 'accounts' && subject ? 'account' : first || home
  return { name, subject, query: new URLSearchParams(query) }
}

/** @param {string} text */
function decode(text) {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Draws the screen that the fragment names. */
function draw() {
  screen?.abort()
  screen = new AbortController()
  const { signal } = screen
  const snapshot = latchkey.getSnapshot()
  if (snapshot.status === 'loading') return
  drawFrame()
  const main = byId('main')
  if (snapshot.status === 'signedOut' || !me) {
    document.title = 'Sign in · Latchkey console'
    const reason = snapshot.status === 'signedOut' ? snapshot.reason : undefined
    main.replaceChildren(signInScreen(latchkey, signal, reason))
  } else if (!hasAny()) {
    document.title = 'No permission · Latchkey console'
    main.replaceChildren(nobodyScreen(me, signOut))
  } else {
    main.replaceChildren(drawRoute(me, signal))
  }
}

/**
 * @param {import('./types.js').User} user
 * @param {AbortSignal} signal
 */
function drawRoute(user, signal) {
  const { name, subject, query } = route()
  if (isToken(subject)) {
    history.replaceState(null, '', '#/accounts')
    document.title = 'Token · Latchkey console'
    return sorry('That is a token', `${TOKEN} It was not sent, but your browser may keep the ` +
      'address: end that session. Search by an id instead.')
  }
  const chosen = Object.hasOwn(screens, name) ? screens[name] : undefined
  const title = [chosen?.title ?? 'Not found', subject && short(subject)].filter(Boolean).join(' ')
  document.title = `${title} · Latchkey console`
  if (!chosen) return sorry('There is no such screen', 'Choose one above.')
  if (name === 'account' && !subject)
    return sorry('Find an account', 'Type an address or an id into the field above.')
  if (!chosen.needs.some(can)) {
    return sorry(
      chosen.title,
      `Your account lacks the permission ${chosen.needs.join(' or ')}. ` +
        'Ask an admin for a role that has it.'
    )
  }
  return chosen.draw({ calls, can, me: user, subject, query, signal, show: draw })
}

/**
 * @param {string} title
 * @param {string} todo
 */
const sorry = (title, todo) =>
  element(
    'section',
    { className: 'card narrow' },
    element('h1', {}, title),
    element('p', { className: 'lead' }, todo)
  )

/** Draws what is around the screen: the navigation, the search and who one is. */
function drawFrame() {
  const isIn = !!me && hasAny()
  byId('search').hidden = !isIn || !screens.account.needs.some(can)
  byId('nav').hidden = !isIn
  byId('me').hidden = !me
  byId('who').textContent = me ? short(me.account) : ''
  byId('who').title = me ? `${me.account}: ${me.roles.join(', ')}` : ''
  const current = route().name
  byId('nav')
    .querySelector('ul')
    ?.replaceChildren(
      ...tops
        .filter(name => screens[name].needs.some(can))
        .map(name =>
          element(
            'li',
            {},
            element(
              'a',
              {
                href: `#/${name}`,
                ...(isCurrent(name, current) && { 'aria-current': 'page' }),
              },
              screens[name].title
            )
          )
        )
    )
}

/**
 * @param {string} name
 * @param {string} current
 */
const isCurrent = (name, current) =>
  name === current || (name === 'accounts' && (current === 'account' || current === 'restore'))

async function signOut() {
  try {
    await latchkey.signOut()
  } catch (error) {
    byId('notices').replaceChildren(failureNotice(error, signOut))
  }
}

/**
 * Draws the screen, and gives its heading the focus. A dialog was about the
 * screen before.
 */
function go() {
  document.querySelectorAll('dialog').forEach(dialog => dialog.close())
  byId('notices').replaceChildren()
  draw()
  const heading = document.querySelector('main h1')
  if (heading) focusOn(/** @type {HTMLElement} */ (heading))
  scrollTo(0, 0)
}

/** @param {string} text */
const isToken = text => /^lk[a-z]_|^Bearer |lk[a-z]_[\w-]{100}/i.test(text)

const TOKEN = 'That is a token, which nobody should have but its owner.'

/** Shows an account, whatever was typed, unless it is a secret. */
function search() {
  const field = /** @type {HTMLInputElement} */ (byId('search-text'))
  const text = field.value.trim()
  field.value = ''
  if (!text) return say('Type an address, an account, a user id or a session id first.')
  if (isToken(text)) return say(`${TOKEN} Search by an id instead.`)
  const hash = `#/accounts/${encodeURIComponent(text)}`
  if (location.hash === hash) go()
  else location.hash = hash
}

/**
 * Says if the wallet has switched to another account: it signs nothing for this
 * session then.
 *
 * @param {import('./types.js').Snapshot} snapshot
 */
function showSwitch(snapshot) {
  const other = snapshot.status === 'signedIn' && snapshot.otherAccount
  byId('switched').textContent =
    other && me
      ? `Your wallet has switched to ${short(other)}, ` +
        `and the console still acts as ${short(me.account)}. ` +
        'Switch back in the wallet, or sign out and sign in again.'
      : ''
}

function changed() {
  const snapshot = latchkey.getSnapshot()
  const user = snapshot.status === 'signedIn' ? snapshot.user : undefined
  showSwitch(snapshot)
  if (user?.id === me?.id && byId('main').childElementCount) return
  const isFirst = !byId('main').childElementCount
  me = user
  if (isFirst) draw()
  else go()
}

byId('search').addEventListener('submit', event => {
  event.preventDefault()
  search()
})
byId('sign-out').addEventListener('click', signOut)
byId('skip').addEventListener('click', event => {
  event.preventDefault()
  focusOn(byId('main'))
})
addEventListener('hashchange', go)
latchkey.subscribe(changed)
changed()
