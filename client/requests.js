// When a request may be sent again, and how long to wait before that.

const MAX_WAITS = 2
const MAX_WAIT_SECONDS = 60

/**
 * Waits. It rejects as fetch does if the signal is aborted meanwhile.
 *
 * @param {number} seconds
 * @param {AbortSignal | null} [signal]
 * @returns {Promise<void>}
 */
const wait = (seconds, signal) => new Promise((resolve, reject) => {
  setTimeout(resolve, seconds * 1000)
  signal?.addEventListener('abort', () => reject(signal.reason))
})

/**
 * Reports whether the body can be sent twice. A stream cannot.
 *
 * @param {any} body
 */
export const isRepeatable = body => !body?.getReader && !body?.[Symbol.asyncIterator]

/**
 * Waits as long as an answer asks for. It returns false, at once, if the same
 * request must not be repeated.
 *
 * After a 503 the request may have been applied, so only reads are repeated.
 * Our 429 says that nothing has happened.
 *
 * @param {Response} answer
 * @param {string | undefined} code
 * @param {{ method: string, isRepeatable: boolean, waits: number, signal?: AbortSignal | null }} attempt
 */
export async function waitToRepeat(answer, code, attempt) {
  const isRead = /^(GET|HEAD)$/i.test(attempt.method)
  const isSafe = code === 'rate_limited' ||
    isRead && (answer.status === 429 || answer.status === 503)
  const seconds = parseInt(/** @type {any} */ (answer.headers.get('retry-after')))
  if (!isSafe || !attempt.isRepeatable || !(seconds <= MAX_WAIT_SECONDS)) return false
  if (attempt.waits++ >= MAX_WAITS) return false
  await wait(seconds, attempt.signal)
  return true
}
