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
export function signerOf(client: WalletClient): Promise<Signer>;
/**
 * A wallet client of viem, as far as it is used.
 */
export type WalletClient = {
    account?: string | {
        address: string;
    } | undefined;
    chain?: {
        id: number;
    } | undefined;
    getAddresses: () => Promise<readonly string[]>;
    getChainId: () => Promise<number>;
    signMessage: (args: any) => Promise<string>;
};
import type { Signer } from './types.js';
