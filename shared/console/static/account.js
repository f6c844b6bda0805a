// The screen of one account: who it is, its sessions, and what happened to it.

import { accountLink, eventList, whenAndWhat } from './activity.js'
import {
  askToBlock,
  askToEndAll,
  askToEndSession,
  askToErase,
  askForRoles,
  askToUnblock,
  nameOf,
} from './actions.js'
import { accountPath } from './calls.js'
import { keepFocus } from './dialogs.js'
import { button, copyable, element, factList, say, timeElement } from './dom.js'
import { load, section } from './loading.js'
import { table } from './table.js'
import { ago, chainInWords, count, dateAndTime } from './words.js'

/** @type {import('./app.js').Screen} */
export function accountScreen(app) {
  const { can, subject } = app
  const account = element('div', { className: 'stack', id: 'account' })
  const activity = element('div', { className: 'stack' })
  const show = async () => {
    let isFound = true
    if (can('users:read'))
      isFound = await load(account, app.signal, () => readAccount(app, show), show)
    else account.replaceChildren(...withoutReading(app, show))
    if (isFound && can('audit:read') && !app.signal.aborted)
      activity.replaceChildren(activityCard(app))
    keepFocus()
  }
  show()
  return element(
    'div',
    { className: 'stack' },
    element(
      'div',
      {},
      element('h1', {}, 'Account'),
      element('p', { className: 'subject' }, element('code', {}, subject))
    ),
    account,
    activity
  )
}

/**
 * @param {import('./app.js').App} app
 * @param {() => Promise<void>} show
 */
async function readAccount(app, show) {
  try {
    const account = await app.calls.get(accountPath(app.subject), app.signal)
    return [whoCard(app, account, show), sessionsCard(app, account, show)]
  } catch (error) {
    if (/** @type {import('./failure.js').Failure} */ (error).code !== 'not_found') throw error
    return [unknownCard(app, show)]
  }
}

/**
 * Makes the buttons of an account: those that the admin's permissions allow.
 *
 * @param {import('./app.js').App} app
 * @param {any} account undefined parts are not known
 * @param {() => Promise<void>} show
 */
function actions(app, { user, blocked, sessions, isUnknown }, show) {
  const { can, calls, subject, me, signal } = app
  const target = { calls, reference: subject, user, isOwn: user?.id === me.id, signal }
  /** @param {(of: import('./actions.js').Target) => Promise<string | undefined>} change */
  const then = change => async () => {
    const done = await change(target)
    if (!done) return
    // Another screen shows another account, so it says of which this was.
    if (signal.aborted) return say(`${nameOf(target)}: ${done}`)
    await show()
    say(done)
  }
  return element(
    'div',
    { className: 'pair actions' },
    can('users:write') &&
      blocked !== true &&
      button('Block…', 'danger', then(askToBlock), { id: 'block' }),
    can('users:write') &&
      blocked === true &&
      button('Change note…', 'secondary', then(askToBlock), { id: 'block' }),
    can('users:write') &&
      blocked !== false &&
      button('Unblock…', 'secondary', then(askToUnblock), { id: 'unblock' }),
    can('users:write') && user && button('Roles…', 'secondary', then(askForRoles), { id: 'roles' }),
    can('sessions:write') &&
      sessions?.length !== 0 &&
      button('End all sessions…', 'secondary', then(askToEndAll), { id: 'end-all' }),
    can('users:write') &&
      !isUnknown &&
      button('Erase…', 'danger', then(askToErase), { id: 'erase' })
  )
}

/**
 * @param {import('./app.js').App} app
 * @param {any} account
 * @param {() => Promise<void>} show
 */
function whoCard(app, account, show) {
  const { user, blocked, blockedAt, note } = account
  return section(
    'Who it is',
    'who-card',
    blocked &&
      element(
        'div',
        { className: 'notice bad', id: 'blocked' },
        element(
          'p',
          {},
          element('strong', {}, 'Blocked'),
          ...(blockedAt ? [' since ', timeElement(blockedAt, dateAndTime)] : []),
          '. It cannot sign in.'
        ),
        note && element('p', { className: 'note' }, note)
      ),
    factList([
      ['Account', user.account && copyable(user.account)],
      ['User id', copyable(user.id)],
      ['Wallet', user.wallet === 'contract' ? 'contract' : user.wallet && 'key (EOA)'],
      ['Roles', roleTags(user.roles)],
      ['First seen', timeElement(user.createdAt, dateAndTime)],
      ['Last login', timeElement(user.lastLoginAt, time => `${dateAndTime(time)} (${ago(time)})`)],
    ]),
    !user.account &&
      element(
        'p',
        { className: 'hint' },
        'Only its id is known. It gets its name at its next login.'
      ),
    actions(app, account, show)
  )
}

