// Dialogs: one that asks before a change, and one that asks the wallet.

import { button, element, focusOn, say, whileBusy } from './dom.js'
import { failureNotice, inWords } from './failure.js'

let number = 0

/**
 * Makes a modal dialog and shows it. It is removed when it closes, and the
 * element that had the focus gets it back.
 *
 * @param {string} title
 * @param {(string | Node)[]} text
 * @returns {{ dialog: HTMLDialogElement, body: HTMLElement, closed: Promise<void> }}
 */
function open(title, text) {
  const id = `dialog-${++number}`
  const before = /** @type {HTMLElement | null} */ (document.activeElement)
  const body = element('div', { className: 'dialog-body' })
  const dialog = element(
    'dialog',
    { 'aria-labelledby': `${id}-title`, 'aria-describedby': `${id}-text` },
    element('h2', { id: `${id}-title` }, title),
    element(
      'div',
      { id: `${id}-text`, className: 'dialog-text' },
      ...text.map(part => (typeof part === 'string' ? element('p', {}, part) : part))
    ),
    body
  )
  document.body.append(dialog)
  dialog.showModal()
  const closed = new Promise(resolve =>
    dialog.addEventListener('close', () => {
      dialog.remove()
      if (before?.isConnected) before.focus()
      resolve(undefined)
    })
  )
  return { dialog, body, closed }
}

/**
 * Asks before a change, and makes it when the form is sent. If that fails, the
 * dialog stays and says what to do. A change that was sent cannot be taken back:
 * if the dialog is closed meanwhile, its outcome is awaited and said.
 *
 * @param {object} question
 * @param {string} question.title
 * @param {(string | Node)[]} question.text
 * @param {Node[]} [question.fields]
 * @param {string} question.label of the button that makes the change
 * @param {boolean} [question.isDanger]
 * @param {() => string | undefined} [question.check] says what is wrong with the fields
 * @param {() => Promise<unknown>} question.run
 * @returns {Promise<boolean>} whether the change was made
 */
export async function ask({ title, text, fields = [], label, isDanger, check, run }) {
  const { dialog, body, closed } = open(title, text)
  let isDone = false
  const result = element('div', { 'aria-live': 'polite' })
  const submit = element(
    'button',
    { type: 'submit', className: isDanger ? 'danger strong' : 'primary' },
    label
  )
  const cancel = button('Cancel', 'secondary', () => dialog.close())
  /** @type {Promise<void> | undefined} */
  let sent
  const form = element(
    'form',
    { noValidate: true },
    ...fields,
    result,
    element('div', { className: 'pair' }, submit, cancel)
  )
  form.addEventListener('submit', (/** @type {Event} */ event) => {
    event.preventDefault()
    const wrong = check?.()
    result.replaceChildren(
      wrong ? element('p', { className: 'notice bad', role: 'alert' }, wrong) : ''
    )
    if (!wrong) whileBusy(submit, () => (sent = change()))
  })
  async function change() {
    try {
      await run()
      isDone = true
      dialog.close()
    } catch (error) {
      result.replaceChildren(failureNotice(error))
      if (!dialog.open) sayFailure(title, error)
    }
  }
  body.append(form)
  // Enter that is held or pressed twice must not confirm what nobody has read.
  const first = form.querySelector('input, textarea') ?? (isDanger ? cancel : submit)
  first.focus()
  await closed
  await sent
  return isDone
}

/**
 * Says why a change failed whose dialog is closed.
 *
 * @param {string} title of the dialog
 * @param {unknown} error
 */
function sayFailure(title, error) {
  const { what, todo } = inWords(error)
  say(`${title}: ${what} ${todo}`)
}

/**
 * Asks the wallet for a fresh signature, and returns when it has signed or the
 * admin has given up. In the moments after a click it asks at once. Later a
 * wallet would open no window, so the dialog has a button for it.
 *
 * @param {Parameters<import('./types.js').OnStepUp>[0]} confirm
 */
export async function askToSign(confirm) {
  const { dialog, body, closed } = open('Sign to go on', [
    'This needs a fresh signature of your wallet. What you asked for then goes on by itself.',
  ])
  const result = element('p', { role: 'status', className: 'hint' })
  async function sign() {
    result.textContent = 'Your wallet is asked. Look for its window, or at your device.'
    try {
      await confirm()
      dialog.close()
    } catch (error) {
      const { what, todo } = inWords(error)
      result.textContent = `${what} ${todo}`
    }
  }
  const again = button('Sign', 'primary', sign)
  body.append(
    result,
    element(
      'div',
      { className: 'pair' },
      again,
      button('Not now', 'secondary', () => dialog.close())
    )
  )
  again.focus()
  if (navigator.userActivation?.isActive) whileBusy(again, sign)
  await closed
}

/**
 * Gives the focus to the heading of the screen if the element that had it is
 * gone.
 */
export function keepFocus() {
  const heading = document.querySelector('main h1')
  if (document.activeElement === document.body && heading)
    focusOn(/** @type {HTMLElement} */ (heading))
}
