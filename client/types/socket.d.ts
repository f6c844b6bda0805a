/** @import { Latchkey } from './types.js' */
/**
 * Opens a WebSocket of a guarded API. It asks for a ticket first, because no
 * script can read the session's cookie. A ticket works once: to connect again,
 * call this again.
 *
 * It rejects with a LatchkeyError if there is no ticket, such as
 * `no_credentials`, and with `socket_closed` if the WebSocket did not open.
 * Browsers do not tell a page why.
 *
 * @param {Latchkey} latchkey
 * @param {string | URL} url such as `wss://live.example.com`. Its server gets
 *   the ticket
 * @param {{ protocols?: string[] }} [options] protocols are subprotocols to
 *   offer besides `latchkey`
 * @returns {Promise<WebSocket>} is open
 */
export function openSocket(latchkey: Latchkey, url: string | URL, { protocols }?: {
    protocols?: string[];
}): Promise<WebSocket>;
import type { Latchkey } from './types.js';
