// For viem, and for wagmi's wallet clients.

/** @import { Signer } from './types.js' */

/**
 * A wallet client of viem, as far as it is used.
 *
 * @typedef {object} WalletClient
 * @property {string | { address: string }} [account]
 * @property {{ id: number }} [chain]
 * @property {() => Promise<readonly string[]>} getAddresses
 * @property {() => Promise<number>} getChainId
 * @property {(args: any) => Promise<string>} signMessage
 */

/**
 * Returns what signIn takes, for the account of a wallet client.
 *
 * @param {WalletClient} client
 * @returns {Promise<Signer>}
 */
export async function signerOf(client) {
  const account = client.account ?? (await client.getAddresses())[0]
  return {
    address: typeof account === 'string' ? account : account.address,
    chainId: client.chain?.id ?? await client.getChainId(),
    sign: message => client.signMessage({ account, message }),
  }
}
