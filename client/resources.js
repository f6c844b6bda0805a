// The rest of the API, one function for each endpoint.

import { check } from './errors.js'
import { json } from './sending.js'

/** @import { Conditions, Latchkey, Preferences, SessionState, Versioned } from './types.js' */

/**
 * Returns an object without the members that are undefined.
 *
 * @param {object} object
 */
const given = object => JSON.parse(JSON.stringify(object))

/** @param {object} [values] */
const queryOf = (values = {}) => `?${new URLSearchParams(given(values))}`

/** @param {Conditions} conditions */
const headersOf = ({ ifMatch, ifNoneMatch }) =>
  given({ 'If-Match': ifMatch, 'If-None-Match': ifNoneMatch })

/** @param {Response} answer */
const etagOf = answer => answer.headers.get('etag') ?? ''

/**
 * @param {Response} answer
 * @returns {Promise<Versioned>}
 */
const versioned = async answer => ({ value: await answer.json(), etag: etagOf(answer) })

/** @param {(path: string, init?: RequestInit) => Promise<Response>} send */
export function createResources(send) {
  /**
   * @param {string} path
   * @param {RequestInit} [init]
   */
  const request = async (path, init) => check(await send(path, init))

  /**
   * @param {string} path
   * @param {RequestInit} [init]
   */
  const read = async (path, init) => (await request(path, init)).json()

  /** @param {string} key */
  const stateAt = key => `/api/state/${encodeURIComponent(key)}`

  /** @type {Preferences} */
  const preferences = {
    get: () => request('/api/preferences').then(versioned),
    patch: (changes, etag = '*') =>
      request('/api/preferences', json('PATCH', changes, { 'If-Match': etag })).then(versioned),
  }

  /** @type {SessionState} */
  const state = {
    list: page => read(`/api/state${queryOf(page)}`),
    get: key => request(stateAt(key)).then(versioned, error => {
      if (error.code !== 'not_found') throw error
      return undefined
    }),
    set: async (key, value, { ttl, ...conditions } = {}) =>
      etagOf(await request(stateAt(key) + queryOf({ ttl }), json('PUT', value, headersOf(conditions)))),
    async remove(key, conditions = {}) {
      await request(stateAt(key), { method: 'DELETE', headers: headersOf(conditions) })
    },
  }

  return {
    preferences,
    state,
    /** @type {Latchkey['sessions']} */
    sessions: page => read(`/api/sessions${queryOf(page)}`),
    /** @type {Latchkey['endSession']} */
    async endSession(id) {
      await request(`/api/sessions/${encodeURIComponent(id)}`, { method: 'DELETE' })
    },
    /** @type {Latchkey['endOtherSessions']} */
    endOtherSessions: async () => (await read('/api/sessions', { method: 'DELETE' })).ended,
    /** @type {Latchkey['activity']} */
    activity: page => read(`/api/activity${queryOf(page)}`),
  }
}
