// The client of Latchkey. README.md says how to use it, types.js what it has.

import { createResources } from './resources.js'
import { createSession } from './session.js'
import { createSigning } from './signing.js'
import { createWatcher, wallets } from './wallets.js'

/** @import { Latchkey, Options } from './types.js' */

export { LatchkeyError } from './errors.js'

/**
 * Makes a client of one API. It does nothing until it is used.
 *
 * @param {Options} options
 * @returns {Latchkey}
 */
export function createLatchkey(options) {
  const watcher = createWatcher(account => {
    if (account) signing.forget()
    session.switchAccount(account)
  })
  const session = createSession(options, watcher, () => signing.ask())
  const signing = createSigning(options, session, watcher.watch)
  const { state } = session
  /** @type {Latchkey['fetch']} */
  const call = (input, init) => {
    session.markUsed()
    return session.call(input, init)
  }

  return {
    ...createResources(call),
    fetch: call,
    prepare: signing.prepare,
    signIn: signing.signIn,
    stepUp: signing.stepUp,
    signOut: session.signOut,
    wallets: (found, { signal = state.disposed } = {}) => wallets(found, signal),
    watch: watcher.watch,
    getSnapshot: state.getSnapshot,
    subscribe: state.subscribe,
    dispose: state.dispose,
  }
}
