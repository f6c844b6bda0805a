// For backends: finds out who sent a request, and refuses requests that are not
// allowed.

import { atMostOnceAMinute, createCache } from './limited.js'
import { Fault, ask, refusalOf, sessionOf, tooLarge, twoTokens, unavailable } from './validation.js'

/** @import { Guard, Rule, ServerOptions, ServerSession } from './types.js' */
/** @import { Refusal } from './validation.js' */

/**
 * What is read of a request, of whichever framework.
 *
 * @typedef {object} Incoming
 * @property {string | undefined} method
 * @property {(name: string) => string | undefined} header returns the values of
 *   a header, joined, or undefined without one
 */

/**
 * @typedef {{ session: ServerSession, refusal?: undefined }
 *   | { session?: undefined, refusal: Refusal }} Decision
 */

const MAX_CACHE_SECONDS = 5

/**
 * Returns a guard for the routes of a backend. It throws if an option is not
 * valid. A missing service key is no such error: every request is then refused
 * with 503, and the log says why.
 *
 * @param {ServerOptions} options
 * @returns {Guard}
 */
export function latchkey(options) {
  const decide = createDecider(checkOptions(options))

  /** @type {Guard['requireSession']} */
  async function requireSession(request, rule) {
    const { session, refusal } = await decide(fromWeb(request), checkRule(rule))
    if (session) return { session }
    return { response: new Response(refusal.body, refusal) }
  }

  return {
    requireSession,
    express(rule) {
      const checked = checkRule(rule)
      return (req, res, next) => {
        const decided = decide(fromNode(req), checked).then(({ session, refusal }) => {
          if (refusal) sendTo(res, refusal)
          else req.latchkey = session
          return !refusal
        })
        // What next throws is not for next.
        decided.then(isAllowed => { if (isAllowed) next() }, next)
      }
    },
    fastify(rule) {
      const checked = checkRule(rule)
      return async (request, reply) => {
        const { session, refusal } = await decide(fromNode(request.raw), checked)
        if (!refusal) {
          request.latchkey = session
          return undefined
        }
        // As bytes: Fastify adds a charset to the type of a string.
        const body = new TextEncoder().encode(refusal.body)
        return reply.code(refusal.status).headers(refusal.headers).send(body)
      }
    },
    hono(rule) {
      const checked = checkRule(rule)
      return async (c, next) => {
        const { session, response } = await requireSession(c.req.raw, checked)
        if (response) return response
        c.set('latchkey', session)
        await next()
      }
    },
  }
}

/**
 * Returns the options, with defaults. A key or a token never leaves over plain
 * HTTP, except for this machine.
 *
 * @param {ServerOptions} options
 */
function checkOptions({ timeoutSeconds = 3, cacheSeconds = 0, log = console.error, ...options }) {
  if (!(timeoutSeconds > 0 && timeoutSeconds <= 60)) {
    throw new RangeError(`timeoutSeconds is ${timeoutSeconds}: use more than 0 and at most 60`)
  }
  if (!(cacheSeconds >= 0 && cacheSeconds <= MAX_CACHE_SECONDS)) {
    throw new RangeError(`cacheSeconds is ${cacheSeconds}: use 0 to ${MAX_CACHE_SECONDS}`)
  }
  if (typeof log !== 'function') throw new TypeError('log must be a function that takes a message')
  const url = routeAt(options.url)
  return { ...options, url, timeoutSeconds, cacheSeconds, log: atMostOnceAMinute(log) }
}

/**
 * Returns the address of the route that answers who sent a request.
 *
 * @param {string} base
 */
