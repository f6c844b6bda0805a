// Tables, which a narrow window shows as cards.

import { element } from './dom.js'

/** @typedef {Node | string | number | false | undefined} Content */

/**
 * @typedef {object} Column
 * @property {string} name
 * @property {boolean} [isNumber] whether it is aligned right
 * @property {boolean} [isHidden] whether only screen readers get the name
 */

/**
 * Makes a table. As cards its rows and cells are blocks, which takes their
 * meaning away: so each has its role as an attribute, too.
 *
 * @param {string} caption for screen readers
 * @param {Column[]} columns
 * @param {Content[][]} rows the first cell of each is its heading
 * @param {string} [className]
 * @returns {HTMLTableElement}
 */
export function table(caption, columns, rows, className = '') {
  return element(
    'table',
    { role: 'table', className: `cards ${className}`.trim() },
    element('caption', { className: 'unseen' }, caption),
    element(
      'thead',
      { role: 'rowgroup' },
      element(
        'tr',
        { role: 'row' },
        ...columns.map(({ name, isNumber, isHidden }) =>
          element(
            'th',
            {
              scope: 'col',
              role: 'columnheader',
              className: isNumber ? 'number' : '',
            },
            isHidden ? element('span', { className: 'unseen' }, name) : name
          )
        )
      )
    ),
    element('tbody', { role: 'rowgroup' }, ...rows.map(cells => row(columns, cells)))
  )
}

/**
 * @param {Column[]} columns
 * @param {Content[]} cells
 */
const row = (columns, cells) =>
  element(
    'tr',
    { role: 'row' },
    ...cells.map((content, i) => {
      const { name, isNumber, isHidden } = columns[i]
      const isEmpty = content === undefined || content === '' || content === false
      const className = `${isNumber ? 'number' : ''}${isEmpty ? ' empty' : ''}`.trim()
      return element(
        i ? 'td' : 'th',
        {
          className,
          role: i ? 'cell' : 'rowheader',
          ...(i ? {} : { scope: 'row' }),
          ...(isHidden ? {} : { 'data-name': name }),
        },
        element('span', {}, content)
      )
    })
  )

/**
 * Wraps what may be wider than the window. It scrolls with the keyboard, too.
 *
 * @param {string} label
 * @param {Node} content
 */
export const scrollable = (label, content) =>
  element(
    'div',
    { className: 'scrollable', role: 'region', 'aria-label': label, tabIndex: 0 },
    content
  )
