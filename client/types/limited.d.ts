/**
 * Returns a store of answers that say who somebody is. They are kept as text, so
 * that what a route does with its session changes no other.
 *
 * @param {number} maxMs how long an answer is used; 0 keeps none
 */
export function createCache(maxMs: number): {
    /**
     * @param {string} question
     * @returns {ServerSession | undefined}
     */
    get(question: string): ServerSession | undefined;
    /**
     * @param {string} question
     * @param {Record<string, any>} answer
     * @param {number} askedAt when the question was sent, which is before it was
     *   answered
     */
    set(question: string, answer: Record<string, any>, askedAt: number): void;
};
/**
 * Logs each message at most once a minute. Otherwise every request of a busy
 * backend would log the same fault. A log that fails changes no answer.
 *
 * @param {(message: string) => void} log
 */
export function atMostOnceAMinute(log: (message: string) => void): (/** @type {string} */ message: string) => Promise<void>;
import type { ServerSession } from './types.js';
