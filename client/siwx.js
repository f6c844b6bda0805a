// For Reown AppKit's option siwx.

/** @import { Latchkey, Signed, Snapshot } from './types.js' */

/** @typedef {{ accountAddress: string, chainId: any }} Account */

// AppKit asks for a message before it knows the address if the wallet is one by
// email, and fills in the address itself.
const ANY_ADDRESS = '0x0000000000000000000000000000000000000001'

/** @param {string} chainId such as eip155:1 */
const numberOf = chainId => Number(chainId.split(':')[1])

/**
 * Returns what AppKit takes as siwx.
 *
 * @param {Latchkey} latchkey
 * @param {{ isRequired?: boolean }} [options] isRequired disconnects the wallet
 *   if the user does not sign
 */
export function createSIWX(latchkey, { isRequired = true } = {}) {
  /** Waits until it is known who is signed in. */
  const settled = () => new Promise((/** @type {(s: Snapshot) => void} */ resolve) => {
    const check = () => {
      const now = latchkey.getSnapshot()
      if (now.status === 'loading') return
      resolve(now)
      queueMicrotask(() => stop())
    }
    const stop = latchkey.subscribe(check)
    check()
  })

  return {
    /** @param {Account} account */
    async createMessage({ accountAddress, chainId }) {
      const isKnown = /^0x[0-9a-f]{40}$/i.test(accountAddress)
      const address = isKnown ? accountAddress : ANY_ADDRESS
      const offer = await latchkey.prepare({ address, chainId: numberOf(chainId) })
      const { domain, uri, version, nonce, statement, expiresAt } = offer
      const message = isKnown ? offer.message : offer.message.replace(ANY_ADDRESS, accountAddress)
      const about = { domain, uri, version, nonce, statement, expirationTime: expiresAt }
      return { accountAddress, chainId, ...about, toString: () => message }
    },

    /** @param {Signed} signed */
    async addSession({ message, signature }) {
      await latchkey.signIn({ message, signature })
    },

    /**
     * AppKit calls this with no session to sign out. WalletConnect's own
     * messages are not the server's: they sign nobody in, and AppKit then asks
     * for a signature.
     *
     * @param {unknown[]} sessions
     */
    async setSessions(sessions) {
      if (!sessions.length) await latchkey.signOut()
    },

    revokeSession: () => latchkey.signOut(),

    /**
     * Returns the session for any chain of its address. AppKit asks for one at
     * each change of the network.
     *
     * @param {any} chainId
     * @param {string} address
     */
    async getSessions(chainId, address) {
      const now = await settled()
      const own = now.status === 'signedIn' ? now.user.address : ''
      if (!own || own.toLowerCase() !== address.toLowerCase()) return []
      const about = { domain: '', uri: '', version: '1', nonce: '' }
      const data = { accountAddress: own, chainId, ...about }
      return [{ data, message: '', signature: '' }]
    },

    getRequired: () => isRequired,
  }
}
