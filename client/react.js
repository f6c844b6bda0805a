// For React 18 and later.

import { useSyncExternalStore } from 'react'

/** @import { Latchkey, Snapshot } from './types.js' */

/** @type {Snapshot} */
const ON_SERVER = { status: 'loading' }

/**
 * Returns the state of a client, and renders again when it changes. Rendered on
 * a server it is `loading`.
 *
 * @param {Latchkey} latchkey
 * @returns {Snapshot}
 */
export function useLatchkey({ subscribe, getSnapshot }) {
  return useSyncExternalStore(subscribe, getSnapshot, () => ON_SERVER)
}
