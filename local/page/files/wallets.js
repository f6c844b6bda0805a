// The wallets that the page offers.

import { byId, element } from './dom.js'
import { loggedFetch } from './log.js'

const STORED = 'latchkey:wallet'

const fetchSignature = loggedFetch('throw-away wallet')

/**
 * A wallet that the user can choose.
 *
 * @typedef {object} Choice
 * @property {string} id
 * @property {string} name
 * @property {string} [icon]
 * @property {import('/client/types.js').Provider | import('/client/types.js').Signer} wallet
 */

/**
 * The throw-away wallet. The server has its key, and signs.
 *
 * @type {Choice & { wallet: import('/client/types.js').Signer }}
 */
export const throwAway = {
  id: 'throw-away',
  name: 'the throw-away wallet',
  wallet: {
    address: document.body.dataset.wallet ?? '',
    chainId: 1,
    async sign(message) {
      const answer = await fetchSignature('/throw-away-wallet', {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ message }),
      })
      const { signature, detail } = await answer.json()
      if (!answer.ok) throw new Error(detail)
      return signature
    },
  },
}

/** @type {Choice[]} */
const announced = []

/**
 * Lists the wallets of the browser, also those that announce themselves later.
 *
 * @param {import('/client/types.js').Latchkey} latchkey
 * @param {(choice: Choice) => void} found
 */
export function findWallets(latchkey, found) {
  latchkey.wallets(({ info, provider }) => {
    const choice = { id: info.rdns, name: info.name, icon: info.icon, wallet: provider }
    announced.push(choice)
    byId('no-wallets').hidden = true
    found(choice)
  })
}

/**
 * Makes the button of a wallet.
 *
 * @param {Choice} choice
 * @param {string} [label]
 */
export function walletButton({ name, icon }, label = name) {
  const button = element('button', { type: 'button', className: 'secondary' })
  // A wallet says its icon itself. Only an image in the text is shown.
  if (icon?.startsWith('data:image/')) {
    button.append(element('img', { src: icon, alt: '', width: 20, height: 20 }))
  }
  button.append(label)
  return button
}

/**
 * Keeps which wallet was used, for after a reload.
 *
 * @param {Choice} choice
 */
export const keepChoice = choice => localStorage.setItem(STORED, choice.id)

/** Returns all wallets. */
export const allWallets = () => [...announced, throwAway]

/**
 * Returns the wallet of a user, if it is known: the one that was used last, or
 * the throw-away wallet if the account is its own.
 *
 * @param {{ address: string }} [user]
 */
export function walletOf(user) {
  if (!user) return undefined
  const isThrowAway = user.address === throwAway.wallet.address
  const kept = announced.find(({ id }) => id === localStorage.getItem(STORED))
  return kept ?? (isThrowAway ? throwAway : undefined)
}
