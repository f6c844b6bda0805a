// Lists of accounts, and their export.

import { accountLink } from './activity.js'
import { exportAccounts } from './backup.js'
import { withQuery } from './calls.js'
import { button, element, focusOn, say, timeElement } from './dom.js'
import { inWords } from './failure.js'
import { load } from './loading.js'
import { table } from './table.js'
import { ago, count } from './words.js'

const LIMIT = 50

// How many empty pages are read before the admin is asked whether to go on.
const MAX_EMPTY = 10

/** @type {import('./table.js').Column[]} */
const COLUMNS = [
  { name: 'Account' },
  { name: 'Roles' },
  { name: 'Live sessions', isNumber: true },
  { name: 'Last seen' },
  { name: 'Block' },
]

/** @type {import('./app.js').Screen} */
export function accountsScreen(app) {
  const { can } = app
  const selected = { status: app.query.get('status') ?? '', role: app.query.get('role') ?? '' }
  return element(
    'div',
    { className: 'stack', id: 'accounts' },
    element(
      'div',
      { className: 'head' },
      element('h1', {}, 'Accounts'),
      element(
        'div',
        { className: 'pair' },
        exportButton(app, selected),
        can('users:write') &&
          element(
            'a',
            { href: '#/restore', className: 'button secondary', id: 'to-restore' },
            'Restore…'
          )
      )
    ),
    element(
      'section',
      { className: 'card', 'aria-label': 'List of accounts' },
      filters(selected),
      list(app, selected)
    )
  )
}

/** @typedef {{ status: string, role: string }} Selected */

/** @param {Selected} selected */
function filters(selected) {
  const status = element(
    'select',
    { id: 'status' },
    ...Object.entries({
      '': 'with roles or a block',
      live: 'with a live session',
      blocked: 'blocked',
    }).map(([value, label]) =>
      element('option', { value, selected: value === selected.status }, label)
    )
  )
  const role = element('input', {
    id: 'role',
    value: selected.role,
    placeholder: 'any',
    autocapitalize: 'none',
    spellcheck: false,
    autocomplete: 'off',
    pattern: '\\*|[a-z][a-z0-9_\\-]{0,31}',
    'aria-describedby': 'role-hint',
  })
  const form = element(
    'form',
    { className: 'filters', 'aria-label': 'Filters' },
    element('div', {}, element('label', { for: 'status' }, 'Accounts'), status),
    element('div', {}, element('label', { for: 'role' }, 'Stored role'), role),
    element('button', { type: 'submit', className: 'secondary' }, 'Show'),
    element(
      'p',
      { className: 'hint', id: 'role-hint' },
      'A role such as editor, or * for any. An admin of ADMIN_ADDRESSES has no stored role.'
    )
  )
  form.addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault()
    location.hash = withQuery('#/accounts', { status: status.value, role: role.value.trim() })
  })
  return form
}

/**
 * @param {import('./app.js').App} app
 * @param {Selected} selected
 */
function list({ calls, signal }, selected) {
  const part = element('div', { id: 'list', tabIndex: -1 })
  /** @type {(string | undefined)[]} cursors of the pages up to the shown one */
  const cursors = [undefined]

  /**
   * Reads pages until one has an account. An empty page may have a next one.
   *
   * @param {string | undefined} cursor
   */
  async function read(cursor) {
    for (let empty = 0; ; empty++) {
      const page = await calls.get(
        withQuery('/api/admin/users', { ...selected, limit: LIMIT, cursor }),
        signal
      )
      if (page.users.length || !page.next || empty === MAX_EMPTY - 1)
        return { ...page, empty: page.users.length ? empty : empty + 1 }
      cursor = page.next
      part.querySelector('.looking')?.remove()
      part.append(
        element(
          'p',
          { className: 'hint looking', role: 'status' },
          `No account on the first ${count((empty + 1) * LIMIT, 'place')}. Looking further…`
        )
      )
    }
  }

  async function show() {
    await load(part, signal, async () => content(await read(cursors.at(-1))))
  }

  /** @param {{ users: any[], next?: string, empty: number }} page */
  function content({ users, next, empty }) {
    return [
      element('p', { className: 'hint', role: 'status' }, pageInWords(users.length, next, empty)),
      users.length ? table('Accounts', COLUMNS, users.map(cells)) : '',
      element(
        'nav',
        { className: 'pages', 'aria-label': 'Pages' },
        cursors.length > 1 && button('Previous page', 'secondary', () => turn(() => cursors.pop())),
        next &&
          button(
            users.length ? 'Next page' : 'Look further',
            'secondary',
            () => turn(() => cursors.push(next)),
            { id: 'next' }
          )
      ),
    ].filter(Boolean)
  }

  /**
   * @param {number} shown
   * @param {string | undefined} next
   * @param {number} empty
   */
  function pageInWords(shown, next, empty) {
    const skipped = empty ? ` Skipped ${count(empty, 'empty page')}.` : ''
    const end = next ? '' : ' There are no more.'
    if (shown) return `Page ${cursors.length}: ${count(shown, 'account')}.${skipped}${end}`
    return next
      ? `No such account on ${count(empty, 'page')}, and there are more.`
      : `No such account.${empty > 1 ? ` Looked at ${empty} pages.` : ''}`
  }

  /** @param {() => unknown} change */
  async function turn(change) {
    change()
    await show()
    focusOn(part)
  }

  show()
  return part
}

/** @param {any} entry */
const cells = ({ user, sessions, blocked, blockedAt, note, lastSeenAt }) => [
  accountLink(user.account, user.id),
  user.roles.filter((/** @type {string} */ role) => role !== 'user').join(', '),
  sessions,
  timeElement(lastSeenAt, ago),
  blocked &&
    element(
      'span',
      {},
      element('span', { className: 'tag bad' }, 'blocked'),
      ...(blockedAt ? [' ', timeElement(blockedAt, ago)] : []),
      note && element('span', { className: 'note' }, note)
    ),
]

/**
 * @param {import('./app.js').App} app
 * @param {Selected} selected
 */
function exportButton({ calls, signal }, selected) {
  const node = button(
    'Export',
    'secondary',
    async () => {
      try {
        const n = await exportAccounts(calls, selected, signal, done => {
          node.textContent = `Exporting ${done}…`
        })
        say(`Exported ${count(n, 'account')}.`)
      } catch (error) {
        const { what, todo } = inWords(error)
        if (!signal.aborted) say(`The export failed, and nothing was saved. ${what} ${todo}`)
      } finally {
        node.textContent = 'Export'
      }
    },
    { id: 'export' }
  )
  return node
}
