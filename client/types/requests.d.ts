/**
 * Waits as long as an answer asks for. It returns false, at once, if the same
 * request must not be repeated.
 *
 * After a 503 the request may have been applied, so only reads are repeated.
 * Our 429 says that nothing has happened.
 *
 * @param {Response} answer
 * @param {string | undefined} code
 * @param {{ method: string, isRepeatable: boolean, waits: number, signal?: AbortSignal | null }} attempt
 */
export function waitToRepeat(answer: Response, code: string | undefined, attempt: {
    method: string;
    isRepeatable: boolean;
    waits: number;
    signal?: AbortSignal | null;
}): Promise<boolean>;
export function isRepeatable(body: any): boolean;