function routeAt(base) {
  if (!URL.canParse(base)) {
    const rule = 'it must be the address of Latchkey, such as https://api.example.com'
    throw new TypeError(`url is ${base}: ${rule}`)
  }
  const { protocol, hostname, origin, pathname, username, password } = new URL(base)
  // The error does not repeat the url, which may have a password.
  if (username || password || /[?#]/.test(base)) {
    throw new TypeError('url must have no query, no fragment and no user name or password')
  }
  const isLocal = /^(localhost|.+\.localhost|127\.0\.0\.1|\[::1\])$/.test(hostname)
  if (protocol !== 'https:' && !(protocol === 'http:' && isLocal)) {
    throw new TypeError(`url is ${base}: it must begin with https://, except on this machine`)
  }
  return origin + pathname.replace(/\/+$/, '') + '/auth/validate'
}

/**
 * Returns a rule that is valid. A name that is misspelt, a permission that is
 * undefined, or an object that keeps them elsewhere, such as a Map, must not
 * leave a route open.
 *
 * @param {Rule} [rule]
 * @returns {Rule}
 */
function checkRule(rule = {}) {
  if (!isPlainObject(rule)) {
    throw new TypeError('a rule is a plain object, such as { permission: "orders:read" }')
  }
  /** @type {Record<string, any>} */
  const checked = {}
  for (const name of Reflect.ownKeys(rule).map(String)) {
    if (!['permission', 'fresh', 'touch'].includes(name)) {
      throw new TypeError(`${name} is not known: a rule has permission, fresh and touch`)
    }
    const value = checked[name] = Reflect.get(rule, name)
    if (name === 'permission' ? typeof value !== 'string' || !value : typeof value !== 'boolean') {
      throw new TypeError(`${name} is ${value}: permission is a name, fresh and touch are booleans`)
    }
  }
  return checked
}

/** @param {unknown} value */
const isPlainObject = value => typeof value === 'object' && value !== null &&
  [Object.prototype, null].includes(Object.getPrototypeOf(value))

/**
 * Returns a function that finds out who sent a request.
 *
 * @param {ReturnType<typeof checkOptions>} options
 */
function createDecider(options) {
  const cache = createCache(options.cacheSeconds * 1000)

  /**
   * @param {Incoming} incoming
   * @param {Rule} rule
   * @returns {Promise<Decision>}
   */
  return async (incoming, rule) => {
    try {
      const asked = questionOf(incoming, rule, options.trustedAddressHeader)
      if (!asked) return { refusal: twoTokens }
      const text = JSON.stringify(asked)
      const cached = cache.get(text)
      if (cached) return { session: cached }
      const askedAt = Date.now()
      const answer = await ask(options, text)
      if (answer === 'too large') return { refusal: tooLarge }
      if (!answer.active) return { refusal: refusalOf(answer) }
      if (!asked.touch) cache.set(text, answer, askedAt)
      return { session: sessionOf(answer) }
    } catch (error) {
      if (!(error instanceof Fault)) throw error
      options.log(`latchkey: ${error.message}`)
      return { refusal: unavailable(error.retryAfter) }
    }
  }
}

/**
 * Returns the body of the question, or undefined if it is not clear which token
 * is meant. The device is always sent: a caller cannot avoid the comparison by
 * leaving out a header. But a WebSocket's handshake cannot show a device id. It
 * is a GET that any page can send with cookies, so it counts as unsafe, as it
 * does without a method.
 *
 * @param {Incoming} incoming
 * @param {Rule} rule
 * @param {string} [addressHeader]
 */
function questionOf({ method, header }, rule, addressHeader) {
  const token = tokenOf(header('authorization'))
  if (token === null) return undefined
  const isUpgrade = header('upgrade') !== undefined
  const noDeviceId = isUpgrade && method === 'GET' ? undefined : ''
  return {
    token,
    cookie: header('cookie') ?? '',
    origin: header('origin'),
    secFetchSite: header('sec-fetch-site'),
    secFetchMode: header('sec-fetch-mode'),
    method: isUpgrade ? undefined : method,
    userAgent: header('user-agent') ?? '',
    deviceId: header('x-device-id') ?? noDeviceId,
    ip: addressHeader && addressOf(addressHeader, header(addressHeader.toLowerCase())),
    ...rule,
  }
}

/**
 * Returns the token of a header of the scheme Bearer. It returns undefined for
 * any other scheme, and null if there is not exactly one token: a proxy before
 * this backend may have looked at another one.
 *
 * @param {string} [authorization]
 */
function tokenOf(authorization = '') {
  const words = authorization.toLowerCase().replaceAll(',', ' , ').split(/\s+/).filter(Boolean)
  if (!words.includes('bearer')) return undefined
  return words[0] === 'bearer' && words.length === 2 ? authorization.trim().split(/\s+/)[1] : null
}

/**
 * Returns the address in a header that a proxy sets, without a port. In a list
 * the last one counts: the proxy added it, and the caller may have sent others.
 *
 * @param {string} name
 * @param {string} [value]
 */
function addressOf(name, value = '') {
  const last = value.split(',').at(-1)?.trim() ?? ''
  const address = /^\[([^\]]*)\](?::\d+)?$/.exec(last)?.[1] ?? last.replace(/^([\d.]+):\d+$/, '$1')
  if (!/^(?=.*[.:])[\da-f.:]{2,45}$/i.test(address)) {
    throw new Fault(`the header ${name} has no address: does every request come through the proxy?`)
  }
  return address
}

/**
 * @param {Request} request
 * @returns {Incoming}
 */
const fromWeb = request => ({
  method: request.method,
  header: name => request.headers.get(name) ?? undefined,
})

/**
 * @typedef {object} NodeRequest
 * @property {string} [method]
 * @property {string[]} [rawHeaders]
 * @property {Record<string, string | string[] | undefined>} headers
 */

/**
 * Reads a request of Node. Its headers leave out all but the first of several
 * with one name, so the raw ones count.
 *
 * @param {NodeRequest} request
 * @returns {Incoming}
 */
const fromNode = ({ method, rawHeaders = [], headers }) => ({
  method,
  header(name) {
    const values = rawHeaders.filter((_, i) => i % 2 && rawHeaders[i - 1].toLowerCase() === name)
    // Frameworks that generate requests, for tests, fill in headers alone.
    const all = rawHeaders.length ? values : [headers[name] ?? []].flat()
    return all.length ? all.join(name === 'cookie' ? '; ' : ', ') : undefined
  },
})

/**
 * @param {any} res of Node
 * @param {Refusal} refusal
 */
function sendTo(res, { status, headers, body }) {
  res.statusCode = status
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value)
  res.end(body)
}
