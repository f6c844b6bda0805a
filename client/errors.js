// Errors, and how they are read from answers.

/** @import { Grant } from './types.js' */

/**
 * What went wrong. Programs read `code`; `detail` is English text for people.
 *
 * The codes are those of the API, and these of the client:
 * `network_error` if no answer arrived, `http_<status>` for an answer without a
 * code, `cookies_blocked`, `no_wallet`, and `socket_closed` for a WebSocket that
 * did not open.
 */
export class LatchkeyError extends Error {
  name = 'LatchkeyError'
  /** @type {string | undefined} */
  detail
  /** @type {string | undefined} */
  requestId
  /**
   * Why the session has ended, for the code `session_ended`.
   *
   * @type {string | undefined}
   */
  reason
  /**
   * Sends the same signed message again. It is there after a 503 of a sign-in
   * or a step-up.
   *
   * @type {(() => Promise<Grant>) | undefined}
   */
  retry

  /**
   * @param {string} code
   * @param {number} [status] of the answer, or 0 if there was none
   * @param {{ detail?: string, requestId?: string, reason?: string, cause?: unknown }} [facts]
   */
  constructor(code, status = 0, facts = {}) {
    super(facts.detail ? `${code}: ${facts.detail}` : code, facts)
    this.code = code
    this.status = status
    Object.assign(this, facts)
  }
}

/**
 * Returns the JSON object in an answer, and leaves its body unread. Without one
 * it returns an empty object.
 *
 * @param {Response} answer
 * @returns {Promise<Record<string, any>>}
 */
export const readProblem = async answer => Object(await answer.clone().json().catch(() => {}))

/**
 * Returns the error that an answer stands for.
 *
 * @param {Response} answer
 */
export async function errorOf(answer) {
  const { status } = answer
  const { code = `http_${status}`, message, detail = message, requestId, reason } =
    await readProblem(answer)
  return new LatchkeyError(code, status, { detail, requestId, reason })
}

/**
 * Returns an answer if it is a success, and throws its error otherwise.
 *
 * @param {Response} answer
 */
export async function check(answer) {
  if (answer.ok) return answer
  throw await errorOf(answer)
}

/**
 * Reports whether the API has refused the credentials. A 401 without a code is
 * of something before the API, and decides nothing.
 *
 * @param {LatchkeyError} error
 */
export const isRefusal = ({ status, code }) => status === 401 && code !== 'http_401'

/**
 * Reports whether an answer is a denial of API Gateway itself, which has a
 * message and nothing else.
 *
 * @param {Response} answer
 * @param {Record<string, any>} problem
 */
export const isBareDenial = ({ status }, problem) =>
  (status === 401 || status === 403) && /^message$/i.test(Object.keys(problem).join())
