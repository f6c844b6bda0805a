// Restore: plays an exported file back, account by account.

import { accountLink } from './activity.js'
import { inOrder, readBackup } from './backup.js'
import { accountPath } from './calls.js'
import { button, element, focusOn, say } from './dom.js'
import { failureNotice, inWords } from './failure.js'
import { table } from './table.js'
import { count } from './words.js'

const MAX_BYTES = 64 << 20
const MAX_SHOWN = 20

/** @type {import('./app.js').Screen} */
export function restoreScreen(app) {
  const file = element('input', {
    type: 'file',
    id: 'file',
    accept: '.ndjson,application/x-ndjson,application/json',
  })
  const part = element('div', { id: 'restore-part' })
  file.addEventListener('change', async () => {
    const [chosen] = file.files
    part.replaceChildren() // what it has is of the file before
    if (!chosen) return
    const nodes = await preview(app, chosen, file).catch(unreadable)
    if (file.files[0] === chosen) part.replaceChildren(...nodes)
  })
  return element(
    'div',
    { className: 'stack', id: 'restore' },
    element('h1', {}, 'Restore accounts'),
    element(
      'section',
      { className: 'card', 'aria-label': 'Restore' },
      element(
        'p',
        {},
        'Plays an exported file back: each account in it gets the roles and the block of ' +
          'its line. ' +
          'Accounts that are not in the file stay as they are, and nobody is unblocked.'
      ),
      element(
        'div',
        { className: 'field' },
        element('label', { for: 'file' }, 'Exported file'),
        file
      ),
      part
    )
  )
}

/** @param {Error} error of the browser */
const unreadable = error => [
  element(
    'p',
    { className: 'notice bad', role: 'alert' },
    `The browser cannot read the file (${error.message}). Choose it again.`
  ),
]

/**
 * Checks a file, and says what it would do.
 *
 * @param {import('./app.js').App} app
 * @param {File} file
 * @param {HTMLInputElement} input by which the file was chosen
 * @returns {Promise<Node[]>}
 */
async function preview(app, file, input) {
  if (file.size > MAX_BYTES) {
    return [
      element(
        'p',
        { className: 'notice bad', role: 'alert' },
        'The file has more than 64 MiB. Split it by lines, and restore the parts.'
      ),
    ]
  }
  const { wanted, problems } = readBackup(await file.text())
  if (problems.length) {
    return [
      element(
        'div',
        { className: 'notice bad', role: 'alert', id: 'problems' },
        element(
          'p',
          {},
          element('strong', {}, 'The file is not an export, and nothing was changed.')
        ),
        element(
          'ul',
          { className: 'plain' },
          ...problems.slice(0, MAX_SHOWN).map(problem => element('li', {}, problem))
        ),
        problems.length > MAX_SHOWN && element('p', {}, `And ${problems.length - MAX_SHOWN} more.`)
      ),
    ]
  }
  const blocks = wanted.filter(({ blocked }) => blocked).length
  const roles = wanted.filter(({ roles }) => roles.length).length
  const part = element('div', {})
  part.append(
    element(
      'p',
      { role: 'status', id: 'preview' },
      `The file has ${count(wanted.length, 'account')}: ` +
        `${roles} with roles, ${blocks} blocked. ${rolesInWords(wanted)}` +
        'Your wallet is asked for a signature as often as that is needed.'
    ),
    button(
      `Restore ${count(wanted.length, 'account')}`,
      'primary',
      () => new Restoration(app, part, wanted, input).run(),
      { id: 'start' }
    )
  )
  return [part]
}

/** @param {import('./backup.js').Wanted[]} wanted */
function rolesInWords(wanted) {
  const names = wanted.flatMap(({ roles }) => roles)
  const all = [...new Set(names)].sort()
  const counts = all.map(role => `${role} ${names.filter(name => name === role).length}`)
  return counts.length ? `Accounts by role: ${counts.join(', ')}. ` : ''
}

/** One restore, which can stop and go on. */
class Restoration {
  isStopped = false
  done = 0
  restored = 0
  // Whether an account has another id than in the file: the lookup key differs.
  hasMoved = false
  /** @type {[import('./backup.js').Wanted, string][]} */
  refusals = []
  bar
  status = element('p', { role: 'status', id: 'progress' })
  end = element('div', { id: 'restore-end' })

