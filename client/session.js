// One session: its calls, its refreshes, and how it begins and ends.

import { LatchkeyError, check, isBareDenial, readProblem } from './errors.js'
import { isRepeatable, waitToRepeat } from './requests.js'
import { baseOf, json, originOf, plainFetch, request, send, sendOwn } from './sending.js'
import { createState, isBrowser } from './state.js'
import { createTokens } from './tokens.js'

/** @import { Options, Pair, Snapshot, Tokens } from './types.js' */

/**
 * What has happened to a call so far.
 *
 * @typedef {object} Attempt
 * @property {string} method
 * @property {AbortSignal | null} [signal]
 * @property {boolean} isRepeatable whether the body can be sent twice
 * @property {number} sent the version at which it was sent last
 * @property {boolean} [guarded] whether it goes to an API that Latchkey guards
 * @property {number} waits
 * @property {Set<string>} done
 * @property {LatchkeyError} [refusal] of its refresh
 */

const RECENT_MS = 60_000
const LATE_MS = 10_000
const RETRY_LOADING_MS = 10_000
const COOKIES_BLOCKED =
  'the browser kept no cookie: use one domain, no frame, no private window'

/**
 * @param {Options} options
 * @param {{ stepUp(): Promise<boolean>, start(): void, stop(): void }} hooks
 */
