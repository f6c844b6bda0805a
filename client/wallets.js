// Wallets: how they are found, and how they sign.

/** @import { AnnouncedWallet, Provider, Wallet } from './types.js' */

/**
 * Returns the wallets that have announced themselves by EIP-6963. It calls
 * found once for each, also for those that announce themselves later, until the
 * signal is aborted. On a server it returns an empty list.
 *
 * @param {(wallet: AnnouncedWallet) => void} [found]
 * @param {AbortSignal} [signal]
 * @returns {AnnouncedWallet[]}
 */
export function wallets(found, signal) {
  /** @type {Map<string, AnnouncedWallet>} */
  const known = new Map()
  if (!globalThis.addEventListener) return []
  const announced = (/** @type {any} */ { detail }) => {
    if (known.has(detail.info.uuid)) return
    known.set(detail.info.uuid, detail)
    found?.(detail)
  }
  addEventListener('eip6963:announceProvider', announced, { signal })
  dispatchEvent(new Event('eip6963:requestProvider'))
  if (!found) removeEventListener('eip6963:announceProvider', announced)
  return [...known.values()]
}

/**
 * Returns a text of ASCII, as all messages are, in hex.
 *
 * @param {string} text
 */
const hex = text => '0x' +
  text.replace(/[^]/g, char => char.charCodeAt(0).toString(16).padStart(2, '0'))

/**
 * Returns the address in a message. It is the second line of every message.
 *
 * @param {string} message
 */
export const addressIn = message => message.split('\n')[1]

/**
 * Has a wallet sign a message. It calls the wallet before it returns, so that a
 * click in which it is called lets the wallet open a window.
 *
 * @param {Wallet} wallet
 * @param {string} message
 * @returns {Promise<string>}
 */
export function signWith(wallet, message) {
  if (!('request' in wallet)) return wallet.sign(message)
  return wallet.request({ method: 'personal_sign', params: [hex(message), addressIn(message)] })
}

/**
 * Asks a provider for its account and its chain.
 *
 * @param {Provider} provider
 */
export async function accountOf(provider) {
  const [address] = await provider.request({ method: 'eth_requestAccounts' })
  return { address, chainId: Number(await provider.request({ method: 'eth_chainId' })) }
}

/**
 * Listens to the account of one provider while it is started. The chain does
 * not matter: a session belongs to an account.
 *
 * @param {(address?: string) => void} changed gets nothing if another provider
 *   is listened to
 */
export function createWatcher(changed) {
  /** @type {Provider | undefined} */
  let provider
  let started = false
  const listener = (/** @type {string[]} */ [address]) => { if (address) changed(address) }
  /**
   * @param {Provider | undefined} next
   * @param {boolean} [isOn]
   */
  function set(next, isOn = started) {
    provider?.removeListener?.('accountsChanged', listener)
    provider = next
    started = isOn
    if (started) provider?.on?.('accountsChanged', listener)
  }
  return {
    /** Listens to this provider alone. */
    watch(/** @type {Provider} */ next) {
      if (next !== provider) changed()
      set(next)
    },
    start: () => set(provider, true),
    stop: () => set(provider, false),
  }
}
