// The events that other systems hear of, as they are published.

import { byId, element } from './dom.js'
import { shortened } from './panels.js'
import { timeOfDay } from './words.js'

const MAX_ENTRIES = 50
const PATH = '/page/events'

/**
 * What docs/events.md says of an event, as far as it is shown.
 *
 * @typedef {object} Published
 * @property {string} id
 * @property {string} detail-type
 * @property {{ time: string, userId: string, account?: string, reason?: string,
 *   actor: { kind: string, account?: string, userId?: string } }} detail
 */

// The number of the last event that was shown. The server counts them.
let last = -1
let isAsking = false

/**
 * Asks for events each second while somebody may see them. A server that
 * publishes none has no list for them.
 */
export function watchPublished() {
  if (!byId('published')) return
  const ask = () => document.hidden || poll().catch(() => {}) // the server may be away
  setInterval(ask, 1000)
  ask()
}

async function poll() {
  if (isAsking) return
  isAsking = true
  try {
    const answer = await fetch(`${PATH}?after=${Math.max(last, 0)}`)
    if (!answer.ok) return
    const found = await answer.json()
    show(found.events, last >= 0)
    last = found.last
  } finally {
    isAsking = false
  }
}

/**
 * Lists events, newest first. Of those that are new, a screen reader reads one
 * line, however many there are.
 *
 * @param {Published[]} events oldest first
 * @param {boolean} areNew
 */
function show(events, areNew) {
  if (!events.length) return
  const list = byId('published-list')
  for (const event of events) list.prepend(row(event))
  while (list.childElementCount > MAX_ENTRIES) list.lastElementChild?.remove()
  byId('published-empty').hidden = true
  if (!areNew) return
  const latest = events[events.length - 1]
  const count = events.length === 1 ? 'New' : `${events.length} new, the latest`
  byId('published-news').textContent =
    `${count}: ${latest['detail-type']} at ${timeOfDay(latest.detail.time)}.`
}

/** @param {Published} event */
function row({ detail, ...event }) {
  const { time, reason } = detail
  return element('li', {},
    element('span', { className: 'what' }, event['detail-type']),
    element('span', { className: 'hint' },
      [whose(detail), reason, `by ${actorInWords(detail)}`].filter(Boolean).join(' · ')),
    element('time', { dateTime: time, className: 'hint' }, timeOfDay(time)))
}

/** @param {{ account?: string, userId: string }} of */
const whose = ({ account, userId }) => account ? shortened(account) : `user ${userId.slice(0, 8)}…`

/** @param {Published['detail']} detail */
function actorInWords({ actor }) {
  return actor.kind === 'admin' && actor.account ? `admin ${shortened(actor.account)}` : actor.kind
}
