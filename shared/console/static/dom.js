// What the console needs of the DOM. Text is always set as text, never as HTML:
// names, notes and user agents are what other people typed.

const SVG = 'http://www.w3.org/2000/svg'

/** @param {string} id of an element of the page */
export const byId = id => /** @type {HTMLElement} */ (document.getElementById(id))

/**
 * Makes an element with properties, attributes and children. A name with a
 * hyphen, `role` and `for` are attributes. Strings become text; children that
 * are undefined, false or empty are left out.
 *
 * @param {string} tag
 * @param {Record<string, any>} [properties]
 * @param {...(Node | string | number | false | undefined)} children
 * @returns {any}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag)
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined) continue
    if (/-|^(role|for)$/.test(name)) node.setAttribute(name, value)
    else Object.assign(node, { [name]: value })
  }
  append(node, children)
  return node
}

/**
 * Makes an element of SVG with attributes. A policy forbids inline styles, so
 * its look comes from classes.
 *
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...(Node | string | number | false | undefined)} children
 */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag)
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value))
  append(node, children)
  return node
}

/**
 * @param {Element} node
 * @param {(Node | string | number | false | undefined)[]} children
 */
function append(node, children) {
  for (const child of children) {
    if (child === undefined || child === false || child === '') continue
    node.append(typeof child === 'number' ? String(child) : child)
  }
}

/**
 * Makes a button.
 *
 * @param {string} label
 * @param {'primary' | 'secondary' | 'danger' | 'quiet'} kind
 * @param {() => unknown} run is not called again before it is done
 * @param {Record<string, any>} [properties]
 * @returns {HTMLButtonElement}
 */
export function button(label, kind, run, properties = {}) {
  const node = element('button', { type: 'button', className: kind, ...properties }, label)
  node.addEventListener('click', () => whileBusy(node, run))
  return node
}

/**
 * Runs a function, unless it still runs for this element.
 *
 * @param {HTMLElement} node
 * @param {() => unknown} run
 */
export async function whileBusy(node, run) {
  if (node.ariaBusy === 'true') return
  node.ariaBusy = 'true'
  try {
    await run()
  } finally {
    node.ariaBusy = 'false'
  }
}

/**
 * Makes a list of names and values. Values that are missing are left out.
 *
 * @param {[string, Node | string | number | false | undefined][]} facts
 */
export const factList = facts =>
  element(
    'dl',
    { className: 'facts' },
    ...facts
      .filter(([, value]) => value !== undefined && value !== '' && value !== false)
      .map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)))
  )

/**
 * Makes a time that shows its full form in a tooltip.
 *
 * @param {string | undefined} time
 * @param {(time: string) => string} inWords
 */
export const timeElement = (time, inWords) =>
  time ? element('time', { dateTime: time, title: time }, inWords(time)) : undefined

/** @param {string} address or an id, which is shown in full and copied by a click */
export function copyable(address) {
  const copy = button(
    'Copy',
    'quiet',
    async () => {
      await navigator.clipboard?.writeText(address).then(
        () => say('Copied.'),
        () => say('The browser did not allow to copy. Select the text instead.')
      )
    },
    { 'aria-label': `Copy ${address}` }
  )
  return element('span', { className: 'copyable' }, element('code', {}, address), copy)
}

/**
 * Has a screen reader say what has happened, and shows it for a while.
 *
 * @param {string} text
 */
export function say(text) {
  const toast = byId('toast')
  toast.textContent = text
  clearTimeout(Number(toast.dataset.timer))
  toast.dataset.timer = String(
    setTimeout(() => {
      toast.textContent = ''
    }, 8000)
  )
}

/**
 * Gives the focus to an element that usually has none, such as a heading.
 *
 * @param {HTMLElement} node
 */
export function focusOn(node) {
  node.tabIndex = -1
  node.focus()
}
