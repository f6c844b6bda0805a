/**
 * Returns the error that an answer stands for.
 *
 * @param {Response} answer
 */
export function errorOf(answer: Response): Promise<LatchkeyError>;
/**
 * Returns an answer if it is a success, and throws its error otherwise.
 *
 * @param {Response} answer
 */
export function check(answer: Response): Promise<Response>;
/** @import { Grant } from './types.js' */
/**
 * What went wrong. Programs read `code`; `detail` is English text for people.
 *
 * The codes are those of the API, and these of the client:
 * `network_error` if no answer arrived, `http_<status>` for an answer without a
 * code, `cookies_blocked`, `no_wallet`, and `socket_closed` for a WebSocket that
 * did not open.
 */
export class LatchkeyError extends Error {
    /**
     * @param {string} code
     * @param {number} [status] of the answer, or 0 if there was none
     * @param {{ detail?: string, requestId?: string, reason?: string, cause?: unknown }} [facts]
     */
    constructor(code: string, status?: number, facts?: {
        detail?: string;
        requestId?: string;
        reason?: string;
        cause?: unknown;
    });
    /** @type {string | undefined} */
    detail: string | undefined;
    /** @type {string | undefined} */
    requestId: string | undefined;
    /**
     * Why the session has ended, for the code `session_ended`.
     *
     * @type {string | undefined}
     */
    reason: string | undefined;
    /**
     * Sends the same signed message again. It is there after a 503 of a sign-in
     * or a step-up.
     *
     * @type {(() => Promise<Grant>) | undefined}
     */
    retry: (() => Promise<Grant>) | undefined;
    code: string;
    status: number;
}
export function readProblem(answer: Response): Promise<Record<string, any>>;
export function isRefusal({ status, code }: LatchkeyError): boolean;
export function isBareDenial({ status }: Response, problem: Record<string, any>): boolean;
import type { Grant } from './types.js';
