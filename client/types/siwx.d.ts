/**
 * Returns what AppKit takes as siwx.
 *
 * @param {Latchkey} latchkey
 * @param {{ isRequired?: boolean }} [options] isRequired disconnects the wallet
 *   if the user does not sign
 */
export function createSIWX(latchkey: Latchkey, { isRequired }?: {
    isRequired?: boolean;
}): {
    /** @param {Account} account */
    createMessage({ accountAddress, chainId }: Account): Promise<{
        toString: () => string;
        domain: string;
        uri: string;
        version: string;
        nonce: string;
        statement: string;
        expirationTime: string;
        accountAddress: string;
        chainId: any;
    }>;
    /** @param {Signed} signed */
    addSession({ message, signature }: Signed): Promise<void>;
    /**
     * AppKit calls this with no session to sign out. WalletConnect's own
     * messages are not the server's: they sign nobody in, and AppKit then asks
     * for a signature.
     *
     * @param {unknown[]} sessions
     */
    setSessions(sessions: unknown[]): Promise<void>;
    revokeSession: () => Promise<void>;
    /**
     * Returns the session for any chain of its address. AppKit asks for one at
     * each change of the network.
     *
     * @param {any} chainId
     * @param {string} address
     */
    getSessions(chainId: any, address: string): Promise<{
        data: {
            domain: string;
            uri: string;
            version: string;
            nonce: string;
            accountAddress: string;
            chainId: any;
        };
        message: string;
        signature: string;
    }[]>;
    getRequired: () => boolean;
};
export type Account = {
    accountAddress: string;
    chainId: any;
};
import type { Latchkey } from './types.js';
import type { Signed } from './types.js';
