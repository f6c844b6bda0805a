/**
 * Sends a question, and returns the answer. It is 'too large' if the question is,
 * which has nothing large but headers of the caller. It throws a Fault if there is
 * no answer. The Fault does not have the text of an error of fetch, which may quote a header.
 *
 * @param {AskOptions} options
 * @param {string} body
 * @returns {Promise<Record<string, any> | 'too large'>}
 */
export function ask({ url, key, timeoutSeconds, ...options }: AskOptions, body: string): Promise<Record<string, any> | "too large">;
/**
 * @param {Record<string, any>} answer
 * @returns {ServerSession}
 */
export function sessionOf({ active, ...session }: Record<string, any>): ServerSession;
/**
 * Returns the refusal that a route of the API would have sent.
 *
 * @param {Record<string, any>} answer
 * @returns {Refusal}
 */
export function refusalOf({ code, status, problem }: Record<string, any>): Refusal;
/** @param {string} retryAfter */
export function unavailable(retryAfter: string): {
    headers: {
        'Retry-After': string;
    };
    status: number;
    body: string;
};
/**
 * A fault of this backend or of Latchkey, which the caller cannot help. Its
 * message has neither key nor token.
 */
export class Fault extends Error {
    /**
     * @param {string} message
     * @param {string | null} [retryAfter] in seconds
     */
    constructor(message: string, retryAfter?: string | null);
    retryAfter: string;
}
export namespace twoTokens {
    let status: number;
    let headers: Record<string, string>;
    let body: string;
}
export namespace tooLarge { }
export type AskOptions = {
    /**
     * of the route
     */
    url: string;
    key: string | undefined;
    timeoutSeconds: number;
    fetch?: typeof fetch | undefined;
};
/**
 * An answer to send instead of the route's own.
 */
export type Refusal = {
    status: number;
    headers: Record<string, string>;
    body: string;
};
import type { ServerSession } from './types.js';
