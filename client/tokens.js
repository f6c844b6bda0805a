// The tokens of the bearer transport: in memory, or in a store that tabs share.
// With cookies it holds nothing.

/** @import { Pair, Storage } from './types.js' */

/**
 * Keeps one pair of tokens.
 *
 * @param {Storage | undefined} storage
 * @param {string} key
 */
export function createTokens(storage, key) {
  /** @type {Pair | undefined} */
  let held

  async function read() {
    if (!storage) return held
    const text = await storage.get(key)
    // Text that is not JSON is no pair.
    return (held = await new Response(/** @type {any} */ (text)).json().catch(() => {}))
  }

  /** @param {Partial<Pair>} grant which has no tokens with cookies */
  async function write({ accessToken, refreshToken }) {
    if (!accessToken || !refreshToken) return
    held = { accessToken, refreshToken }
    await storage?.set(key, JSON.stringify(held))
  }

  return {
    /** Returns what this tab holds, or else what the store has. */
    get: async () => held ?? read(),
    /** Returns what the store has now. */
    read,
    write,
    /** Makes this tab read the store again. */
    forget: () => { held = undefined },
    /**
     * Replaces a pair by its successor. If the pair is no longer there, or
     * isCurrent says no, it changes nothing and returns false.
     *
     * @param {Pair} old
     * @param {Partial<Pair>} successor
     * @param {() => boolean} isCurrent
     */
    async replace(old, successor, isCurrent) {
      const stored = await read()
      if (stored?.refreshToken !== old.refreshToken || !isCurrent()) return false
      await write(successor)
      return true
    },
    /**
     * Removes the pair, or only this one.
     *
     * @param {Pair} [only]
     */
    async clear(only) {
      const stored = only && await read()
      held = undefined
      if (stored?.refreshToken === only?.refreshToken) await storage?.remove(key)
    },
  }
}
