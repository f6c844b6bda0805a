// The overview: how many sessions are live, what happened in each hour of the
// last day, and whether the server is healthy.

import { hourChart } from './charts.js'
import { button, element, factList, timeElement } from './dom.js'
import { failureOf, inWords } from './failure.js'
import { load, section } from './loading.js'
import { partsTable } from './parts.js'
import { ago, chainInWords, dateAndTime, reasonInWords, timeOfDay } from './words.js'

/** @type {import('./app.js').Screen} */
export function overviewScreen({ calls, signal }) {
  const health = element('div', {})
  const numbers = element('div', { className: 'stack', id: 'numbers' })
  const loadAll = () =>
    Promise.all([
      load(health, signal, async () => [healthCard(await readHealth(signal))]),
      load(numbers, signal, async () =>
        numberCards(await calls.get('/api/admin/sessions', signal), signal)
      ),
    ])
  loadAll()
  // It does not reload by itself: every request keeps the admin's session alive.
  return element(
    'div',
    { className: 'stack', id: 'overview' },
    element(
      'div',
      { className: 'head' },
      element('h1', {}, 'Overview'),
      button('Reload', 'secondary', loadAll, { id: 'reload' })
    ),
    health,
    numbers
  )
}

/**
 * Reads the health of the server. It also has an answer if that is bad, or if
 * something before the server answered, such as a throttle.
 *
 * @param {AbortSignal} signal
 */
async function readHealth(signal) {
  try {
    const answer = await fetch('/health', { signal, cache: 'no-store', credentials: 'omit' })
    const health = await answer.clone().json().catch(() => undefined)
    return health?.checks ? health : { error: await failureOf(answer, false) }
  } catch {
    return { error: { code: 'network_error' } }
  }
}

/** @param {any} health */
function healthCard({ status, version, time, checks: { redis = {} } = {}, error }) {
  const isGood = status === 'ok'
  const { what, todo } = inWords(error ?? { code: 'unavailable' })
  return section(
    'Health',
    'health',
    element(
      'p',
      { className: `health ${isGood ? 'good' : 'bad'}`, role: 'status' },
      isGood
        ? 'Healthy: a login could work now.'
        : `${error ? 'Not known' : 'Not healthy'}. ${what} ${todo}`
    ),
    factList([
      [
        'Redis',
        redis.status && `${redis.status}, answered in ${Math.round(redis.latencyMs * 10) / 10} ms`,
      ],
      ['Mode', redis.mode],
      ['Clock skew', redis.clockSkewMs === undefined ? undefined : `${redis.clockSkewMs} ms`],
      ['Version', version],
      ['Checked', time && timeOfDay(time)],
    ])
  )
}

/**
 * @param {any} numbers
 * @param {AbortSignal} signal
 */
function numberCards(numbers, signal) {
  const { active, users, byChain, byTransport, byDevice, last24h, hours, asOf } = numbers
  const readAt = Date.now()
  return [
    section(
      'Now',
      'now',
      tiles([
        ['Live sessions', active],
        ['Accounts with a live session', users],
        ['Logins, last 24 hours', last24h.logins],
        ['Failed logins, last 24 hours', last24h.failedLogins],
      ]),
      age(readAt, asOf, signal)
    ),
    section(
      'Live sessions',
      'live',
      element(
        'div',
        { className: 'columns' },
        partsTable('Chain', byChain, chainInWords),
        partsTable('Transport', byTransport, name => name),
        partsTable('Device', byDevice, name => name)
      )
    ),
    section('The last day, hour by hour', 'day', ...dayCharts(hours)),
  ]
}

/** @param {[string, number][]} numbers */
const tiles = numbers =>
  element(
    'dl',
    { className: 'tiles' },
    ...numbers.map(([name, n]) =>
      element(
        'div',
        { className: 'tile' },
        element('dt', {}, name),
        element('dd', {}, n.toLocaleString())
      )
    )
  )

/**
 * Says how old the numbers are, and keeps saying it.
 *
 * @param {number} readAt
 * @param {string | undefined} asOf
 * @param {AbortSignal} signal
 */
function age(readAt, asOf, signal) {
  const node = element('p', { className: 'hint', id: 'age' })
  const say = () => {
    node.textContent =
      `Live numbers were read ${ago(readAt)}. ` +
      (asOf
        ? `Logins and ends were summed ${ago(asOf)}.`
        : 'Logins and ends have not been summed yet: the sweeper does that once a minute.')
  }
  say()
  const timer = setInterval(
    () => (signal.aborted || !node.isConnected ? clearInterval(timer) : say()),
    10_000
  )
  return node
}

/**
 * @param {{ hour: string, logins: number, failedLogins: number,
 *   ended: Record<string, number> }[]} hours
 */
function dayCharts(hours) {
  if (!hours.length) {
    return [
      element(
        'p',
        { className: 'hint' },
        'There are no hours yet. The sweeper sums them once a minute: reload in a minute.'
      ),
    ]
  }
  const starts = hours.map(({ hour }) => hour)
  const totals = new Map()
  for (const { ended } of hours) {
    for (const [reason, n] of Object.entries(ended))
      totals.set(reason, (totals.get(reason) ?? 0) + n)
  }
  const reasons = [...totals].sort(([, a], [, b]) => b - a).map(([reason]) => reason)
  return [
    element(
      'p',
      { className: 'hint' },
      '24 complete hours, from ',
      timeElement(starts[0], dateAndTime),
      `, in the time of this device (${Intl.DateTimeFormat().resolvedOptions().timeZone}).`
    ),
    hourChart('Logins', starts, [{ name: 'Logins', values: hours.map(({ logins }) => logins) }]),
    hourChart('Failed logins', starts, [
      { name: 'Failed logins', values: hours.map(({ failedLogins }) => failedLogins) },
    ]),
    hourChart(
      'Ended sessions, by reason',
      starts,
      reasons.length
        ? reasons.map(reason => ({
            name: reasonInWords(reason),
            values: hours.map(({ ended }) => ended[reason] ?? 0),
          }))
        : [{ name: 'Ended', values: hours.map(() => 0) }]
    ),
  ]
}
