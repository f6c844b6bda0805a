// Parts of a screen that come from the server.

import { element } from './dom.js'
import { failureNotice } from './failure.js'

/**
 * Fills a part of a screen with what a function returns. While it runs the part
 * says so, and if it throws the part says what to do. If the screen is left, the
 * answer is dropped.
 *
 * @param {HTMLElement} part
 * @param {AbortSignal} signal of the screen
 * @param {() => Promise<Node[]>} run
 * @param {() => unknown} [again] runs it again after a failure
 * @returns {Promise<boolean>} whether it succeeded
 */
export async function load(part, signal, run, again = () => load(part, signal, run)) {
  part.ariaBusy = 'true'
  if (!part.childElementCount) {
    part.replaceChildren(element('p', { className: 'hint', role: 'status' }, 'Loading…'))
  }
  try {
    const nodes = await run()
    if (!signal.aborted) part.replaceChildren(...nodes)
    return !signal.aborted
  } catch (error) {
    if (!signal.aborted) part.replaceChildren(failureNotice(error, again))
    return false
  } finally {
    part.ariaBusy = 'false'
  }
}

/**
 * Makes a section with a heading.
 *
 * @param {string} title
 * @param {string} id
 * @param {...(Node | string | false | undefined)} children
 * @returns {HTMLElement}
 */
export const section = (title, id, ...children) =>
  element(
    'section',
    { className: 'card', id, 'aria-labelledby': `${id}-title` },
    element('h2', { id: `${id}-title` }, title),
    ...children
  )
