// Calls of the API. The client sends the token, refreshes, and steps up.

import { Failure, failureOf } from './failure.js'

/**
 * @typedef {object} Calls
 * @property {(path: string, signal?: AbortSignal) => Promise<any>} get
 * @property {(path: string, signal?: AbortSignal) => Promise<string>} lines reads a
 *   list as lines of JSON
 * @property {(method: string, path: string, body?: object) => Promise<any>} send
 *   makes a change
 */

/**
 * @param {import('./types.js').Latchkey} latchkey
 * @param {(failure: Failure) => void} refused is called for each 403
 * @returns {Calls}
 */
export function createCalls(latchkey, refused) {
  /**
   * @param {string} path
   * @param {RequestInit} init
   */
  async function call(path, init) {
    const isWrite = !!init.method
    const answer = await latchkey.fetch(path, init).catch(error => {
      if (error instanceof TypeError) throw new Failure('network_error', 0, { isWrite })
      throw error
    })
    if (answer.ok) return answer
    const failure = await failureOf(answer, isWrite)
    if (failure.status === 403) refused(failure)
    throw failure
  }

  return {
    get: async (path, signal) => (await call(path, { signal })).json(),
    lines: async (path, signal) =>
      (await call(path, { signal, headers: { Accept: 'application/x-ndjson' } })).text(),
    async send(method, path, body) {
      const json = { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
      const answer = await call(path, { method, ...(body && json) })
      return answer.status === 204 ? {} : answer.json()
    },
  }
}

/**
 * Returns the path of an account, or of what belongs to it.
 *
 * @param {string} reference an address, an account, or an id of a user or session
 * @param {string} [rest]
 */
export const accountPath = (reference, rest = '') =>
  `/api/admin/users/${encodeURIComponent(reference)}${rest}`

/**
 * Returns a path with the parameters that are not empty.
 *
 * @param {string} path
 * @param {Record<string, string | number | undefined>} parameters
 */
export function withQuery(path, parameters) {
  const query = new URLSearchParams()
  for (const [name, value] of Object.entries(parameters)) if (value) query.set(name, String(value))
  return query.size ? `${path}?${query}` : path
}
