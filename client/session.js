// One session: its calls, its refreshes, and how it begins and ends.

import { LatchkeyError, check, errorOf, isBareDenial, isRefusal, readProblem } from './errors.js'
import { isRepeatable, waitToRepeat } from './requests.js'
import { baseOf, json, absolute, plainFetch, request, send, sendOwn } from './sending.js'
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
  'no cookie was kept: use one domain, no frame, no private window'

/**
 * @param {Options} options
 * @param {{ start(): void, stop(): void }} watcher of the wallet's account
 * @param {() => Promise<boolean>} stepUp asks the user, and returns whether it was done
 */
export function createSession(options, watcher, stepUp) {
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
      watcher.start()
      load()
    },
    stop() {
      clearTimeout(timer)
      clearTimeout(loadTimer)
      watcher.stop()
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
  let replacing
  // The account to which the wallet has switched.
  /** @type {string | undefined} */
  let walletAccount

  function markUsed() { isUsed = true }

  /** @param {Snapshot['status']} status */
  const is = status => state.getSnapshot().status === status

  // A server has no cookies, and keeps nothing between requests.
  const isInert = () => !isBearer && !isBrowser()

  // --- Calls, and what their answers ask for ---

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
    const { href, origin } = absolute(url)
    const guarded = options.guarded?.includes(origin)
    if (origin !== absolute(base).origin && !guarded) return plainFetch(options, input, init)
    const { method = request.method ?? 'GET', signal = request.signal } = init
    /** @type {Attempt} */
    const attempt = {
      method, signal, guarded, isRepeatable: isRepeatable(init.body),
      sent: 0, waits: 0, done: new Set(),
    }
    for (;;) {
      attempt.sent = version
      const answer = await send(options, request.clone?.() ?? href, init, await tokens.get())
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
    // The same code with another status is another API's.
    const code = answer.status === 401 && problem.code
    if (code === 'token_expired') return renew(attempt)
    if (code === 'step_up_required') {
      return once(attempt, 'step-up') && (attempt.sent !== version || stepUp())
    }
    if (/^(session_ended|invalid_token|no_credentials)$/.test(code)) {
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
        if (!isRefusal(error)) throw error
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
    await replacing?.catch(() => {})
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
   * @param {number} [expiresIn] seconds; left out at the end of a session
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
    // Another page of this site may have signed in: the cookies are then its.
    if ('user' in now && now.session.id === session.id) show({ ...now, session }, expiresIn)
    else load()
  }

  /**
   * @param {Snapshot} next
   * @param {number} [expiresIn]
   */
  function show(next, expiresIn) {
    if (isInert()) return
    if (isShared) state.publish({ ...next, expiresIn })
    set(next)
  }

  /**
   * Sets the state, with the account of this tab's wallet if that is another.
   *
   * @param {any} next
   */
  function set({ otherAccount, ...next }) {
    const isSame = walletAccount?.toLowerCase() === next.user?.address.toLowerCase()
    if (walletAccount && next.user && !isSame) next.otherAccount = walletAccount
    state.set(next)
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
    set(next)
  }

  /**
   * Runs what replaces the tokens by a signed message. It waits for a refresh,
   * and refreshes wait for it: an answer that is overtaken would bring the
   * tokens before it back.
   *
   * @param {() => Promise<Tokens>} run
   * @returns {Promise<Tokens>}
   */
  async function exclusively(run) {
    while (refreshing) await refreshing.catch(() => {})
    return replacing = run()
  }

  /**
   * Sends a signed message for a sign-in, and begins its session. The server
   * ends the session that this client has: its cookies or its token go along.
   *
   * @param {object} login
   */
  const begin = login => exclusively(async () => {
    const answer = await sendOwn(options, '/auth/login', json('POST', login), await tokens.get())
    await checkCookies(answer)
    const grant = await (await check(answer)).json()
    const { user, session, expiresIn } = grant
    await tokens.write(grant)
    changed(expiresIn)
    const own = version
    if (!isBearer) await sendOwn(options, '/api/profile').then(checkCookies, () => {})
    // A sign-out in the meantime wins, and so does a later sign-in.
    if (version === own) show({ status: 'signedIn', user, session }, expiresIn)
    return grant
  })

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
    if (isSignOut && !isShared) state.publish({ status: 'signedOut' })
    const cleared = tokens.clear(isSignOut ? undefined : held) // even if a subscriber throws
    show({ status: 'signedOut', reason })
    await cleared
  }

  /** @param {{ everywhere?: boolean }} [options] */
  async function signOut({ everywhere = false } = {}) {
    await replacing?.catch(() => {}) // so that the sign-out is of what came of it
    const pair = await tokens.get()
    const body = json('POST', { everywhere, refreshToken: pair?.refreshToken })
    const answer = await sendOwn(options, '/auth/logout', body)
    const hasEnded = isRefusal(await errorOf(answer))
    if (answer.ok || hasEnded) await end('logged_out', true)
    if (everywhere || !hasEnded) await check(answer)
  }

  /**
   * Sends a signed message for a step-up.
   *
   * @param {{ message: string, signature: string }} signed
   */
  const confirm = signed => exclusively(async () => {
    const refreshToken = (await tokens.get())?.refreshToken
    const body = json('POST', { ...signed, refreshToken })
    const grant = await (await check(await sendOwn(options, '/auth/step-up', body))).json()
    await tokens.write(grant)
    accept(grant)
    return grant
  })

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
    const question = lastQuestion = {}
    const before = state.getSnapshot()
    const isOut = isBearer && !await tokens.get()
    const { user, session, code } = isOut ? {} : await readProblem(await call('/api/profile'))
    // A refresh, a sign-in, another tab or another question was newer.
    if (question !== lastQuestion || before !== state.getSnapshot()) return
    if (session) set({ status: 'signedIn', user, session })
    if (isOut || code === 'step_up_required') set({ status: 'signedOut', reason: code })
  }

  /** @param {string} [account] to which the wallet has switched; missing if it is not known */
  function switchAccount(account) {
    walletAccount = account
    set(state.getSnapshot())
  }

  return {
    state, call, markUsed, begin, confirm, end, signOut, switchAccount,
  }
}
