// The dialog that asks for a fresh signature.

import { byId, onClick } from './dom.js'
import { allWallets, walletButton } from './wallets.js'

const dialog = /** @type {HTMLDialogElement} */ (byId('step-up-dialog'))

/**
 * Asks the user to sign, and returns when that is done or declined.
 *
 * @param {Parameters<import('/client/types.js').OnStepUp>[0]} confirm
 * @param {import('./wallets.js').Choice} [known] the user's wallet, if it is known
 * @returns {Promise<void>}
 */
export function askToSign(confirm, known) {
  const output = byId('dialog-result')
  const choices = known ? [known] : allWallets()
  byId('dialog-wallets').replaceChildren(...choices.map((choice, i) => {
    const button = walletButton(choice, `Sign with ${choice.name}`)
    if (i === 0) button.className = 'primary'
    onClick(button, output, async () => {
      await confirm(choice.wallet)
      dialog.close()
    })
    return button
  }))
  output.textContent = ''
  dialog.showModal()
  byId('dialog-wallets').querySelector('button')?.focus()
  return new Promise(resolve => dialog.addEventListener('close', () => resolve(), { once: true }))
}

byId('dialog-cancel').addEventListener('click', () => dialog.close())
