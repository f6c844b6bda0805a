/**
 * @param {Options} options
 * @param {{ start(): void, stop(): void }} watcher of the wallet's account
 * @param {() => Promise<boolean>} stepUp asks the user, and returns whether it was done
 */
export function createSession(options: Options, watcher: {
    start(): void;
    stop(): void;
}, stepUp: () => Promise<boolean>): {
    state: {
        getSnapshot: () => Snapshot;
        isRunning: () => boolean;
        subscribe(subscriber: () => void): () => void;
        set(next: Snapshot): void;
        publish: (message: unknown) => void | undefined;
        disposed: AbortSignal;
        dispose(): void;
    };
    call: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>;
    markUsed: () => void;
    begin: (login: object) => Promise<Tokens>;
    confirm: (signed: {
        message: string;
        signature: string;
    }) => Promise<Tokens>;
    end: (reason?: string, isSignOut?: boolean) => Promise<void>;
    signOut: ({ everywhere }?: {
        everywhere?: boolean;
    }) => Promise<void>;
    switchAccount: (account?: string) => void;
};
/**
 * What has happened to a call so far.
 */
export type Attempt = {
    method: string;
    signal?: AbortSignal | null | undefined;
    /**
     * whether the body can be sent twice
     */
    isRepeatable: boolean;
    /**
     * the version at which it was sent last
     */
    sent: number;
    /**
     * whether it goes to an API that Latchkey guards
     */
    guarded?: boolean | undefined;
    waits: number;
    done: Set<string>;
    /**
     * of its refresh
     */
    refusal?: LatchkeyError | undefined;
};
import type { Options } from './types.js';
import type { Snapshot } from './types.js';
import type { Tokens } from './types.js';
import { LatchkeyError } from './errors.js';
