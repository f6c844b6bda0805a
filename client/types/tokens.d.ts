/** @import { Pair, Storage } from './types.js' */
/**
 * Keeps one pair of tokens.
 *
 * @param {Storage | undefined} storage
 * @param {string} key
 */
export function createTokens(storage: Storage | undefined, key: string): {
    /** Returns what this tab holds, or else what the store has. */
    get: () => Promise<any>;
    /** Returns what the store has now. */
    read: () => Promise<any>;
    write: ({ accessToken, refreshToken }: Partial<Pair>) => Promise<void>;
    /** Makes this tab read the store again. */
    forget: () => void;
    /**
     * Replaces a pair by its successor. If the pair is no longer there, or
     * isCurrent says no, it changes nothing and returns false.
     *
     * @param {Pair} old
     * @param {Partial<Pair>} successor
     * @param {() => boolean} isCurrent
     */
    replace(old: Pair, successor: Partial<Pair>, isCurrent: () => boolean): Promise<boolean>;
    /**
     * Removes the pair, or only this one.
     *
     * @param {Pair} [only]
     */
    clear(only?: Pair): Promise<void>;
};
import type { Storage } from './types.js';
import type { Pair } from './types.js';
