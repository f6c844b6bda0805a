/**
 * Returns the state of a client, and renders again when it changes. Rendered on
 * a server it is `loading`.
 *
 * @param {Latchkey} latchkey
 * @returns {Snapshot}
 */
export function useLatchkey({ subscribe, getSnapshot }: Latchkey): Snapshot;
import type { Latchkey } from './types.js';
import type { Snapshot } from './types.js';
