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
export function createRainbowKitAdapter(latchkey: Latchkey, account?: () => Account): {
    getNonce: () => Promise<string>;
    /** @param {{ address: string, chainId: number, nonce?: string }} signer */
    createMessage({ address, chainId }: {
        address: string;
        chainId: number;
        nonce?: string;
    }): Promise<string>;
    /** @param {Signed} signed */
    verify({ message, signature }: Signed): Promise<boolean>;
    /** RainbowKit does not await this, so it never rejects. */
    signOut: () => Promise<void>;
};
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
export function rainbowKitStatus(snapshot: Snapshot, address?: string): "loading" | "unauthenticated" | "authenticated";
export type Account = {
    address?: string;
    chainId?: number;
};
import type { Latchkey } from './types.js';
import type { Signed } from './types.js';
import type { Snapshot } from './types.js';
