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
export function wallets(found?: (wallet: AnnouncedWallet) => void, signal?: AbortSignal): AnnouncedWallet[];
/**
 * Has a wallet sign a message. It calls the wallet before it returns, so that a
 * click in which it is called lets the wallet open a window.
 *
 * @param {Wallet} wallet
 * @param {string} message
 * @returns {Promise<string>}
 */
export function signWith(wallet: Wallet, message: string): Promise<string>;
/**
 * Asks a provider for its account and its chain.
 *
 * @param {Provider} provider
 */
export function accountOf(provider: Provider): Promise<{
    address: any;
    chainId: number;
}>;
/**
 * Listens to the account of one provider while it is started. The chain does
 * not matter: a session belongs to an account.
 *
 * @param {(address?: string) => void} changed gets nothing if another provider
 *   is listened to
 */
export function createWatcher(changed: (address?: string) => void): {
    /** Listens to this provider alone. */
    watch(next: Provider): void;
    start: () => void;
    stop: () => void;
};
export function addressIn(message: string): string;
import type { AnnouncedWallet } from './types.js';
import type { Wallet } from './types.js';
import type { Provider } from './types.js';
