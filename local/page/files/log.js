// The log of requests and their answers.

import { byId, element } from './dom.js'
import { timeOfDay } from './words.js'

const MAX_ENTRIES = 100

/**
 * What has been answered.
 *
 * @typedef {object} Answered
 * @property {string} path
 * @property {number} status
 * @property {any} body parsed, if it is JSON
 */

/**
 * Returns a fetch that lists each request with its answer.
 *
 * @param {string} who names the sender
 * @param {(answered: Answered) => void} [onAnswer]
 * @returns {typeof fetch}
 */
export function loggedFetch(who, onAnswer = () => {}) {
  return async (input, init) => {
    const request = new Request(input, init)
    const entry = addEntry(who, request, init?.body)
    const started = performance.now()
    try {
      const answer = await fetch(input, init)
      const text = await answer.clone().text()
      entry.answered(answer, text, performance.now() - started)
      onAnswer({ path: pathOf(request), status: answer.status, body: parse(text) })
      return answer
    } catch (error) {
      entry.failed(error)
      throw error
    }
  }
}

/** Empties the log. */
export function clearLog() {
  byId('log').replaceChildren()
  byId('log-empty').hidden = false
}

/** @param {Request} request */
const pathOf = request => new URL(request.url).pathname

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * Lists a request.
 *
 * @param {string} who
 * @param {Request} request
 * @param {unknown} body
 */
function addEntry(who, request, body) {
  const { pathname, search } = new URL(request.url)
  const status = element('span', { className: 'code' }, '…')
  const note = element('span', { className: 'note' })
  const details = element('div', { className: 'details' },
    element('p', { className: 'hint' }, `Sent by the ${who} at ${timeOfDay(Date.now())}.`),
    part('Request', request.headers, typeof body === 'string' ? body : ''))
  const entry = element('details', {},
    element('summary', {},
      element('span', { className: 'method' }, request.method),
      element('span', { className: 'path' }, pathname + search),
      status, note),
    details)
  entry.dataset.kind = 'busy'
  const log = byId('log')
  log.prepend(element('li', {}, entry))
  while (log.childElementCount > MAX_ENTRIES) log.lastElementChild?.remove()
  byId('log-empty').hidden = true
  return {
    /**
     * @param {Response} answer
     * @param {string} text
     * @param {number} ms
     */
    answered(answer, text, ms) {
      const { code } = parse(text) ?? {}
      entry.dataset.kind = answer.ok ? 'good' : answer.status < 500 ? 'warn' : 'bad'
      status.textContent = String(answer.status)
      note.textContent = [code, `${Math.round(ms)} ms`].filter(Boolean).join(' · ')
      details.append(part('Answer', answer.headers, text))
    },
    /** @param {unknown} error */
    failed(error) {
      entry.dataset.kind = 'bad'
      status.textContent = 'no answer'
      details.append(element('p', { className: 'hint' }, String(error)))
    },
  }
}

/**
 * @param {string} title
 * @param {Headers} headers
 * @param {string} body
 */
function part(title, headers, body) {
  const lines = [...headers].map(([name, value]) => `${name}: ${hideToken(value)}`)
  const node = element('div', {}, element('h3', {}, title))
  if (lines.length) node.append(code(lines.join('\n')))
  if (body) node.append(code(hideToken(pretty(body))))
  if (!lines.length && !body) {
    node.append(element('p', { className: 'hint' }, 'No headers and no body of its own.'))
  }
  return node
}

/** @param {string} text */
const code = text => element('pre', { tabIndex: 0 }, element('code', {}, text))

/** @param {string} text */
function pretty(text) {
  const value = parse(text)
  return value === undefined ? text : JSON.stringify(value, null, 2)
}

/**
 * Shortens the tokens of the bearer client, so that a screenshot shows none.
 *
 * @param {string} text
 */
const hideToken = text => text.replace(/\blk[art]_[\w.-]+/g, token => `${token.slice(0, 8)}…`)
