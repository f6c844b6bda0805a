// Charts of one day, in SVG. Each series has a pattern besides its colour, and
// each chart a table with the same numbers.

import { element, svg } from './dom.js'
import { scrollable, table } from './table.js'
import { count, hourOfDay, dateAndTime } from './words.js'

/** @typedef {{ name: string, values: number[] }} Series */

const HEIGHT = 190
const TOP = 10
const BOTTOM = 26
const PATTERNS = 6 // in drawPattern, and as classes in the style sheet

let charts = 0

/**
 * Makes a chart of bars, one for each hour, with its legend and its table.
 *
 * @param {string} title
 * @param {string[]} hours when each began
 * @param {Series[]} series which are stacked. Those after the first five are
 *   drawn as one
 */
export function hourChart(title, hours, series) {
  const id = `chart-${++charts}`
  const drawn = atMost(series, PATTERNS)
  const plot = element('div', { className: 'plot' })
  let lastWidth = 0
  const observer = new ResizeObserver(() => {
    if (!plot.isConnected) return observer.disconnect()
    const width = Math.floor(plot.clientWidth)
    if (width === lastWidth || !width) return
    lastWidth = width
    plot.replaceChildren(drawBars({ id, title, hours, series: drawn, width }))
  })
  observer.observe(plot)
  return element(
    'figure',
    { className: 'chart', id: `chart-${slug(title)}`, 'aria-labelledby': `${id}-title` },
    element(
      'figcaption',
      { id: `${id}-title` },
      element('h3', {}, title),
      element('p', { className: 'hint' }, summary(hours, series))
    ),
    plot,
    series.length > 1 && legend(id, drawn),
    hourTable(title, hours, series)
  )
}

/** @param {string} title */
export const slug = title => title.toLowerCase().replace(/[^a-z]+/g, '-')

/** @param {number[]} values */
export const sum = values => values.reduce((all, value) => all + value, 0)

/**
 * Returns what somebody sees at a glance, in words.
 *
 * @param {string[]} hours
 * @param {Series[]} series
 */
function summary(hours, series) {
  const totals = hours.map((_, i) => sum(series.map(({ values }) => values[i])))
  const most = Math.max(0, ...totals)
  if (!most) return 'None in these 24 hours.'
  return (
    `${sum(totals).toLocaleString()} in ${count(hours.length, 'hour')}; the most in one hour: ` +
    `${most.toLocaleString()}, from ${hourOfDay(hours[totals.indexOf(most)])}.`
  )
}

/**
 * @param {Series[]} series
 * @param {number} max
 * @returns {Series[]}
 */
function atMost(series, max) {
  if (series.length <= max) return series
  const rest = series.slice(max - 1)
  const values = rest[0].values.map((_, i) => sum(rest.map(one => one.values[i])))
  return [...series.slice(0, max - 1), { name: `${rest.length} other reasons`, values }]
}

/**
 * Returns the end of an axis: a number of one digit and zeros, and even, so that
 * half of it is whole.
 *
 * @param {number} most
 */
export function axisEnd(most) {
  const unit = 10 ** Math.floor(Math.log10(Math.max(most, 2)))
  return (
    [2, 4, 6, 8, 10]
      .map(n => n * unit)
      .concat([20 * unit])
      .find(end => end >= most) ?? most
  )
}

/**
 * @param {{ id: string, title: string, hours: string[], series: Series[], width: number }} chart
 */
function drawBars({ id, title, hours, series, width }) {
  const totals = hours.map((_, i) => sum(series.map(({ values }) => values[i])))
  const end = axisEnd(Math.max(0, ...totals))
  const left = 14 + 8 * end.toLocaleString().length
  const step = (width - left) / Math.max(1, hours.length)
  const base = HEIGHT - BOTTOM
  const scale = (base - TOP) / end
  const every = width < 480 ? 6 : 3
  return svg(
    'svg',
    {
      viewBox: `0 0 ${width} ${HEIGHT}`,
      width,
      height: HEIGHT,
      role: 'img',
      'aria-label': `${title}. ${summary(hours, series)} The table below has every number.`,
    },
    svg('defs', {}, ...series.map((_, i) => drawPattern(`${id}-${i}`, i))),
    ...[0, end / 2, end].flatMap(value => [
      svg('line', {
        class: value ? 'grid' : 'axis',
        x1: left,
        x2: width,
        y1: base - value * scale,
        y2: base - value * scale,
      }),
      svg(
        'text',
        { class: 'tick', x: left - 8, y: base - value * scale + 4, 'text-anchor': 'end' },
        value.toLocaleString()
      ),
    ]),
    ...hours.map((hour, i) =>
      i % every
        ? ''
        : svg(
            'text',
            { class: 'tick', x: left + (i + 0.5) * step, y: HEIGHT - 6, 'text-anchor': 'middle' },
            hourOfDay(hour)
          )
    ),
    ...hours.map((hour, i) =>
      drawColumn({ id, hour, i, series, x: left + i * step, step, base, scale })
    )
  )
}

