// For RainbowKit's RainbowKitAuthenticationProvider.

/** @import { Latchkey, Signed, Snapshot } from './types.js' */

/** @typedef {{ address?: string, chainId?: number }} Account */

/**
 * Returns an authentication adapter for RainbowKit 2.2 and later.
 *
 * RainbowKit gives no address when it asks for a nonce. Pass account, such as
 * `() => getAccount(config)` of wagmi, and the message is ready before the
 * click. The message is always the server's, so the nonce that RainbowKit keeps
 * is not used.
 *
 * @param {Latchkey} latchkey
 * @param {() => Account} [account]
 */
export function createRainbowKitAdapter(latchkey, account = () => ({})) {
  let last = account()

  // It never rejects: RainbowKit would not ask again. createMessage does.
  async function prepare() {
    const { address, chainId } = { ...last, ...account() }
    if (!address || !chainId) return
    return latchkey.prepare({ address, chainId }).catch(() => undefined)
  }

  return {
    getNonce: async () => (await prepare())?.nonce ?? 'unused',

    /** @param {{ address: string, chainId: number, nonce?: string }} signer */
    async createMessage({ address, chainId }) {
      last = { address, chainId }
      return (await latchkey.prepare({ address, chainId })).message
    },

    /** @param {Signed} signed */
    async verify({ message, signature }) {
      try {
        await latchkey.signIn({ message, signature })
        return true
      } catch {
        await prepare() // for the next click
        return false
      }
    },

    /** RainbowKit does not await this, so it never rejects. */
    signOut: () => latchkey.signOut().catch(() => {}),
  }
}

/**
 * Returns the status that RainbowKitAuthenticationProvider takes.
 *
 * RainbowKit signs out if the wallet changes its account, but not if it did
 * that while no page was open. Pass the wallet's address, and another account
 * than the session's is not authenticated.
 *
 * @param {Snapshot} snapshot
 * @param {string} [address] of the connected wallet, if there is one
 */
export function rainbowKitStatus(snapshot, address) {
  if (snapshot.status === 'loading') return 'loading'
  if (snapshot.status === 'signedOut') return 'unauthenticated'
  const own = snapshot.user.address
  const isOwn = !address || address.toLowerCase() === own.toLowerCase()
  return isOwn ? 'authenticated' : 'unauthenticated'
}
