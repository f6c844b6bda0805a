// Lists of events: of one account, and of all that admins did.

import { button, element, say, timeElement } from './dom.js'
import { failureNotice } from './failure.js'
import { table } from './table.js'
import { withQuery } from './calls.js'
import { dateAndTime, eventInWords, short } from './words.js'

/**
 * Makes a link to an account.
 *
 * @param {string | undefined} account
 * @param {string} [id] is used if the account is not known
 */
export function accountLink(account, id) {
  const reference = account || id
  if (!reference) return undefined
  return element(
    'a',
    { href: `#/accounts/${encodeURIComponent(reference)}`, title: reference, className: 'id' },
    short(reference)
  )
}

/**
 * Makes a list of events that grows page by page.
 *
 * @param {import('./app.js').App} app
 * @param {string} caption
 * @param {Record<string, string>} query
 * @param {import('./table.js').Column[]} columns
 * @param {(event: any) => import('./table.js').Content[]} cells
 * @param {(event: any) => string} [classOf] what the row of an event is, for the style sheet
 */
export function eventList({ calls, signal }, caption, query, columns, cells, classOf = () => '') {
  const rows = element('div', {})
  const more = element('div', { className: 'more' })
  /** @type {HTMLTableElement | undefined} */
  let shown

  /** @param {string} [cursor] */
  async function loadPage(cursor) {
    rows.ariaBusy = 'true'
    try {
      const { events, next } = await calls.get(
        withQuery('/api/admin/activity', { ...query, limit: 25, cursor }),
        signal
      )
      if (signal.aborted) return
      add(events)
      more.replaceChildren(
        next
          ? button('Show older', 'secondary', () => loadPage(next))
          : element('p', { className: 'hint' }, shown ? 'That is all.' : 'Nothing yet.')
      )
      if (cursor) say(`${events.length} more.`)
    } catch (error) {
      if (!signal.aborted) more.replaceChildren(failureNotice(error, () => loadPage(cursor)))
    } finally {
      rows.ariaBusy = 'false'
    }
  }

  /** @param {any[]} events */
  function add(events) {
    if (!events.length) return
    const page = table(caption, columns, events.map(cells))
    events.forEach((event, i) => {
      page.tBodies[0].rows[i].className = classOf(event)
    })
    if (shown) shown.tBodies[0].append(...page.tBodies[0].rows)
    else rows.replaceChildren((shown = page))
  }

  more.append(element('p', { className: 'hint', role: 'status' }, 'Loading…'))
  loadPage()
  return element('div', { className: 'events' }, rows, more)
}

/** @param {any} event */
export const whenAndWhat = ({ time, ...event }) => [
  eventInWords(event),
  timeElement(time, dateAndTime),
]
