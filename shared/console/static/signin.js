// The screens before the console: sign-in, and an account that may do nothing.

import { button, copyable, element } from './dom.js'
import { failureNotice } from './failure.js'
import { ownEndInWords, permissions, permissionInWords } from './words.js'

/** @param {string} name of a meta element that the server may have filled */
const meta = name =>
  /** @type {HTMLMetaElement | null} */ (document.querySelector(`meta[name="${name}"]`))?.content ??
  ''

/**
 * The throw-away admin of a local server, which signs with its key itself.
 *
 * @type {import('./types.js').Signer | undefined}
 */
const throwAway = meta('throw-away-address')
  ? {
      address: meta('throw-away-address'),
      chainId: 1,
      async sign(message) {
        const answer = await fetch(meta('throw-away-signer'), {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ message }),
        })
        const { signature, detail } = await answer.json()
        if (!answer.ok) throw new Error(detail)
        return signature
      },
    }
  : undefined

/**
 * The screen that lists the wallets of this browser.
 *
 * @param {import('./types.js').Latchkey} latchkey
 * @param {AbortSignal} signal of the screen
 * @param {string | undefined} reason why the last session has ended
 */
export function signInScreen(latchkey, signal, reason) {
  const result = element('div', { id: 'sign-in-result', 'aria-live': 'polite' })
  const list = element('ul', { className: 'wallets', id: 'wallets' })
  const none = element(
    'p',
    { className: 'hint', id: 'no-wallets' },
    'No wallet has announced itself. If you install one, such as a browser extension, ' +
      'it appears here.'
  )

  /** @param {import('./types.js').Provider | import('./types.js').Signer} wallet */
  async function signIn(wallet) {
    result.replaceChildren(
      element(
        'p',
        { className: 'hint' },
        'Your wallet is asked to sign. Look for its window, or at your device.'
      )
    )
    try {
      await latchkey.signIn(wallet)
    } catch (error) {
      result.replaceChildren(failureNotice(error))
    }
  }

  latchkey.wallets(
    ({ info, provider }) => {
      none.hidden = true
      list.append(
        element(
          'li',
          {},
          walletButton(info, () => signIn(provider))
        )
      )
    },
    { signal }
  )

  return element(
    'section',
    { className: 'card narrow', id: 'sign-in', 'aria-labelledby': 'screen-title' },
    reason &&
      element(
        'p',
        {
          className: `notice ${reason === 'logged_out' ? '' : 'warn'}`,
          id: 'ended',
          role: 'status',
        },
        ownEndInWords(reason)
      ),
    element('h1', { id: 'screen-title' }, 'Sign in to the console'),
    element(
      'p',
      { className: 'lead' },
      'With the wallet of an admin, or of an account with a role that may see something here.'
    ),
    throwAway &&
      element(
        'div',
        { className: 'choices' },
        button('Use the throw-away admin', 'primary', () => signIn(throwAway), {
          id: 'throw-away',
        }),
        element(
          'p',
          { className: 'hint' },
          'Only on this machine: the server made it at its start, and forgets it when it stops.'
        )
      ),
    element(
      'h2',
      { className: 'rule' },
      throwAway ? 'or a wallet of this browser' : 'Wallets of this browser'
    ),
    list,
    none,
    result,
    element(
      'p',
      { className: 'hint' },
      'The session stays in the memory of this tab: a reload signs you out, ' +
        'and no other page has it.'
    )
  )
}

/**
 * @param {{ name: string, icon?: string }} info what a wallet says of itself
 * @param {() => unknown} run
 */
function walletButton({ name, icon }, run) {
  const node = button(name, 'secondary', run)
  // Other addresses would be requests to somebody else.
  if (icon?.startsWith('data:image/')) {
    node.prepend(element('img', { src: icon, alt: '', width: 20, height: 20 }))
  }
  return node
}

/**
 * The screen of an account that has no permission of Latchkey.
 *
 * @param {import('./types.js').User} user
 * @param {() => unknown} signOut
 */
export const nobodyScreen = (user, signOut) =>
  element(
    'section',
    { className: 'card narrow', id: 'nobody', 'aria-labelledby': 'screen-title' },
    element('h1', { id: 'screen-title' }, 'This account may see nothing here'),
    element('p', { className: 'lead' }, 'You are signed in as'),
    element('p', {}, copyable(user.account)),
    element(
      'p',
      {},
      user.roles.length > 1
        ? `Its roles are ${user.roles.join(', ')}. None of them has a permission for the console.`
        : 'It has no role but user, and no permission for the console.'
    ),
    element(
      'p',
      {},
      'What to do: ask an admin to give it a role with one of these permissions, ' +
        'or add it to ADMIN_ADDRESSES. ' +
        'If you have another account, choose it in your wallet and sign in again.'
    ),
    element(
      'ul',
      { className: 'plain' },
      ...permissions.map(permission =>
        element('li', {}, element('code', {}, permission), ` – ${permissionInWords(permission)}`)
      )
    ),
    element('div', { className: 'pair' }, button('Sign out', 'primary', signOut))
  )
