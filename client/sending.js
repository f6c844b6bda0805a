// How requests are sent: where to, and with which credentials.

import { LatchkeyError, errorOf } from './errors.js'
import { waitToRepeat } from './requests.js'

/** @import { Options, Pair } from './types.js' */

/**
 * Returns a URL as it is checked and then fetched. With fetch alone, a `<base>`
 * of the page would lead it elsewhere.
 *
 * @param {string} url
 */
export const absolute = url => new URL(url, globalThis.location?.href)

/**
 * @param {string} method
 * @param {unknown} body
 * @param {Record<string, string>} [headers]
 * @returns {RequestInit}
 */
export const json = (method, body, headers) => ({
  method, headers: { 'Content-Type': 'application/json', ...headers }, body: JSON.stringify(body),
})

/** @param {Options} options */
export const baseOf = ({ url }) => url.replace(/\/+$/, '')

/**
 * @param {Options} options
 * @param {RequestInfo | URL} input
 * @param {RequestInit} [init]
 */
export const plainFetch = (options, input, init) => (options.fetch ?? fetch)(input, init)

/**
 * Sends one request with the credentials. No redirect is followed with a
 * header or a body that holds one: it could lead to another origin.
 *
 * @param {Options} options
 * @param {RequestInfo} input
 * @param {RequestInit} init
 * @param {Pair} [pair]
 * @param {boolean} [isOwn] whether it is one of the client's own, which may
 *   hold a token or a signature in its body
 */
export async function send(options, input, init, pair, isOwn) {
  const isBearer = options.transport === 'bearer'
  const headers = new Headers(init.headers ?? /** @type {Partial<Request>} */ (input).headers)
  if (pair) headers.set('Authorization', `Bearer ${pair.accessToken}`)
  if (options.deviceId) headers.set('X-Device-Id', options.deviceId)
  const isConfined = isOwn || isBearer || options.deviceId
  return plainFetch(options, input, {
    ...init,
    headers,
    credentials: isBearer ? 'omit' : 'include',
    redirect: isConfined ? 'error' : init.redirect,
  })
}

/**
 * Sends a request to a path of the API, without repeating anything.
 *
 * @param {Options} options
 * @param {string} path
 * @param {RequestInit} [init]
 * @param {Pair} [pair]
 */
export async function sendOwn(options, path, init = {}, pair) {
  try {
    return await send(options, absolute(baseOf(options) + path).href, init, pair, true)
  } catch (cause) {
    throw new LatchkeyError('network_error', 0, { detail: 'no answer, or refused by CORS', cause })
  }
}

/**
 * As sendOwn, but waits and repeats if the server asks for it. For requests
 * that may be sent twice.
 *
 * @param {Options} options
 * @param {string} path
 * @param {RequestInit} [init]
 */
export async function request(options, path, init) {
  const attempt = { method: 'GET', isRepeatable: true, waits: 0 }
  for (;;) {
    const answer = await sendOwn(options, path, init)
    if (answer.ok) return answer
    const error = await errorOf(answer)
    if (!await waitToRepeat(answer, error.code, attempt)) throw error
  }
}
