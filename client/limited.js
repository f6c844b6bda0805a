// What a backend keeps in memory, and for how long: answers for seconds, and
// which messages it has logged.

import { sessionOf } from './validation.js'

/** @import { ServerSession } from './types.js' */

const MAX_ENTRIES = 1000
const LOG_INTERVAL_MS = 60_000

/**
 * Returns a store of answers that say who somebody is. They are kept as text, so
 * that what a route does with its session changes no other.
 *
 * @param {number} maxMs how long an answer is used; 0 keeps none
 */
export function createCache(maxMs) {
  /** @type {Map<string, { text: string, askedAt: number, usableMs: number }>} */
  const answers = new Map()
  return {
    /**
     * @param {string} question
     * @returns {ServerSession | undefined}
     */
    get(question) {
      const found = answers.get(question)
      const age = Date.now() - (found?.askedAt ?? NaN)
      if (found && age >= 0 && age < found.usableMs) return sessionOf(JSON.parse(found.text))
      answers.delete(question)
    },
    /**
     * @param {string} question
     * @param {Record<string, any>} answer
     * @param {number} askedAt when the question was sent, which is before it was
     *   answered
     */
    set(question, answer, askedAt) {
      if (!maxMs) return
      const ends = [answer.expiresAt, answer.idleExpiresAt, answer.elevatedUntil].filter(Boolean)
      const usableMs = Math.min(maxMs, ...ends.map(end => Date.parse(end) - askedAt))
      if (answers.size >= MAX_ENTRIES) answers.delete(/** @type {string} */ (answers.keys().next().value))
      answers.set(question, { text: JSON.stringify(answer), askedAt, usableMs })
    },
  }
}

/**
 * Logs each message at most once a minute. Otherwise every request of a busy
 * backend would log the same fault. A log that fails changes no answer.
 *
 * @param {(message: string) => void} log
 */
export function atMostOnceAMinute(log) {
  /** @type {Map<string, number>} */
  const logged = new Map()
  return async (/** @type {string} */ message) => {
    const now = Date.now()
    const since = now - (logged.get(message) ?? -Infinity)
    if (since >= 0 && since < LOG_INTERVAL_MS) return
    if (logged.size >= MAX_ENTRIES) logged.clear()
    logged.set(message, now)
    try {
      await log(message)
    } catch {
      // There is nobody else to tell.
    }
  }
}