/**
 * @param {{ id: string, hour: string, i: number, series: Series[], x: number, step: number,
 *   base: number, scale: number }} column
 */
function drawColumn({ id, hour, i, series, x, step, base, scale }) {
  let y = base
  const gap = Math.min(3, step * 0.2)
  const lines = series
    .filter(({ values }) => values[i])
    .map(({ name, values }) => `${name}: ${values[i].toLocaleString()}`)
  return svg(
    'g',
    {},
    svg(
      'title',
      {},
      [`From ${dateAndTime(hour)}`, ...(lines.length ? lines : ['none'])].join('\n')
    ),
    svg('rect', { class: 'hit', x, y: TOP, width: step, height: base - TOP }),
    ...series.map(({ values }, at) => {
      const height = values[i] * scale
      y -= height
      return values[i]
        ? svg('rect', {
            class: 'bar-value',
            x: x + gap / 2,
            y,
            width: step - gap,
            height,
            fill: `url(#${id}-${at})`,
            'data-series': at,
            'data-value': values[i],
          })
        : ''
    })
  )
}

/**
 * Draws the pattern of a series. No two look the same without their colours.
 *
 * @param {string} id
 * @param {number} i
 */
function drawPattern(id, i) {
  const marks = [
    [],
    [['path', 'M0 8 8 0M-2 2 2-2M6 10 10 6']],
    [['path', 'M0 4H8']],
    [['circle', '']],
    [['path', 'M4 0V8']],
    [['path', 'M0 0 8 8M0 8 8 0']],
  ][i % PATTERNS]
  return svg(
    'pattern',
    { id, width: 8, height: 8, patternUnits: 'userSpaceOnUse' },
    svg('rect', { class: `series-${i}`, width: 8, height: 8 }),
    ...marks.map(([shape, d]) =>
      shape === 'circle'
        ? svg('circle', { class: 'mark-dot', cx: 4, cy: 4, r: 2 })
        : svg('path', { class: 'mark', d })
    )
  )
}

/**
 * @param {string} id
 * @param {Series[]} series
 */
const legend = (id, series) =>
  element(
    'ul',
    { className: 'legend', 'aria-label': 'Legend' },
    ...series.map(({ name, values }, i) =>
      element(
        'li',
        {},
        svg(
          'svg',
          { width: 18, height: 14, 'aria-hidden': 'true' },
          svg('defs', {}, drawPattern(`${id}-legend-${i}`, i)),
          svg('rect', {
            class: 'bar-value',
            width: 18,
            height: 14,
            rx: 2,
            fill: `url(#${id}-legend-${i})`,
          })
        ),
        ` ${name}: ${sum(values).toLocaleString()}`
      )
    )
  )

/**
 * @param {string} title
 * @param {string[]} hours
 * @param {Series[]} series
 */
const hourTable = (title, hours, series) =>
  element(
    'details',
    {},
    element('summary', {}, `Table: ${title.toLowerCase()}`),
    scrollable(
      `Table: ${title}`,
      table(
        `${title}, for each hour`,
        [{ name: 'Hour from' }, ...series.map(({ name }) => ({ name, isNumber: true }))],
        [
          ...hours.map((hour, i) => [
            dateAndTime(hour),
            ...series.map(({ values }) => values[i].toLocaleString()),
          ]),
          ['All', ...series.map(({ values }) => sum(values).toLocaleString())],
        ],
        'plain-table'
      )
    )
  )
