// What codes and times mean in words.

/** @type {Record<string, string>} */
const REASONS = {
  logged_out: 'You signed out.',
  idle_timeout: 'Nobody used the session for too long.',
  absolute_timeout: 'The session reached its longest time, at which every session ends.',
  evicted: 'You signed in on more devices than the server allows, so it ended the oldest session.',
  revoked: 'You ended this session from another device.',
  revoked_by_admin: 'An administrator ended the session.',
  refresh_reused: 'An old refresh token was used again. It may be stolen, so the session ended.',
  hijack_suspected: 'The session was used from another device or network, so it ended.',
  account_blocked: 'An administrator blocked the account.',
  account_erased: 'The account was erased.',
  store_reset: 'The server has lost its data, so all sessions ended.',
  wallet_changed: 'The contract wallet no longer accepts the signature.',
  step_up_required: 'The server wants a fresh signature for this session. Sign in again to go on.',
}

/** @param {string} reason why a session has ended */
export const reasonInWords = reason => REASONS[reason] ?? `The server says: ${reason}.`

/** @type {Record<string, string>} */
const EVENTS = {
  login: 'Signed in',
  refresh: 'Refreshed',
  'session.ended': 'Session ended',
  step_up: 'Stepped up',
  'device.changed': 'Used from another device',
  'network.changed': 'Used from another network',
  'roles.changed': 'Roles changed',
  'account.blocked': 'Account blocked',
  'account.unblocked': 'Account unblocked',
  'account.erased': 'Account erased',
  'preferences.changed': 'Preferences changed',
  'ticket.reused': 'A ticket was presented a second time',
}

/** @param {{ type: string, outcome: string, reason?: string }} event */
export function eventInWords({ type, outcome, reason }) {
  const words = EVENTS[type] ?? type
  const more = reason ?? (outcome === 'success' ? '' : outcome)
  return more ? `${words}: ${more}` : words
}

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })

/** @param {string | number | Date} time */
export const timeOfDay = time => clock.format(new Date(time))

/** @param {string | number | Date} time */
export const dateAndTime = time => dayAndClock.format(new Date(time))

/**
 * Returns how long it is until a time, such as `14 min 05 s`, or an empty text
 * if it is past.
 *
 * @param {number} time in milliseconds
 */
export function timeUntil(time) {
  const seconds = Math.ceil((time - Date.now()) / 1000)
  if (seconds <= 0) return ''
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60]
  const rest = String(seconds % 60).padStart(2, '0')
  if (hours) return `${hours} h ${String(minutes).padStart(2, '0')} min`
  return minutes ? `${minutes} min ${rest} s` : `${seconds} s`
}
