/**
 * Returns a guard for the routes of a backend. It throws if an option is not
 * valid. A missing service key is no such error: every request is then refused
 * with 503, and the log says why.
 *
 * @param {ServerOptions} options
 * @returns {Guard}
 */
export function latchkey(options: ServerOptions): Guard;
/**
 * What is read of a request, of whichever framework.
 */
export type Incoming = {
    method: string | undefined;
    /**
     * returns the values of
     * a header, joined, or undefined without one
     */
    header: (name: string) => string | undefined;
};
export type Decision = {
    session: ServerSession;
    refusal?: undefined;
} | {
    session?: undefined;
    refusal: Refusal;
};
export type NodeRequest = {
    method?: string | undefined;
    rawHeaders?: string[] | undefined;
    headers: Record<string, string | string[] | undefined>;
};
import type { ServerOptions } from './types.js';
import type { Guard } from './types.js';
import type { ServerSession } from './types.js';
import type { Refusal } from './validation.js';
