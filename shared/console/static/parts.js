// Parts of a whole, such as the live sessions by chain.

import { slug, sum } from './charts.js'
import { element, svg } from './dom.js'
import { table } from './table.js'

/**
 * Makes a table of parts of a whole, each with a bar, the largest first.
 *
 * @param {string} what the parts are, such as Chain
 * @param {Record<string, number>} counts
 * @param {(name: string) => string} inWords
 */
export function partsTable(what, counts, inWords) {
  const title = `By ${what.toLowerCase()}`
  const parts = Object.entries(counts).sort(([, a], [, b]) => b - a)
  const all = sum(Object.values(counts))
  const rows = parts.map(([name, n]) => [
    inWords(name),
    bar(n / all),
    n.toLocaleString(),
    `${Math.round((n / all) * 100)} %`,
  ])
  return element(
    'div',
    { className: 'parts', id: `parts-${slug(title)}` },
    element('h3', {}, title),
    parts.length
      ? table(
          title,
          [
            { name: what },
            { name: 'Share as a bar', isHidden: true },
            { name: 'Sessions', isNumber: true },
            { name: 'Share', isNumber: true },
          ],
          rows,
          'plain-table parts-table'
        )
      : element('p', { className: 'hint' }, 'No session is live.')
  )
}

/** @param {number} share between 0 and 1 */
const bar = share =>
  svg(
    'svg',
    { class: 'share', viewBox: '0 0 100 8', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('rect', { class: 'share-ground', width: 100, height: 8 }),
    svg('rect', { class: 'share-value', width: share * 100, height: 8 })
  )