  /**
   * @param {import('./app.js').App} app
   * @param {HTMLElement} part
   * @param {import('./backup.js').Wanted[]} wanted
   * @param {HTMLInputElement} input which chooses no other file meanwhile
   */
  constructor(app, part, wanted, input) {
    this.app = app
    this.input = input
    this.part = part
    this.wanted = inOrder(wanted, app.me)
    this.bar = element('progress', { max: wanted.length, value: 0, 'aria-label': 'Accounts done' })
  }

  async run() {
    this.isStopped = false
    this.input.disabled = true
    const stop = button(
      'Stop',
      'secondary',
      () => {
        this.isStopped = true
      },
      { id: 'stop' }
    )
    this.end.replaceChildren()
    this.part.replaceChildren(this.bar, this.status, stop, this.end)
    stop.focus()
    try {
      while (this.done < this.wanted.length && !this.isStopped && !this.app.signal.aborted) {
        await this.one(this.wanted[this.done])
        this.done++
        this.show()
      }
      this.conclude()
    } catch (error) {
      this.conclude(error)
    }
    stop.remove()
    this.input.disabled = false
    focusOn(this.status)
  }

  show() {
    this.bar.value = this.done
    const all = count(this.wanted.length, 'account')
    const refused = this.done - this.restored
    this.status.textContent = `${this.done} of ${all} done, ${refused} refused.`
  }

  /**
   * Restores one account. It throws if the restore cannot go on.
   *
   * @param {import('./backup.js').Wanted} wanted
   */
  async one(wanted) {
    const { account, id, roles, blocked, note } = wanted
    const reference = account ?? id
    if (!account && this.hasMoved) {
      this.refusals.push([
        wanted,
        'The lookup key is not that of the export, so no account has this id.',
      ])
      return
    }
    const blockFailure =
      blocked &&
      (await this.attempt('POST', accountPath(reference, '/block'), note ? { note } : {}))
    const roleFailure = await this.attempt(
      'PUT',
      accountPath(reference, '/roles'),
      { roles },
      ({ user }) => {
        if (user.id !== id) this.hasMoved = true
      }
    )
    if (blockFailure) this.refusals.push([wanted, `Block: ${blockFailure}`])
    if (roleFailure) this.refusals.push([wanted, roleFailure])
    if (!blockFailure && !roleFailure) this.restored++
  }

  /**
   * Makes a change, and returns why it was refused. Any other failure is about
   * more than this account.
   *
   * @param {string} method
   * @param {string} path
   * @param {object} body
   * @param {(answer: any) => void} [use]
   */
  async attempt(method, path, body, use) {
    try {
      const answer = await this.app.calls.send(method, path, body)
      use?.(answer)
    } catch (error) {
      const { code, facts } = /** @type {import('./failure.js').Failure} */ (error)
      const isOfAccount =
        code === 'invalid_request' ||
        code === 'conflict' ||
        (code === 'forbidden' && facts.permission !== 'users:write')
      if (!isOfAccount) throw error
      return inWords(error).what
    }
  }

  /** @param {unknown} [error] */
  conclude(error) {
    this.show()
    const left = this.wanted.length - this.done
    const refused = this.done - this.restored
    const all = count(this.wanted.length, 'account')
    const words = `Restored ${this.restored}, refused ${refused}, left ${left} of ${all}.`
    this.status.textContent = words
    if (!this.app.signal.aborted) say(words)
    const goOn = button('Go on', 'primary', () => this.run(), { id: 'go-on' })
    this.end.replaceChildren(
      ...[
        error && failureNotice(error),
        left &&
          element(
            'p',
            {},
            'It goes on with the account at which it stopped. To repeat one does no harm.'
          ),
        left && goOn,
        this.refusals.length && this.refusalTable(),
      ]
        .filter(Boolean)
        .map(node => /** @type {Node} */ (node))
    )
  }

  refusalTable() {
    return table(
      'Refused',
      [{ name: 'Account' }, { name: 'Line', isNumber: true }, { name: 'Why' }],
      this.refusals.map(([{ account, id, line }, why]) => [accountLink(account, id), line, why]),
      'refusals'
    )
  }
}
