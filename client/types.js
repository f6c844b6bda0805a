// The types of the package. This file has no code.

/**
 * What createLatchkey takes.
 *
 * @typedef {object} Options
 * @property {string} url the address of the API, such as
 *   `https://api.example.com`; a path may follow
 * @property {'cookie' | 'bearer'} [transport] `cookie` is the default, and the
 *   right one for browsers
 * @property {string[]} [guarded] origins of other APIs that Latchkey guards,
 *   such as `https://orders.example.com`. They get the credentials too
 * @property {string} [deviceId] is sent as `X-Device-Id` with every request
 * @property {string} [deviceName] names the session in the list of sessions
 * @property {Storage} [storage] lets tabs share one session of the bearer
 *   transport. Scripts in the page can read what it holds
 * @property {OnStepUp} [onStepUp] is called if a call of fetch needs a fresh
 *   signature
 * @property {typeof globalThis.fetch} [fetch] is used instead of the global
 *   fetch
 */

/**
 * A store of strings, such as localStorage behind three functions. They may
 * return promises.
 *
 * @typedef {object} Storage
 * @property {(key: string) => unknown} get returns a string; null or undefined
 *   if the key is missing
 * @property {(key: string, value: string) => unknown} set
 * @property {(key: string) => unknown} remove
 */

/**
 * Shows the user that a signature is needed. It calls confirm from a click, and
 * returns when the user has signed or has declined. If it returns a promise,
 * the call that needs the signature waits for it. If it throws, the call fails
 * with the same error.
 *
 * @typedef {(confirm: (wallet?: Wallet) => Promise<Grant>) => unknown} OnStepUp
 */

/**
 * An EIP-1193 provider, as wallets inject it.
 *
 * @typedef {object} Provider
 * @property {(call: { method: string, params?: any }) => Promise<any>} request
 * @property {(event: any, listener: any) => unknown} [on]
 * @property {(event: any, listener: any) => unknown} [removeListener]
 */

/**
 * An account and how it signs.
 *
 * @typedef {object} Signer
 * @property {string} address
 * @property {number} chainId
 * @property {(message: string) => Promise<string>} sign returns the signature
 *   as personal_sign does, in hex
 */

/**
 * A message of prepare with its signature.
 *
 * @typedef {object} Signed
 * @property {string} message
 * @property {string} signature
 */

/** @typedef {Provider | { sign: (message: string) => Promise<string> }} Wallet */

/**
 * A wallet that has announced itself by EIP-6963.
 *
 * @typedef {object} AnnouncedWallet
 * @property {{ uuid: string, name: string, icon: string, rdns: string }} info
 * @property {Provider} provider
 */

/**
 * What the server offers to sign.
 *
 * @typedef {object} Offer
 * @property {string} message
 * @property {string} nonce
 * @property {string} expiresAt
 * @property {string} domain
 * @property {string} uri
 * @property {string} version
 * @property {string} statement
 * @property {number[]} chainIds chains that the server accepts
 */

/**
 * An account. Times are RFC 3339 in UTC.
 *
 * @typedef {object} User
 * @property {string} id never changes
 * @property {string} address
 * @property {string} account the address, or for a contract wallet its CAIP-10
 *   account id
 * @property {'eoa' | 'contract'} wallet
 * @property {string[]} roles
 * @property {string[]} permissions
 * @property {string} createdAt
 * @property {string} lastLoginAt
 */

/**
 * @typedef {object} Session
 * @property {string} id
 * @property {boolean} current
 * @property {string} createdAt
 * @property {string} lastSeenAt
 * @property {string} idleExpiresAt
 * @property {string} expiresAt
 * @property {string} ip
 * @property {string} [lastIp]
 * @property {number} chainId
 * @property {'cookie' | 'bearer'} transport
 * @property {{ name: string, browser: string, os: string, type: string }} device
 * @property {string} [elevatedUntil]
 * @property {boolean} [stepUpRequired]
 */

/**
 * What a sign-in or a step-up has given. A step-up gives no user.
 *
 * @typedef {object} Grant
 * @property {Session} session
 * @property {User} [user]
 * @property {string[]} [evicted] ids of the sessions that this sign-in ended
 */

/**
 * The answer of a login, a refresh or a step-up. `expiresIn` is in seconds.
 *
 * @typedef {Grant & { expiresIn: number, accessToken?: string, refreshToken?: string }} Tokens
 */

/** @typedef {{ accessToken: string, refreshToken: string }} Pair */

/**
 * The state of the client. It is the same object until it changes.
 * `otherAccount` is the account to which the wallet has switched, if that is
 * not the user's. `reason` is missing if it is not known.
 *
 * @typedef {{ status: 'loading' }
 *   | { status: 'signedOut', reason?: string }
 *   | { status: 'signedIn', user: User, session: Session, otherAccount?: string }} Snapshot
 */

/**
 * @typedef {object} Event
 * @property {number} v
 * @property {string} id
 * @property {string} time
 * @property {string} type
 * @property {string} sessionId
 * @property {string} [ip]
 * @property {string} [device]
 * @property {string} outcome
 * @property {string} [reason]
 */

/** @typedef {{ limit?: number, cursor?: string }} Page */

/** @typedef {{ value: any, etag: string }} Versioned */

/** @typedef {{ ifMatch?: string, ifNoneMatch?: '*' }} Conditions */

/**
 * Preferences belong to the account.
 *
 * @typedef {object} Preferences
 * @property {() => Promise<Versioned>} get
 * @property {(changes: object, etag?: string) => Promise<Versioned>} patch
 *   merges changes; null deletes a member. Without etag any version is changed
 */

