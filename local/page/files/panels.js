// The panels that show the session, the devices and the activity.

import { byId, element, hide, onClick } from './dom.js'
import { dateAndTime, eventInWords, timeOfDay, timeUntil } from './words.js'

const SIGNED_IN = ['signed-in', 'actions', 'devices', 'activity']

/**
 * Shows the panels of a state.
 *
 * @param {'loading' | 'signedOut' | 'signedIn'} status
 */
export function showPanels(status) {
  const isSignedIn = status === 'signedIn'
  if (isSignedIn) byId('signed-in').hidden = false // what is hidden gets no focus
  byId('loading').hidden = status !== 'loading'
  hide(byId('signed-out'), status !== 'signedOut', 'signed-in-title')
  for (const id of SIGNED_IN) hide(byId(id), !isSignedIn, 'signed-out-title')
}

/** @param {string} address */
export const shortened = address => `${address.slice(0, 6)}…${address.slice(-4)}`

/**
 * A line of the session.
 *
 * @param {string} term
 * @param {string | Node} value
 * @param {string} [id]
 */
const fact = (term, value, id = '') =>
  element('div', {}, element('dt', {}, term), element('dd', { id }, value))

/** @param {import('/client/types.js').Snapshot & { status: 'signedIn' }} snapshot */
export function showSession({ user, session, otherAccount }) {
  byId('address').textContent = user.address
  byId('swatch').style.setProperty('--hue', String(parseInt(user.address.slice(2, 8), 16) % 360))
  byId('switched').hidden = !otherAccount
  byId('switched-text').textContent = !otherAccount ? '' :
    `Your wallet has switched to ${shortened(otherAccount)}. This session is still of the one above.`
  byId('facts').replaceChildren(
    fact('Access token expires in', '', 'access-left'),
    fact('Fresh signature counts for', '', 'elevated-left'),
    fact('Ends without a call in', '', 'idle-left'),
    fact('Ends at the latest', dateAndTime(session.expiresAt)),
    fact('Roles', user.roles.join(', ') || 'none'),
    fact('Chain', String(session.chainId)),
    fact('User id', element('code', {}, user.id)),
  )
}

/**
 * Shows how much time is left. It is called each second, and no screen reader
 * reads it.
 *
 * @param {import('/client/types.js').Session} session
 * @param {number} accessEnds when the access token expires; 0 if that is not known
 */
export function showTimes({ elevatedUntil, idleExpiresAt }, accessEnds) {
  set('access-left', accessEnds === 0 ? 'unknown until the next refresh' :
    timeUntil(accessEnds) || 'expired: the next call refreshes')
  set('elevated-left', elevatedUntil && timeUntil(Date.parse(elevatedUntil)) || 'none yet')
  set('idle-left', timeUntil(Date.parse(idleExpiresAt)) || 'ended, unless another tab used it')
}

/**
 * @param {string} id
 * @param {string} text
 */
function set(id, text) {
  const node = byId(id)
  if (node && node.textContent !== text) node.textContent = text
}

/**
 * Lists the sessions of the account. The others have a button that ends them.
 *
 * @param {import('/client/types.js').Session[]} sessions
 * @param {(id: string) => Promise<string>} end
 */
export function showSessions(sessions, end) {
  byId('session-list').replaceChildren(...sessions.map(session => {
    const { id, current, device, ip, transport, lastSeenAt, stepUpRequired } = session
    const title = element('h3', {}, device.name)
    if (current) title.append(' ', element('span', { className: 'tag' }, 'this session'))
    if (stepUpRequired) title.append(' ', element('span', { className: 'tag warn' }, 'must sign'))
    const hint = [transport, ip, `seen ${timeOfDay(lastSeenAt)}`].filter(Boolean).join(' · ')
    const row = element('li', { className: 'row' },
      element('div', {}, title, element('p', { className: 'hint' }, hint)))
    if (current) return row
    const button = element('button', { type: 'button', className: 'secondary' }, 'End')
    button.ariaLabel = `End the session of ${device.name}, seen ${timeOfDay(lastSeenAt)}`
    onClick(button, byId('devices-result'), () => end(id))
    row.append(button)
    return row
  }))
}

/** @param {import('/client/types.js').Event[]} events */
export function showEvents(events) {
  byId('event-list').replaceChildren(...events.map(event => element('li', {},
    element('span', { className: 'what' }, eventInWords(event)),
    element('span', { className: 'hint' }, [event.device, event.ip].filter(Boolean).join(' · ')),
    element('time', { dateTime: event.time, className: 'hint' }, timeOfDay(event.time)),
  )))
}
