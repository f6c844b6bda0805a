// How a backend asks Latchkey who sent a request, and what it sends if the
// answer is no.

/** @import { ServerSession } from './types.js' */

/**
 * @typedef {object} AskOptions
 * @property {string} url of the route
 * @property {string | undefined} key
 * @property {number} timeoutSeconds
 * @property {typeof globalThis.fetch} [fetch]
 */

/**
 * An answer to send instead of the route's own.
 *
 * @typedef {object} Refusal
 * @property {number} status
 * @property {Record<string, string>} headers
 * @property {string} body
 */

// As the API sends them: RFC 6750, section 3, and RFC 9470, section 3.
/** @type {Record<string, string>} */
const challenges = {
  no_credentials: 'Bearer',
  invalid_token: 'Bearer error="invalid_token"',
  token_expired: 'Bearer error="invalid_token"',
  session_ended: 'Bearer error="invalid_token"',
  step_up_required: 'Bearer error="insufficient_user_authentication"',
  forbidden: 'Bearer error="insufficient_scope"',
}

/**
 * A fault of this backend or of Latchkey, which the caller cannot help. Its
 * message has neither key nor token.
 */
export class Fault extends Error {
  /**
   * @param {string} message
   * @param {string | null} [retryAfter] in seconds
   */
  constructor(message, retryAfter) {
    super(message)
    this.retryAfter = /^\d{1,5}$/.test(retryAfter ?? '') ? /** @type {string} */ (retryAfter) : '1'
  }
}

/**
 * Sends a question, and returns the answer. It is 'too large' if the question is,
 * which has nothing large but headers of the caller. It throws a Fault if there is
 * no answer. The Fault does not have the text of an error of fetch, which may quote a header.
 *
 * @param {AskOptions} options
 * @param {string} body
 * @returns {Promise<Record<string, any> | 'too large'>}
 */
export async function ask({ url, key, timeoutSeconds, ...options }, body) {
  if (!/^lks_[\w-]{43}$/.test(key ?? '')) {
    throw new Fault('no valid service key is set: the option key takes one, which begins with lks_')
  }
  let answer, content
  try {
    answer = await (options.fetch ?? fetch)(url, {
      method: 'POST',
      headers: { Authorization: `Bearer ${key}`, 'Content-Type': 'application/json' },
      body,
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutSeconds * 1000),
    })
    content = await answer.text()
  } catch (error) {
    const { name, cause } = /** @type {any} */ (error)
    throw new Fault(`no answer from ${url}: ${cause?.code ?? name}`)
  }
  return answer.status === 413 ? 'too large' : answerOf(answer, parse(content))
}

/**
 * Returns an answer that is complete, and throws a Fault for any other.
 *
 * @param {Response} answer
 * @param {any} content
 */
function answerOf({ status, headers }, content) {
  const retryAfter = headers.get('retry-after')
  if (status === 401) throw new Fault('the service key is refused: SERVICE_KEYS of Latchkey must have its hash')
  if (status !== 200) throw new Fault(`Latchkey answered ${status} ${content?.code ?? ''}`.trim(), retryAfter)
  if (content?.active === true && isSession(content)) return content
  const { status: own, problem } = content ?? {}
  if (content?.active === false && own >= 400 && own <= 499 && problem?.status === own) return content
  throw new Fault('Latchkey answered 200 with something else: url must be its address')
}

/** @param {any} answer */
const isSession = ({ userId, sessionId, account, roles, permissions }) =>
  [userId, sessionId, account].every(text => text && typeof text === 'string') &&
  Array.isArray(roles) && Array.isArray(permissions)

/** @param {string} text */
function parse(text) {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/**
 * @param {Record<string, any>} answer
 * @returns {ServerSession}
 */
export function sessionOf({ active, ...session }) {
  return /** @type {any} */ (session)
}

/**
 * Returns the refusal that a route of the API would have sent.
 *
 * @param {Record<string, any>} answer
 * @returns {Refusal}
 */
export function refusalOf({ code, status, problem }) {
  /** @type {Record<string, string>} */
  const headers = { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' }
  if (Object.hasOwn(challenges, code)) headers['WWW-Authenticate'] = challenges[code]
  return { status, headers, body: JSON.stringify(problem) }
}

/**
 * @param {number} status
 * @param {string} code
 * @param {string} title
 * @param {string} detail
 */
const ownRefusal = (status, code, title, detail) =>
  refusalOf({ code, status, problem: { type: 'about:blank', title, status, code, detail } })

export const twoTokens = ownRefusal(400, 'invalid_request', 'Bad Request',
  'Authorization must be Bearer, a space and one token')

export const tooLarge = ownRefusal(431, 'too_large', 'Request Header Fields Too Large',
  'the headers are too large: delete cookies that are not needed')

/** @param {string} retryAfter */
export function unavailable(retryAfter) {
  const refusal = ownRefusal(503, 'unavailable', 'Service Unavailable',
    'the service is temporarily unavailable: retry after the seconds in Retry-After')
  return { ...refusal, headers: { ...refusal.headers, 'Retry-After': retryAfter } }
}
