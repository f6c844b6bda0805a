// The state of a client, and what keeps it the same in all tabs.

/** @import { Snapshot } from './types.js' */

/** @type {Snapshot} */
const LOADING = { status: 'loading' }

/** Reports whether this is a page or a worker of a browser. */
export const isBrowser = () => typeof location === 'object'

/**
 * Holds the snapshot, its subscribers, and the channel to other tabs. Between
 * the first subscriber and the last it listens and calls the hooks. On a server
 * it never does. It calls start again, with true, if the browser has restored
 * the page from its back/forward cache.
 *
 * @param {string} channelName
 * @param {{ start(isRestored?: boolean): void, stop(): void, input(): void,
 *   receive(message: any): void }} hooks
 */
export function createState(channelName, hooks) {
  /** @type {Snapshot} */
  let snapshot = LOADING
  /** @type {Set<() => void>} */
  const subscribers = new Set()
  /** @type {BroadcastChannel | undefined} */
  let channel
  /** @type {AbortController | undefined} */
  let running
  const disposed = new AbortController()

  function openChannel() {
    if (channel || !globalThis.BroadcastChannel) return
    channel = new BroadcastChannel(channelName)
    channel.onmessage = event => hooks.receive(event.data)
  }

  function closeChannel() {
    channel?.close()
    channel = undefined
  }

  function listen() {
    running = new AbortController()
    const options = { signal: running.signal, capture: true }
    addEventListener('pointerdown', hooks.input, options)
    addEventListener('keydown', hooks.input, options)
    // An open channel keeps a page out of the back/forward cache.
    addEventListener('pagehide', closeChannel, options)
    addEventListener('pageshow', event => {
      if (!(/** @type {any} */ (event).persisted)) return
      openChannel()
      hooks.start(true)
    }, options)
  }

  function start() {
    if (running || disposed.signal.aborted || !isBrowser()) return
    openChannel()
    listen()
    hooks.start()
  }

  function stop() {
    if (!running) return
    running.abort()
    running = undefined
    closeChannel()
    hooks.stop()
  }

  return {
    getSnapshot: () => snapshot,
    isRunning: () => !!running,

    /** @param {() => void} subscriber */
    subscribe(subscriber) {
      const own = () => subscriber()
      subscribers.add(own)
      start()
      return () => {
        if (subscribers.delete(own) && !subscribers.size) stop()
      }
    },

    /** @param {Snapshot} next */
    set(next) {
      if (JSON.stringify(next) === JSON.stringify(snapshot)) return
      snapshot = next
      for (const subscriber of subscribers) subscriber()
    },

    /** @param {unknown} message */
    publish: message => channel?.postMessage(message),

    /** Is aborted by dispose. */
    disposed: disposed.signal,
    dispose() {
      disposed.abort()
      stop()
      subscribers.clear()
    },
  }
}
