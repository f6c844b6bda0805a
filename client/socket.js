// For WebSockets of an API that Latchkey guards.

import { LatchkeyError, check } from './errors.js'

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
export async function openSocket(latchkey, url, { protocols = [] } = {}) {
  const answer = await check(await latchkey.fetch('/auth/ticket', { method: 'POST' }))
  const { ticket } = await answer.json()
  const socket = new WebSocket(url, ['latchkey', ticket, ...protocols])
  return new Promise((resolve, reject) => {
    const fail = () => reject(
      new LatchkeyError('socket_closed', 0, { detail: 'the WebSocket did not open' }))
    socket.addEventListener('open', () => resolve(socket))
    socket.addEventListener('error', fail)
    socket.addEventListener('close', fail)
  })
}
