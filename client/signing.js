// Signed messages: sign-in and step-up.

import { LatchkeyError, check } from './errors.js'
import { request } from './sending.js'
import { accountOf, signWith } from './wallets.js'

/** @import { Grant, Offer, Options, Provider, Signed, Signer, Wallet } from './types.js' */

/** @typedef {{ address: string, chainId: number }} Account */

/**
 * A message that was fetched ahead. The offer is there once it has arrived.
 *
 * @typedef {Account & { offer: Promise<Offer>, message?: string, usableUntil: number }} Prepared
 */

const USER_REJECTED = 4001 // of EIP-1193

// How long a message is given to a wallet. Its nonce lives for five minutes by
// default, and the user needs time.
const USABLE_MS = 120_000

/** Lets calls with the same key at the same time share one attempt. */
function createShared() {
  const attempts = new Map()
  /**
   * @template T
   * @param {unknown} key
   * @param {() => Promise<T>} run
   * @returns {Promise<T>}
   */
  const share = (key, run) => {
    const shared = attempts.get(key) ?? run().finally(() => attempts.delete(key))
    attempts.set(key, shared)
    return shared
  }
  return share
}

/**
 * Runs what sends a signed message. After a 503 the error can send it again.
 *
 * @param {() => Promise<Grant>} run
 * @returns {Promise<Grant>}
 */
async function withRetry(run) {
  try {
    return await run()
  } catch (error) {
    const failure = /** @type {LatchkeyError} */ (error)
    if (failure?.status === 503) failure.retry = () => withRetry(run)
    throw error
  }
}

/** @param {Account} account */
const keyOf = ({ address, chainId }) => `${address} ${chainId}`.toLowerCase()

/** @param {Grant} grant */
const withoutTokens = ({ user, session, evicted }) => ({ user, session, evicted })

/**
 * @param {Options} options
 * @param {ReturnType<import('./session.js').createSession>} session
 * @param {(provider: Provider) => void} watch
 */
export function createSigning(options, session, watch) {
  const { transport = 'cookie', deviceName } = options
  const share = createShared()
  /** @type {Prepared | undefined} */
  let prepared
  /** @type {Wallet | undefined} */
  let lastWallet
  // The message that a wallet has been given, until it switches to another account.
  /** @type {Prepared | undefined} */
  let given

  /** @param {Wallet} wallet */
  function use(wallet) {
    lastWallet = wallet
    if ('request' in wallet) watch(wallet)
  }

  // --- The message of a sign-in ---

  /**
   * @param {Partial<Account>} account
   * @returns {Promise<Offer>}
   */
  async function requestNonce(account) {
    const query = new URLSearchParams({ transport, .../** @type {any} */ (account) })
    return (await request(options, `/auth/nonce?${query}`)).json()
  }

  /**
   * Requests a message for an account. If the server does not accept the chain
   * of the wallet, the message is for the first one that it accepts.
   *
   * @param {Account} account
   * @returns {Promise<Offer>}
   */
  const requestOffer = ({ address, chainId }) =>
    requestNonce({ address, chainId }).catch(async error => {
      if (error.code !== 'invalid_request') throw error
      const { chainIds } = await requestNonce({})
      return requestNonce({ address, chainId: chainIds[0] })
    })

  /**
   * Reports whether the message that was fetched ahead is for an account. A
   * provider does not say its account before it is asked.
   *
   * @param {Provider | Account} account
   */
  const isPrepared = account => prepared && Date.now() < prepared.usableUntil &&
    ('request' in account || keyOf(prepared) === keyOf(account))

  /**
   * Fetches the message of a sign-in ahead, unless it is there.
   *
   * @param {Account} account
   * @returns {Prepared}
   */
  function prepare(account) {
    if (prepared && isPrepared(account)) return prepared
    /** @type {Prepared} */
    const own = { ...account, offer: requestOffer(account), usableUntil: Infinity }
    own.offer.then(({ message }) => {
      own.message = message
      own.usableUntil = Date.now() + USABLE_MS
    }, () => forget(own))
    return prepared = own
  }

  /** @param {Prepared | undefined} own */
  const forget = own => { if (prepared === own) prepared = undefined }

  // --- Sign-in ---

  /**
   * Has the wallet sign a message. If it is there, the wallet is called before
   * this returns. Meanwhile no other sign-in uses the message.
   *
   * @param {Provider | Signer} wallet
   * @returns {Promise<Signed>}
   */
  async function sign(wallet) {
    const own = prepared?.message && isPrepared(wallet) ? prepared :
      prepare('request' in wallet ? await accountOf(wallet) : wallet)
    const message = own.message ?? (await own.offer).message
    forget(given = own)
    try {
      return { message, signature: await signWith(wallet, message) }
    } catch (error) {
      // The nonce of a message that was not signed is unused.
      const isRejected = /** @type {any} */ (error)?.code === USER_REJECTED
      if (isRejected && given === own) prepared ??= own
      throw error
    }
  }

  /**
   * Sends a signed message. Its nonce is used up whatever the answer is.
   *
   * @param {Signed} signed
   */
  async function logIn({ message, signature }) {
    if (prepared?.message === message) prepared = undefined
    const grant = await session.begin({ message, signature, transport, deviceName })
    return withoutTokens(grant)
  }

  /**
   * @param {Provider | Signer | Signed} who
   * @returns {Promise<Grant>}
   */
  function signIn(who) {
    const isSigned = 'signature' in who
    if (!isSigned) use(who)
    const key = isSigned ? who.message : 'request' in who ? who : keyOf(who)
    return share(key, async () => {
      const signed = isSigned ? who : await sign(who)
      return withRetry(() => logIn(signed))
    })
  }

  // --- Step-up ---

  /** @returns {Promise<string>} */
  async function requestStepUp() {
    const answer = await check(await session.call('/auth/nonce?purpose=step_up'))
    return (await answer.json()).message
  }

  /**
   * @param {Wallet | undefined} wallet by default the one that was used last
   * @param {string} [ready] a message that was fetched before
   * @returns {Promise<Grant>}
   */
  async function stepUp(wallet = lastWallet, ready) {
    if (!wallet) throw new LatchkeyError('no_wallet', 0, { detail: 'pass a wallet' })
    use(wallet)
    return share(stepUp, async () => {
      const message = ready ?? await requestStepUp()
      const signature = await signWith(wallet, message)
      return withRetry(async () => withoutTokens(await session.confirm({ message, signature })))
    })
  }

  /**
   * Has the page ask its user for a step-up. The message is fetched before, so
   * that the first click itself calls the wallet. Returns whether it was done.
   */
  async function askUser() {
    if (!options.onStepUp) return false
    /** @type {string | undefined} */
    let ready = await requestStepUp()
    let isDone = false
    await options.onStepUp(async wallet => {
      const message = ready
      ready = undefined
      const grant = await stepUp(wallet, message)
      isDone = true
      return grant
    })
    return isDone
  }

  return {
    prepare: (/** @type {Account} */ account) => prepare(account).offer,
    signIn,
    stepUp: (/** @type {Wallet | undefined} */ wallet) => stepUp(wallet),
    /** Calls at the same time share one question to the user. */
    ask: () => share(askUser, askUser),
    /** Forgets a message that is for another account. */
    forget: () => { given = prepared = undefined },
  }
}
