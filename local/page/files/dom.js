// What the page needs of the DOM. Text is always set as text, never as HTML.

/** @param {string} id of an element that the page has */
export const byId = id => /** @type {HTMLElement} */ (document.getElementById(id))

/**
 * Makes an element with properties and children. Strings become text.
 *
 * @param {string} tag
 * @param {object} [properties]
 * @param {...(Node | string)} children
 */
export function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties)
  node.append(...children)
  return node
}

/**
 * Hides or shows an element. If it had the focus, another one gets that.
 *
 * @param {HTMLElement} node
 * @param {boolean} isHidden
 * @param {string} next the id of what gets the focus
 */
export function hide(node, isHidden, next) {
  const hadFocus = node.contains(document.activeElement)
  node.hidden = isHidden
  if (isHidden && hadFocus) byId(next).focus()
}

/**
 * Shows a result below what it is about. A screen reader reads it.
 *
 * @param {HTMLElement} output
 * @param {string} text
 * @param {'good' | 'bad' | 'busy'} [kind]
 */
export function showResult(output, text, kind = 'good') {
  output.dataset.kind = kind
  output.textContent = text
}

/**
 * Runs a function at each click, but not twice at once, and shows what it
 * returns or throws.
 *
 * @param {HTMLElement} button
 * @param {HTMLElement} output
 * @param {() => Promise<string | void>} run
 */
export function onClick(button, output, run) {
  button.addEventListener('click', async () => {
    if (button.ariaBusy === 'true') return
    button.ariaBusy = 'true'
    showResult(output, '')
    try {
      showResult(output, await run() || '')
    } catch (error) {
      showError(output, error)
    } finally {
      button.ariaBusy = 'false'
    }
  })
}

/**
 * @param {HTMLElement} output
 * @param {any} error
 */
function showError(output, error) {
  showResult(output, error.code === 4001 ? 'You declined in the wallet. Nothing has changed.' :
    error.detail ?? error.message ?? String(error), 'bad')
  if (!error.retry) return
  const again = element('button', { type: 'button', className: 'quiet' }, 'Send it again')
  again.addEventListener('click', () => {
    showResult(output, 'Sending the same signed message again', 'busy')
    error.retry().then(() => showResult(output, ''),
      (/** @type {any} */ failure) => showError(output, failure))
  })
  output.append(' ', again)
}