/**
 * The card of an account of which nothing is stored. It can be acted upon all
 * the same.
 *
 * @param {import('./app.js').App} app
 * @param {() => Promise<void>} show
 */
const unknownCard = (app, show) =>
  section(
    'Who it is',
    'who-card',
    element(
      'p',
      { className: 'notice', id: 'unknown' },
      'Nothing is stored of this account: it never signed in, or it was erased. ' +
        'It can be blocked or given roles all the same. Check that the address or id is right.'
    ),
    actions(app, { user: { roles: ['user'] }, blocked: false, sessions: [], isUnknown: true }, show)
  )

/** @param {string[]} roles */
const roleTags = roles =>
  element(
    'span',
    { className: 'tags' },
    ...roles.map(role => element('span', { className: 'tag' }, role))
  )

/**
 * What is left for those who may act but not read.
 *
 * @param {import('./app.js').App} app
 * @param {() => Promise<void>} show
 */
function withoutReading(app, show) {
  const { can, calls, subject } = app
  const isSession = /^[\w-]{43}$/.test(subject)
  return [
    section(
      'Act',
      'who-card',
      element(
        'p',
        { className: 'hint' },
        'Your account lacks users:read, so the console does not show who this is.'
      ),
      actions(app, {}, show),
      isSession &&
        can('sessions:write') &&
        button(
          'End this session…',
          'secondary',
          async () => {
            const done = await askToEndSession({ calls, id: subject, name: 'this session' })
            if (done) say(done)
          },
          { id: 'end-one' }
        )
    ),
  ]
}

/**
 * @param {import('./app.js').App} app
 * @param {any} account
 * @param {() => Promise<void>} show
 */
function sessionsCard(app, { sessions }, show) {
  const { can, calls } = app
  const columns = [
    { name: 'Device' },
    { name: 'Network' },
    { name: 'Chain' },
    { name: 'Signed in' },
    { name: 'Last seen' },
    { name: 'Ends at the latest' },
    ...(can('sessions:write') ? [{ name: 'Action', isHidden: true }] : []),
  ]
  const rows = sessions.map((/** @type {any} */ one) => [
    device(one),
    network(one),
    chainInWords(one.chainId),
    timeElement(one.createdAt, dateAndTime),
    timeElement(one.lastSeenAt, ago),
    timeElement(one.expiresAt, dateAndTime),
    ...(can('sessions:write')
      ? [
          button(
            'End…',
            'secondary',
            async () => {
              const done = await askToEndSession({ calls, id: one.id, name: one.device.name })
              if (!done) return
              await show()
              say(done)
            },
            { 'aria-label': `End the session ${one.device.name}` }
          ),
        ]
      : []),
  ])
  return section(
    count(sessions.length, 'live session'),
    'sessions',
    sessions.length
      ? table('Live sessions', columns, rows, 'sessions')
      : element('p', { className: 'hint' }, 'No session is live.')
  )
}

/** @param {any} session */
const device = ({ id, current, device: { name, browser, os, type }, transport, stepUpRequired }) =>
  element(
    'span',
    {},
    element('span', { className: 'name' }, name),
    current && element('span', { className: 'tag' }, 'yours, now'),
    stepUpRequired && element('span', { className: 'tag warn' }, 'must sign'),
    element(
      'span',
      { className: 'note' },
      [browser, os, type, transport].filter(Boolean).join(' · ')
    ),
    element('code', { className: 'session-id', title: id }, `…${id.slice(-12)}`)
  )

/** @param {{ ip: string, lastIp?: string }} session */
const network = ({ ip, lastIp }) =>
  lastIp && lastIp !== ip
    ? element('span', {}, lastIp, element('span', { className: 'note' }, `at the login ${ip}`))
    : ip

/** @param {import('./app.js').App} app */
const activityCard = app =>
  section(
    'Activity',
    'activity',
    element('p', { className: 'hint' }, 'What happened to this account, newest first.'),
    eventList(
      app,
      'Activity, newest first',
      { address: app.subject },
      [{ name: 'What' }, { name: 'When' }, { name: 'By' }, { name: 'From' }],
      event => [
        ...whenAndWhat(event),
        event.actorId ? accountLink(event.actor, event.actorId) : 'itself',
        event.ip &&
          element(
            'span',
            {},
            event.ip,
            event.device && element('span', { className: 'note' }, event.device)
          ),
      ]
    )
  )