export function createSession(options, hooks) {
  const base = baseOf(options)
  const isBearer = options.transport === 'bearer'
  const isShared = !isBearer || !!options.storage
  const name = 'latchkey:' + base
  const tokens = createTokens(isBearer ? options.storage : undefined, name)
  // A page may have one client of each transport, whose sessions are two.
  const state = createState(isBearer ? name : name + ' cookie', {
    start(isRestored) {
      if (isRestored) loading = undefined // its answer may be an old one
      schedule()
      hooks.start()
      load()
    },
    stop() {
      clearTimeout(timer)
      clearTimeout(loadTimer)
      hooks.stop()
    },
    input: markUsed,
    receive,
  })

  // Grows with each change of the credentials. An answer to a request that was
  // sent at a lower version decides nothing.
  let version = 0
  let renewedAt = -Infinity
  // When to refresh ahead of expiry; 0 if that is not known.
  let dueAt = 0
  // Whether the page was used since the last renewal.
  let isUsed = false
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let loadTimer
  /** @type {Promise<void> | undefined} */
  let refreshing
  /** @type {Promise<void> | undefined} */
  let loading
  // The last question who is signed in. Only its answer counts.
  /** @type {object | undefined} */
  let lastQuestion
  /** @type {Promise<unknown> | undefined} */
  let steppingUp

  function markUsed() { isUsed = true }

  /** @param {Snapshot['status']} status */
  const is = status => state.getSnapshot().status === status

  // A server has no cookies, and keeps nothing between requests.
  const isInert = () => !isBearer && !isBrowser()

  // --- Calls, and what their answers ask for ---

  /** @param {string} origin */
  const isGuarded = origin => options.guarded?.map(originOf).includes(origin)

  /**
   * Sends a call. If the answer says how the call can succeed, it does that and
   * sends the call again.
   *
   * @param {RequestInfo | URL} input
   * @param {RequestInit} [init]
   * @returns {Promise<Response>}
   */
  async function call(input, init = {}) {
    // A URL and a string have nothing of what a Request holds.
    const request = /** @type {Partial<Request>} */ (input)
    const url = request.url ?? String(input).replace(/^\/(?!\/)/, base + '/')
    const origin = originOf(url)
    const guarded = isGuarded(origin)
    if (origin !== originOf(base) && !guarded) return plainFetch(options, input, init)
    const { method = request.method ?? 'GET', signal = request.signal } = init
    /** @type {Attempt} */
    const attempt = {
      method, signal, guarded, isRepeatable: isRepeatable(init.body),
      sent: 0, waits: 0, done: new Set(),
    }
    for (;;) {
      attempt.sent = version
      const answer = await send(options, request.clone?.() ?? url, init, await tokens.get())
      if (answer.ok || isInert() || !await remedy(attempt, answer)) return answer
      if (!attempt.isRepeatable) return answer
    }
  }

  /**
   * Does what an answer asks for. It returns whether to send the call again.
   *
   * @param {Attempt} attempt
   * @param {Response} answer
   */
  async function remedy(attempt, answer) {
    const problem = await readProblem(answer)
    switch (problem.code) {
      case 'token_expired':
        return renew(attempt)
      case 'step_up_required':
        return once(attempt, 'step-up') && (attempt.sent !== version || hooks.stepUp())
      case 'session_ended':
      case 'invalid_token':
      case 'no_credentials':
        return conclude(attempt, problem.reason)
    }
    if (attempt.guarded && isBareDenial(answer, problem)) return renewGuarded(attempt)
    return waitToRepeat(answer, problem.code, attempt)
  }

  /**
   * Reports whether something is done for a call for the first time.
   *
   * @param {Attempt} attempt
   * @param {string} what
   */
  const once = ({ done }, what) => !done.has(what) && !!done.add(what)

  /**
   * Refreshes for a call, unless that was done since it was sent. A refused
   * refresh does not decide: another tab may have stepped up or signed in at
   * that moment. The repeated call decides.
   *
   * @param {Attempt} attempt
   */
  async function renew(attempt) {
    if (attempt.refusal) return conclude(attempt, attempt.refusal.reason)
    if (!once(attempt, 'refresh')) return false
    if (attempt.sent === version) {
      await refresh().catch(error => {
        if (error.status !== 401) throw error
        attempt.refusal = error
      })
    }
    return true
  }

  /** @param {Attempt} attempt */
  async function renewGuarded(attempt) {
    if (attempt.refusal) await load()
    const isRecent = attempt.sent === version && Date.now() - renewedAt < RECENT_MS
    return !isRecent && !attempt.refusal && renew(attempt)
  }

  /**
   * The answer says that the session is over. If the credentials have changed
   * since the call was sent, it is about others, and the call is repeated.
   *
   * @param {Attempt} attempt
   * @param {string} [reason]
   */
  async function conclude(attempt, reason) {
    if (is('signedOut')) return false // and why stands in the state already
    if (attempt.sent !== version) return once(attempt, 'overtaken')
    await end(reason)
    return false
  }

  // --- Refreshes ---

  /** Refreshes. Calls at the same time share one refresh. */
  function refresh() {
    return refreshing ??= rotate().finally(() => { refreshing = undefined })
  }

  async function rotate() {
    await steppingUp?.catch(() => {})
    const started = version
    const isCurrent = () => version === started
    const before = await tokens.get()
    const pair = await tokens.read()
    if (isBearer && !pair) throw new LatchkeyError('no_credentials', 401)
    if (pair?.accessToken !== before?.accessToken) return // another tab has refreshed
    const grant = await requestRotation(pair)
    // A sign-out in the meantime wins, and so does another renewal.
    if (!isCurrent() || pair && !await tokens.replace(pair, grant, isCurrent)) return
    if (isCurrent()) accept(grant)
  }

  /**
   * Requests the successor of the tokens. If the answer is lost it asks once
   * more at once, with the same token, and gets the same successor.
   *
   * @param {Pair | undefined} pair
   * @returns {Promise<Tokens>}
   */
  async function requestRotation(pair) {
    const init = pair ? json('POST', { refreshToken: pair.refreshToken }) : { method: 'POST' }
    const rotation = async () => (await request(options, '/auth/refresh', init)).json()
    return rotation().catch(error => {
      if (error.status) throw error
      return rotation()
    })
  }

  /** Refreshes before the expiry, if the page was used and did not sleep. */
  async function refreshAhead() {
    if (!isUsed || Date.now() - dueAt > LATE_MS) return
    await refresh().catch(error => { if (error.status === 401) return load() })
  }

  function schedule() {
    clearTimeout(timer)
    const ms = dueAt - Date.now()
    if (state.isRunning() && ms > 0) timer = setTimeout(refreshAhead, ms)
  }

  // --- The session begins, is renewed, and ends ---

  /**
   * The credentials have changed.
   *
   * @param {number} [expiresIn] seconds; missing if there are none any more
   */
  function changed(expiresIn = 0) {
    version++
    renewedAt = Date.now()
    dueAt = renewedAt + (expiresIn - Math.min(60, expiresIn / 5)) * 1000
    isUsed = false
    schedule()
  }

  /**
   * Takes over what a refresh or a step-up has given.
   *
   * @param {Tokens} grant
   */
  function accept({ session, expiresIn }) {
    changed(expiresIn)
    const now = state.getSnapshot()
    if ('user' in now) show({ ...now, session }, expiresIn)
    else load()
  }

  /**
   * @param {Snapshot} next
   * @param {number} [expiresIn]
   */
  function show(next, expiresIn) {
    if (isInert()) return
    state.set(next)
    if (isShared) {
      const { otherAccount, ...common } = /** @type {any} */ (next)
      state.publish({ ...common, expiresIn })
    }
  }

  /**
   * Takes over the state that another tab has sent.
   *
   * @param {any} message
   */
  function receive({ expiresIn, ...next }) {
    if (!isShared) return is('signedIn') && load() // this tab's session is its own
    tokens.forget()
    changed(expiresIn)
    state.set(next)
  }

  /**
   * Sends a signed message for a sign-in, and begins its session. The server
   * ends the session that this client has: its cookies or its token go along.
   *
   * @param {object} login
   * @returns {Promise<Tokens>}
   */
  async function begin(login) {
    const answer = await sendOwn(options, '/auth/login', json('POST', login), await tokens.get())
    await checkCookies(answer)
    const grant = await (await check(answer)).json()
    await tokens.write(grant)
    changed(grant.expiresIn)
    if (!isBearer) await sendOwn(options, '/api/profile').then(checkCookies, () => {})
    const { user, session, expiresIn } = grant
    show({ status: 'signedIn', user, session }, expiresIn)
    return grant
  }

  /**
   * Checks that the browser sends the cookies that were set before.
   *
   * @param {Response} answer
   */
  async function checkCookies(answer) {
    const { code, reason } = await readProblem(answer)
    if (code === 'no_credentials' || reason === 'no_prelogin_cookie') {
      throw new LatchkeyError('cookies_blocked', 401, { detail: COOKIES_BLOCKED })
    }
  }

  /**
   * Ends the session in this client. The server has ended it already.
   *
   * @param {string} [reason]
   * @param {boolean} [isSignOut] whether the user has signed out
   */
  async function end(reason, isSignOut = false) {
    const held = await tokens.get()
    changed()
    show({ status: 'signedOut', reason })
    if (isSignOut && !isShared) state.publish({ status: 'signedOut' })
    await tokens.clear(isSignOut ? undefined : held)
  }

  /** @param {{ everywhere?: boolean }} [options] */
  async function signOut({ everywhere = false } = {}) {
    const pair = await tokens.get()
    const body = json('POST', { everywhere, refreshToken: pair?.refreshToken })
    const answer = await sendOwn(options, '/auth/logout', body)
    const hasEnded = answer.status === 401
    if (answer.ok || hasEnded) await end('logged_out', true)
    if (everywhere || !hasEnded) await check(answer)
  }

  /**
   * Sends a signed message for a step-up. Refreshes wait for it, because it
   * makes the tokens before it invalid.
   *
   * @param {{ message: string, signature: string }} signed
   * @returns {Promise<Tokens>}
   */
  async function confirm(signed) {
    while (refreshing) await refreshing.catch(() => {})
    const sending = (async () => {
      const refreshToken = (await tokens.get())?.refreshToken
      const body = json('POST', { ...signed, refreshToken })
      const answer = await sendOwn(options, '/auth/step-up', body)
      const grant = await (await check(answer)).json()
      await tokens.write(grant)
      accept(grant)
      return grant
    })()
    return steppingUp = sending
  }

  // --- The first state ---

  /**
   * Asks the server who is signed in. Calls at the same time share one request.
   *
   * @returns {Promise<void>}
   */
  function load() {
    clearTimeout(loadTimer)
    return loading ??= ask().catch(() => {}).finally(() => {
      loading = undefined
      // Being offline is not being signed out: the state stays as it is.
      if (is('loading') && state.isRunning()) loadTimer = setTimeout(load, RETRY_LOADING_MS)
    })
  }

  async function ask() {
    if (isBearer && !await tokens.get()) return end()
    const before = state.getSnapshot()
    const question = lastQuestion = {}
    const answer = await call('/api/profile')
    const { user, session, code } = await readProblem(answer)
    // A refresh, a sign-in, another tab or another question was newer.
    if (question !== lastQuestion || before !== state.getSnapshot()) return
    if (answer.ok) state.set({ status: 'signedIn', user, session })
    else if (code === 'step_up_required') state.set({ status: 'signedOut', reason: code })
  }

  /** @param {string} account to which the wallet has switched */
  function switchAccount(account) {
    const now = state.getSnapshot()
    if (!('user' in now)) return
    const isSame = account.toLowerCase() === now.user.address.toLowerCase()
    state.set({ ...now, otherAccount: isSame ? undefined : account })
  }

  return {
    state, call, markUsed, begin, confirm, end, signOut, switchAccount,
  }
}
