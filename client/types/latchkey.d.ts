/**
 * Makes a client of one API. It does nothing until it is used.
 *
 * @param {Options} options
 * @returns {Latchkey}
 */
export function createLatchkey(options: Options): Latchkey;
export { LatchkeyError } from "./errors.js";
import type { Options } from './types.js';
import type { Latchkey } from './types.js';
