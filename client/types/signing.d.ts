/**
 * @param {Options} options
 * @param {ReturnType<import('./session.js').createSession>} session
 * @param {(provider: Provider) => void} watch
 */
export function createSigning(options: Options, session: ReturnType<typeof import("./session.js").createSession>, watch: (provider: Provider) => void): {
    prepare: (account: Account) => Promise<Offer>;
    signIn: (who: Provider | Signer | Signed) => Promise<Grant>;
    stepUp: (wallet: Wallet | undefined) => Promise<Grant>;
    /** Calls at the same time share one question to the user. */
    ask: () => Promise<boolean>;
    /** Forgets a message that is for another account. */
    forget: () => void;
};
export type Account = {
    address: string;
    chainId: number;
};
/**
 * A message that was fetched ahead. The offer is there once it has arrived.
 */
export type Prepared = Account & {
    offer: Promise<Offer>;
    message?: string;
    usableUntil: number;
};
import type { Options } from './types.js';
import type { Provider } from './types.js';
import type { Offer } from './types.js';
import type { Signer } from './types.js';
import type { Signed } from './types.js';
import type { Grant } from './types.js';
import type { Wallet } from './types.js';
