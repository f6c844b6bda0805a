// Files of accounts: one JSON object on each line, as the API lists accounts.

import { withQuery } from './calls.js'

/**
 * Reads all pages of a list, and has the browser save them as one file.
 *
 * @param {import('./calls.js').Calls} calls
 * @param {{ status: string, role: string }} selected
 * @param {AbortSignal} signal
 * @param {(done: number) => void} progress
 */
export async function exportAccounts(calls, selected, signal, progress) {
  const parts = []
  let n = 0
  /** @type {string | undefined} */
  let cursor
  do {
    const page = await calls.lines(
      withQuery('/api/admin/users', { ...selected, limit: 100, cursor }),
      signal
    )
    const lines = page.split('\n').filter(Boolean)
    cursor = JSON.parse(lines.at(-1) ?? '{}').next
    if (cursor) lines.pop()
    n += lines.length
    parts.push(...lines.map(line => line + '\n'))
    progress(n)
  } while (cursor)
  save(new Blob(parts, { type: 'application/x-ndjson' }), fileName(selected))
  return n
}

/** @param {{ status: string, role: string }} selected */
const fileName = ({ status, role }) =>
  ['latchkey-accounts', status, role.replace('*', 'any'), new Date().toISOString().slice(0, 10)]
    .filter(Boolean)
    .join('-') + '.ndjson'

/**
 * @param {Blob} blob
 * @param {string} name
 */
function save(blob, name) {
  const link = Object.assign(document.createElement('a'), {
    href: URL.createObjectURL(blob),
    download: name,
  })
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000)
}

/**
 * What a file wants of one account.
 *
 * @typedef {object} Wanted
 * @property {number} line
 * @property {string} id
 * @property {string} [account] if the file has more than the id
 * @property {string[]} roles which are stored, without user
 * @property {boolean} blocked
 * @property {string} [note]
 */

/**
 * Reads a file, and finds everything that is wrong with it.
 *
 * @param {string} text
 * @returns {{ wanted: Wanted[], problems: string[] }}
 */
export function readBackup(text) {
  /** @type {Wanted[]} */
  const wanted = []
  /** @type {string[]} */
  const problems = []
  /** @type {Map<string, number>} */
  const seen = new Map()
  let isComplete = true
  for (const [i, line] of text.split('\n').entries()) {
    if (!line.trim()) continue
    try {
      const entry = parse(line)
      isComplete = typeof entry?.next !== 'string'
      if (!isComplete) continue
      const account = readAccount(entry, i + 1)
      for (const name of namesOf(account)) {
        const line = seen.get(name)
        if (line) throw new Error(`it is the account of line ${line} again: delete one of the lines`)
      }
      namesOf(account).forEach(name => seen.set(name, i + 1))
      wanted.push(account)
    } catch (error) {
      problems.push(`Line ${i + 1}: ${/** @type {Error} */ (error).message}.`)
    }
  }
  if (!isComplete)
    problems.push(
      'The file is not complete: its last line is the cursor of the next page. Export again.'
    )
  if (!wanted.length && !problems.length) problems.push('The file has no account.')
  return { wanted, problems }
}

/**
 * Returns what an account is known by. Files of before and after a change of the
 * lookup key have one account under two ids.
 *
 * @param {{ id: string, account?: string }} of
 */
const namesOf = ({ id, account }) => (account ? [id, account.toLowerCase()] : [id])

/**
 * @param {any} entry of a line
 * @param {number} line
 * @returns {Wanted}
 */
function readAccount(entry, line) {
  const { user, storedRoles, blocked, note } = Object(entry)
  if (typeof user?.id !== 'string' || !/^[\w-]{22}$/.test(user.id)) throw new Error('user.id is not a user id of 22 characters')
  if (user.account !== undefined && !isAccount(user.account))
    throw new Error('user.account is not an account')
  if (typeof blocked !== 'boolean') throw new Error('blocked is not true or false')
  if (note !== undefined && typeof note !== 'string') throw new Error('note is not a text')
  if (note && !blocked) throw new Error('note is there without a block')
  if (note && [...note].length > 200) throw new Error('note has more than 200 characters')
  if (storedRoles !== undefined) checkRoles('storedRoles', storedRoles)
  checkRoles('user.roles', user.roles)
  // The configuration may make an account an admin without the role being stored.
  const roles = (storedRoles ?? user.roles).filter((/** @type {string} */ role) => role !== 'user')
  return { line, id: user.id, account: user.account, roles, blocked, note }
}

/** @param {unknown} text */
const isAccount = text =>
  typeof text === 'string' && /^(eip155:\d+:)?0x[\da-f]{40}$/i.test(text)

/**
 * @param {string} name
 * @param {unknown} roles
 */
function checkRoles(name, roles) {
  if (!Array.isArray(roles)) throw new Error(`${name} is not a list`)
  const wrong = roles.find(role => !/^[a-z][a-z0-9_-]{0,31}$/.test(role))
  if (wrong !== undefined)
    throw new Error(`${name} has "${String(wrong).slice(0, 80)}", which is not the name of a role`)
  if (new Set(roles).size < roles.length) throw new Error(`${name} has a role twice`)
}

/**
 * Sorts accounts into the order in which they are restored. The admin's own is
 * the last, because it may lose its permissions by that. Accounts with a name
 * come first: their answers show whether ids are still the same. Of each kind
 * the blocked ones come first, since until then they may sign in.
 *
 * @param {Wanted[]} wanted
 * @param {{ id: string, account: string }} me
 */
export function inOrder(wanted, me) {
  const isMe = (/** @type {string} */ id, /** @type {string | undefined} */ account) =>
    id === me.id || account?.toLowerCase() === me.account.toLowerCase()
  const rank = (/** @type {Wanted} */ { id, account, blocked }) =>
    (isMe(id, account) ? 4 : 0) + (account ? 0 : 2) + (blocked ? 0 : 1)
  return wanted.toSorted((a, b) => rank(a) - rank(b))
}

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    throw new Error('it is not JSON')
  }
}
