/**
 * Holds the snapshot, its subscribers, and the channel to other tabs. Between
 * the first subscriber and the last it listens and calls the hooks. On a server
 * it never does. It calls start again, with true, if the browser has restored
 * the page from its back/forward cache.
 *
 * @param {string} channelName
 * @param {{ start(isRestored?: boolean): void, stop(): void, input(): void,
 *   receive(message: any): void }} hooks
 */
export function createState(channelName: string, hooks: {
    start(isRestored?: boolean): void;
    stop(): void;
    input(): void;
    receive(message: any): void;
}): {
    getSnapshot: () => Snapshot;
    isRunning: () => boolean;
    /** @param {() => void} subscriber */
    subscribe(subscriber: () => void): () => void;
    /** @param {Snapshot} next */
    set(next: Snapshot): void;
    /** @param {unknown} message */
    publish: (message: unknown) => void | undefined;
    /** Is aborted by dispose. */
    disposed: AbortSignal;
    dispose(): void;
};
export function isBrowser(): boolean;
import type { Snapshot } from './types.js';
