// What an admin can do to an account. Each asks first, and returns what was done
// in words, or nothing.

import { accountPath, withQuery } from './calls.js'
import { ask } from './dialogs.js'
import { element } from './dom.js'
import { count, short } from './words.js'

const MAX_NOTE = 200

/**
 * @typedef {object} Target
 * @property {import('./calls.js').Calls} calls
 * @property {string} reference what the account was found by
 * @property {any} [user] if it is known
 * @property {boolean} isOwn whether it is the admin's own account
 * @property {AbortSignal} signal of the screen
 */

/** @param {Target} target */
export const nameOf = ({ reference, user }) => short(user?.account ?? reference)

/**
 * @param {string} label
 * @param {HTMLElement} input which has an id
 * @param {string} [hint]
 */
const field = (label, input, hint) => {
  if (hint) input.setAttribute('aria-describedby', `${input.id}-hint`)
  return element(
    'div',
    { className: 'field' },
    element('label', { for: input.id }, label),
    input,
    hint && element('p', { className: 'hint', id: `${input.id}-hint` }, hint)
  )
}

/** @param {Target} target */
export async function askToBlock(target) {
  const note = element('textarea', { id: 'note', rows: 3, maxLength: MAX_NOTE })
  const isDone = await ask({
    title: `Block ${nameOf(target)}`,
    text: ['All its sessions end at once, and it cannot sign in until it is unblocked.'],
    fields: [
      field(
        'Note (optional)',
        note,
        `Up to ${MAX_NOTE} characters, for those who may read accounts. ` +
          'The account does not see it.'
      ),
    ],
    label: 'Block the account',
    isDanger: true,
    // A note is one line.
    run: () =>
      target.calls.send('POST', accountPath(target.reference, '/block'), noteBody(note.value)),
  })
  return isDone ? 'Blocked.' : undefined
}

/** @param {string} text */
const noteBody = text => {
  const note = text.replace(/\s+/g, ' ').trim()
  return note ? { note } : {}
}

/** @param {Target} target */
export async function askToUnblock(target) {
  const isDone = await ask({
    title: `Unblock ${nameOf(target)}`,
    text: ['It can sign in again. The note is deleted.'],
    label: 'Unblock the account',
    run: () => target.calls.send('POST', accountPath(target.reference, '/unblock')),
  })
  return isDone ? 'Unblocked.' : undefined
}

/** @param {Target} target */
export async function askToEndAll(target) {
  let ended = 0
  const isDone = await ask({
    title: `End all sessions of ${nameOf(target)}`,
    text: [
      target.isOwn
        ? 'That is your own account: you are signed out, too.'
        : 'Its devices are signed out at their next request. It can sign in again.',
    ],
    label: 'End all sessions',
    isDanger: true,
    run: async () => {
      ;({ ended } = await target.calls.send('DELETE', accountPath(target.reference, '/sessions')))
    },
  })
  return isDone ? `Ended ${count(ended, 'session')}.` : undefined
}

/** @param {{ calls: import('./calls.js').Calls, id: string, name: string }} session */
export async function askToEndSession({ calls, id, name }) {
  const isDone = await ask({
    title: 'End one session',
    text: [`“${name}” is signed out at its next request.`],
    label: 'End the session',
    isDanger: true,
    run: () => calls.send('DELETE', `/api/admin/sessions/${encodeURIComponent(id)}`),
  })
  return isDone ? 'Ended the session.' : undefined
}

/** @param {Target} target */
export async function askToErase(target) {
  const wanted = target.user?.account ?? target.reference
  const typed = element('input', {
    id: 'erase-text',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: false,
  })
  const isDone = await ask({
    title: `Erase ${nameOf(target)}`,
    text: [
      'Its sessions, roles, preferences and activity are deleted. That cannot be undone. ' +
        'A block remains.',
      element('p', {}, 'To confirm, type ', element('code', { className: 'whole' }, wanted)),
    ],
    fields: [field('Account', typed)],
    label: 'Erase the account',
    isDanger: true,
    check: () =>
      typed.value.trim() === wanted ? undefined : 'That is not the account. Nothing was erased.',
    run: () => target.calls.send('DELETE', accountPath(target.reference)),
  })
  return isDone ? 'Erased.' : undefined
}

/** @param {Target} target */
export async function askForRoles(target) {
  const { calls, user } = target
  const { known, isConfigured } = await readRoles(target)
  if (target.signal.aborted) return undefined // the admin went on to another screen
  const has = user.roles.filter(
    (/** @type {string} */ role) => role !== 'user' && !(role === 'admin' && isConfigured)
  )
  const boxes = [...new Set(['admin', ...known, ...has])].sort().map(role =>
    element('input', {
      type: 'checkbox',
      value: role,
      id: `role-${role}`,
      checked: has.includes(role),
    })
  )
  const others = element('input', {
    id: 'other-roles',
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: false,
  })
  const isDone = await ask({
    title: `Roles of ${nameOf(target)}`,
    text: [
      'They hold from the next request of each of its sessions on.',
      ...(isConfigured
        ? [
            'ADMIN_ADDRESSES makes this account an admin, whatever is set here. ' +
              'If you tick admin, the role is stored, too.',
          ]
        : []),
      ...(isConfigured === undefined
        ? [
            'The console could not find out whether only ADMIN_ADDRESSES makes this account ' +
              'an admin. With admin ticked, the role is stored.',
          ]
        : []),
      ...(target.isOwn ? ['That is your own account.'] : []),
    ],
    fields: [
      element(
        'fieldset',
        { className: 'boxes' },
        element('legend', {}, 'Roles that are in use'),
        ...boxes.map(box => element('label', { className: 'box' }, box, box.value))
      ),
      field('Other roles', others, 'With spaces between. Each must be configured in ROLES.'),
    ],
    label: 'Set the roles',
    run: () =>
      calls.send('PUT', accountPath(target.reference, '/roles'), {
        roles: [
          ...new Set([
            ...boxes.filter(box => box.checked).map(box => box.value),
            ...others.value.split(/[\s,]+/).filter(Boolean),
          ]),
        ],
      }),
  })
  return isDone ? 'Set the roles.' : undefined
}

/**
 * Reads which roles are in use, from the first accounts that hold any, and
 * whether an admin is one by the configuration alone, or undefined if that
 * cannot be found out. The dialog works without: roles can be typed.
 *
 * @param {Target} target
 */
async function readRoles(target) {
  const { calls, signal } = target
  const known = calls
    .get(withQuery(LIST, { role: '*', limit: 100 }), signal)
    .then(({ users }) => users.flatMap((/** @type {any} */ entry) => entry.user.roles))
    .catch(() => [])
  const isConfigured = await isAdminByConfiguration(target).catch(() => undefined)
  return {
    known: (await known).filter((/** @type {string} */ role) => role !== 'user'),
    isConfigured,
  }
}

const LIST = '/api/admin/users'

/**
 * Reports whether an account is an admin of which no list of stored admins
 * knows, or undefined if the list has too many pages.
 *
 * @param {Target} target
 */
async function isAdminByConfiguration({ calls, user, signal }) {
  if (!user.roles.includes('admin')) return false
  /** @type {string | undefined} */
  let cursor
  for (let page = 0; page < 10; page++) {
    const query = withQuery(LIST, { role: 'admin', limit: 100, cursor })
    const { users, next } = await calls.get(query, signal)
    if (users.some((/** @type {any} */ entry) => entry.user.id === user.id)) return false
    if (!next) return true
    cursor = next
  }
  return undefined
}
