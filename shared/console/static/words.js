// What codes, ids and times mean in words.

/** @type {Record<string, string>} */
const REASONS = {
  logged_out: 'signed out',
  idle_timeout: 'not used for too long',
  absolute_timeout: 'reached its longest time',
  evicted: 'ended by a login at the session limit',
  revoked: 'ended by its user',
  revoked_by_admin: 'ended by an admin',
  refresh_reused: 'old refresh token used again',
  hijack_suspected: 'device or network changed',
  account_blocked: 'account blocked',
  account_erased: 'account erased',
  store_reset: 'Redis lost data',
  wallet_changed: 'contract no longer accepts the signature',
}

/** @param {string} reason why a session has ended */
export const reasonInWords = reason => REASONS[reason] ?? reason

/** @type {Record<string, string>} */
const OWN_ENDS = {
  logged_out: 'You signed out.',
  idle_timeout: 'Nobody used the session for too long, so it ended. Sign in again.',
  absolute_timeout: 'The session reached its longest time, so it ended. Sign in again.',
  evicted: 'You signed in elsewhere, and the server ended the oldest session. Sign in again.',
  revoked: 'You ended this session from another device. Sign in again.',
  revoked_by_admin: 'An admin ended this session. Sign in again, or ask them why.',
  refresh_reused:
    'An old token of this session was used again. It may be stolen, so the session ' +
    'ended. Sign in again, and look at the activity of your account.',
  hijack_suspected: 'Device or network changed, so the session ended. Sign in again.',
  account_blocked: 'An admin blocked your account. Ask them why.',
  account_erased: 'Your account was erased. A sign-in makes a new one.',
  store_reset: 'The server has lost data, so sessions ended. Sign in again.',
  wallet_changed: 'Your contract wallet no longer accepts the signature. Sign in again.',
}

/** @param {string | undefined} reason why the admin's own session has ended */
export const ownEndInWords = reason =>
  OWN_ENDS[reason ?? ''] ?? 'Your session has ended. Sign in again.'

/** @type {Record<string, string>} what admins look at without a change */
const LOOKS = {
  'accounts.listed': 'Listed accounts',
  'accounts.exported': 'Exported accounts',
  'account.viewed': 'Looked at an account',
  'activity.viewed': 'Looked at the activity',
  'audit.viewed': 'Looked at the audit log',
}

/** @param {{ type: string }} event */
export const isLook = ({ type }) => Object.hasOwn(LOOKS, type)

/** @type {Record<string, string>} */
const EVENTS = {
  login: 'Signed in',
  refresh: 'Refreshed',
  'session.ended': 'Session ended',
  step_up: 'Stepped up',
  'device.changed': 'Used from another device',
  'network.changed': 'Used from another network',
  'roles.changed': 'Roles changed',
  'account.blocked': 'Blocked',
  'account.unblocked': 'Unblocked',
  'account.erased': 'Erased',
  'preferences.changed': 'Preferences changed',
  'ticket.reused': 'Ticket presented a second time',
  ...LOOKS,
}

/** @type {Record<string, string>} */
const OUTCOMES = { failure: 'refused', step_up_required: 'must sign' }

/** @param {string[]} roles */
const listed = roles => (roles.length ? roles.join(', ') : 'no role')

/**
 * @param {{ type: string, outcome?: string, reason?: string, rolesBefore?: string[],
 *   rolesAfter?: string[] }} event
 */
export function eventInWords({ type, outcome, reason, rolesBefore, rolesAfter }) {
  const words = EVENTS[type] ?? type
  if (rolesAfter)
    return `${words}: ${rolesBefore ? `${listed(rolesBefore)} → ` : ''}${listed(rolesAfter)}`
  const more = reason
    ? reasonInWords(reason)
    : outcome === 'success'
      ? ''
      : (OUTCOMES[outcome ?? ''] ?? outcome)
  return more ? `${words}: ${more}` : words
}

/** @type {Record<string, string>} */
const CHAINS = {
  1: 'Ethereum',
  10: 'OP Mainnet',
  56: 'BNB Smart Chain',
  100: 'Gnosis',
  137: 'Polygon',
  324: 'ZKsync Era',
  8453: 'Base',
  42161: 'Arbitrum One',
  42220: 'Celo',
  43114: 'Avalanche',
  59144: 'Linea',
  11155111: 'Sepolia',
  17000: 'Holesky',
  31337: 'local chain',
}

/** @param {string | number} id */
export const chainInWords = id => (CHAINS[id] ? `${CHAINS[id]} (${id})` : `chain ${id}`)

/** @type {Record<string, string>} */
const PERMISSIONS = {
  'sessions:read': 'see the numbers',
  'sessions:write': 'end sessions of others',
  'users:read': 'find and list accounts',
  'users:write': 'set roles, block and erase accounts',
  'audit:read': 'see what happened to accounts',
}

/** Latchkey's own permissions. */
export const permissions = Object.keys(PERMISSIONS)

/** @param {string} permission */
export const permissionInWords = permission => PERMISSIONS[permission] ?? permission

const dayAndClock = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium', timeStyle: 'short' })
const withSeconds = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium' })
const hour = new Intl.DateTimeFormat(undefined, {
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
})

/** @param {string | number | Date} time */
export const dateAndTime = time => dayAndClock.format(new Date(time))

/** @param {string | number | Date} time */
export const timeOfDay = time => withSeconds.format(new Date(time))

/** @param {string | number | Date} time */
export const hourOfDay = time => hour.format(new Date(time))

const relative = new Intl.RelativeTimeFormat(undefined, { numeric: 'auto', style: 'short' })

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ['day', 86400],
  ['hour', 3600],
  ['minute', 60],
  ['second', 1],
]

/** @param {string | number | Date} time such as `5 min. ago` or `in 2 hr.` */
export function ago(time) {
  const seconds = (new Date(time).getTime() - Date.now()) / 1000
  if (Math.abs(seconds) > 30 * 86400) return dateAndTime(time)
  const [unit, size] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? ['second', 1]
  return relative.format(Math.trunc(seconds / size), unit)
}

/**
 * Returns the short form of an address or an id.
 *
 * @param {string} text
 */
export const short = text => {
  const [, prefix, rest] = /^(eip155:\d+:)?(.*)$/.exec(text) ?? []
  const end = rest ?? text
  return (prefix ?? '') + (end.length > 16 ? `${end.slice(0, 8)}…${end.slice(-6)}` : end)
}

/**
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export const count = (n, one, many = `${one}s`) => `${n.toLocaleString()} ${n === 1 ? one : many}`