/**
 * State belongs to the session and ends with it.
 *
 * @typedef {object} SessionState
 * @property {(page?: Page) => Promise<{ keys: { key: string, size: number, expiresAt: string }[], used: number, quota: number, next?: string }>} list
 * @property {(key: string) => Promise<Versioned | undefined>} get returns
 *   undefined if there is no such key
 * @property {(key: string, value: any, options?: Conditions & { ttl?: number }) => Promise<string>} set
 *   returns the new ETag
 * @property {(key: string, options?: Conditions) => Promise<void>} remove
 */

/**
 * A client of one API. Its functions need no `this`.
 *
 * @typedef {object} Latchkey
 * @property {(input: RequestInfo | URL, init?: RequestInit) => Promise<Response>} fetch calls
 *   the API, or another one that Latchkey guards, with the credentials. A path
 *   that begins with `/` is one of the API. Other origins get a plain request
 * @property {(account: { address: string, chainId: number }) => Promise<Offer>} prepare
 *   fetches the message ahead, so that signIn calls the wallet in the click
 *   itself. Some wallets and browsers open no window otherwise
 * @property {(who: Provider | Signer | Signed) => Promise<Grant>} signIn signs in with
 *   an EIP-1193 provider, or with an account and its function that signs. It
 *   also takes a message of prepare that was signed already
 * @property {(wallet?: Wallet) => Promise<Grant>} stepUp renews the session with a
 *   fresh signature, by default of the wallet that was used last
 * @property {(options?: { everywhere?: boolean }) => Promise<void>} signOut ends the
 *   session, or all of the account. It rejects if it could not
 * @property {(page?: Page) => Promise<{ sessions: Session[], limit: number, next?: string }>} sessions
 * @property {(id: string) => Promise<void>} endSession
 * @property {() => Promise<number>} endOtherSessions returns how many have ended
 * @property {(page?: Page) => Promise<{ events: Event[], next?: string }>} activity
 * @property {Preferences} preferences
 * @property {SessionState} state
 * @property {(found?: (wallet: AnnouncedWallet) => void, options?: { signal?: AbortSignal })
 *   => AnnouncedWallet[]} wallets returns the wallets of this browser, and calls
 *   found for each, also for those that announce themselves later
 * @property {(provider: Provider) => void} watch notices if the provider's account
 *   changes. signIn does this itself
 * @property {() => Snapshot} getSnapshot
 * @property {(subscriber: () => void) => () => void} subscribe calls a function at
 *   each change, and returns the function that stops that. The client listens
 *   to other tabs, and keeps the session fresh while the page is used, as long
 *   as it has a subscriber
 * @property {() => void} dispose ends everything that was started
 */

/**
 * What latchkey of `@latchkey/client/server` takes.
 *
 * @typedef {object} ServerOptions
 * @property {string} url the address of the API, such as
 *   `https://api.example.com`; a path may follow
 * @property {string | undefined} key the service key of this backend, `lks_…`
 * @property {string} [trustedAddressHeader] the header in which your proxy sends
 *   the address of the caller. Without it Latchkey does not compare the network.
 *   Every request must come through that proxy, or callers choose their address
 * @property {number} [timeoutSeconds] how long to wait for Latchkey; 3 by
 *   default. Without an answer the request is refused
 * @property {number} [cacheSeconds] how long an answer that says who somebody is
 *   is used again, at most 5; 0 by default. For so long an ended session, a
 *   blocked account, an expired token and a role that was taken away still pass
 * @property {(message: string) => void} [log] gets what is wrong with this
 *   backend or with Latchkey, each message at most once a minute; console.error
 *   by default. No message has a key or a token
 * @property {typeof globalThis.fetch} [fetch] is used instead of the global
 *   fetch
 */

/**
 * What a route requires besides a session.
 *
 * @typedef {object} Rule
 * @property {string} [permission] the user must have
 * @property {boolean} [fresh] whether a login or step-up of the last minutes is
 *   required
 * @property {boolean} [touch] whether the request counts as activity, which
 *   keeps the session alive. A change of the device is then recorded, too
 */

/**
 * Who sent a request. `userId` never changes, and names the account.
 *
 * @typedef {object} ServerSession
 * @property {string} userId
 * @property {string} account
 * @property {string} address
 * @property {'eoa' | 'contract'} wallet
 * @property {number} chainId
 * @property {string} sessionId
 * @property {string[]} roles
 * @property {string[]} permissions
 * @property {string} expiresAt
 * @property {string} idleExpiresAt
 * @property {string} [elevatedUntil]
 */

/**
 * Guards the routes of a backend. Its functions need no `this`.
 *
 * @typedef {object} Guard
 * @property {(request: Request, rule?: Rule) => Promise<
 *   { session: ServerSession, response?: undefined } |
 *   { session?: undefined, response: Response }>} requireSession returns who sent
 *   a request, or the response to send instead of the route's own
 * @property {(rule?: Rule) => (req: any, res: any, next: (error?: any) => void) => void} express
 *   returns middleware for Express and Connect. It sets `req.latchkey`
 * @property {(rule?: Rule) => (request: any, reply: any) => Promise<any>} fastify returns a
 *   hook for Fastify, such as preHandler. It sets `request.latchkey`
 * @property {(rule?: Rule) => (c: any, next: () => Promise<void>) => Promise<Response | void>} hono
 *   returns middleware for Hono. It sets the variable `latchkey`
 */

export {}
