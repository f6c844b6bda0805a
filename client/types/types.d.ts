/**
 * What createLatchkey takes.
 */
export type Options = {
    /**
     * the address of the API, such as
     * `https://api.example.com`; a path may follow
     */
    url: string;
    /**
     * `cookie` is the default, and the
     * right one for browsers
     */
    transport?: "cookie" | "bearer" | undefined;
    /**
     * origins of other APIs that Latchkey guards,
     * such as `https://orders.example.com`. They get the credentials too
     */
    guarded?: string[] | undefined;
    /**
     * is sent as `X-Device-Id` with every request
     */
    deviceId?: string | undefined;
    /**
     * names the session in the list of sessions
     */
    deviceName?: string | undefined;
    /**
     * lets tabs share one session of the bearer
     * transport. Scripts in the page can read what it holds
     */
    storage?: Storage | undefined;
    /**
     * is called if a call of fetch needs a fresh
     * signature
     */
    onStepUp?: OnStepUp | undefined;
    /**
     * is used instead of the global
     * fetch
     */
    fetch?: typeof fetch | undefined;
};
/**
 * A store of strings, such as localStorage behind three functions. They may
 * return promises.
 */
export type Storage = {
    /**
     * returns a string; null or undefined
     * if the key is missing
     */
    get: (key: string) => unknown;
    set: (key: string, value: string) => unknown;
    remove: (key: string) => unknown;
};
/**
 * Shows the user that a signature is needed. It calls confirm from a click, and
 * returns when the user has signed or has declined. If it returns a promise,
 * the call that needs the signature waits for it. If it throws, the call fails
 * with the same error.
 */
export type OnStepUp = (confirm: (wallet?: Wallet) => Promise<Grant>) => unknown;
/**
 * An EIP-1193 provider, as wallets inject it.
 */
export type Provider = {
    request: (call: {
        method: string;
        params?: any;
    }) => Promise<any>;
    on?: ((event: any, listener: any) => unknown) | undefined;
    removeListener?: ((event: any, listener: any) => unknown) | undefined;
};
/**
 * An account and how it signs.
 */
export type Signer = {
    address: string;
    chainId: number;
    /**
     * returns the signature
     * as personal_sign does, in hex
     */
    sign: (message: string) => Promise<string>;
};
/**
 * A message of prepare with its signature.
 */
export type Signed = {
    message: string;
    signature: string;
};
export type Wallet = Provider | {
    sign: (message: string) => Promise<string>;
};
/**
 * A wallet that has announced itself by EIP-6963.
 */
export type AnnouncedWallet = {
    info: {
        uuid: string;
        name: string;
        icon: string;
        rdns: string;
    };
    provider: Provider;
};
/**
 * What the server offers to sign.
 */
export type Offer = {
    message: string;
    nonce: string;
    expiresAt: string;
    domain: string;
    uri: string;
    version: string;
    statement: string;
    /**
     * chains that the server accepts
     */
    chainIds: number[];
};
/**
 * An account. Times are RFC 3339 in UTC.
 */
export type User = {
    /**
     * never changes
     */
    id: string;
    address: string;
    /**
     * the address, or for a contract wallet its CAIP-10
     * account id
     */
    account: string;
    wallet: "eoa" | "contract";
    roles: string[];
    permissions: string[];
    createdAt: string;
    lastLoginAt: string;
};
export type Session = {
    id: string;
    current: boolean;
    createdAt: string;
    lastSeenAt: string;
    idleExpiresAt: string;
    expiresAt: string;
    ip: string;
    lastIp?: string | undefined;
    chainId: number;
    transport: "cookie" | "bearer";
    device: {
        name: string;
        browser: string;
        os: string;
        type: string;
    };
    elevatedUntil?: string | undefined;
    stepUpRequired?: boolean | undefined;
};
/**
 * What a sign-in or a step-up has given. A step-up gives no user.
 */
export type Grant = {
    session: Session;
    user?: User | undefined;
    /**
     * ids of the sessions that this sign-in ended
     */
    evicted?: string[] | undefined;
};
/**
 * The answer of a login, a refresh or a step-up. `expiresIn` is in seconds.
 */
export type Tokens = Grant & {
    expiresIn: number;
    accessToken?: string;
    refreshToken?: string;
};
export type Pair = {
    accessToken: string;
    refreshToken: string;
};
/**
 * The state of the client. It is the same object until it changes.
 * `otherAccount` is the account to which the wallet has switched, if that is
 * not the user's. `reason` is missing if it is not known.
 */
export type Snapshot = {
    status: "loading";
} | {
    status: "signedOut";
    reason?: string;
} | {
    status: "signedIn";
    user: User;
    session: Session;
    otherAccount?: string;
};
export type Event = {
    v: number;
    id: string;
    time: string;
    type: string;
    sessionId: string;
    ip?: string | undefined;
    device?: string | undefined;
    outcome: string;
    reason?: string | undefined;
};
export type Page = {
    limit?: number;
    cursor?: string;
};
export type Versioned = {
    value: any;
    etag: string;
};
export type Conditions = {
    ifMatch?: string;
    ifNoneMatch?: "*";
};
/**
 * Preferences belong to the account.
 */
export type Preferences = {
    get: () => Promise<Versioned>;
    /**
     *   merges changes; null deletes a member. Without etag any version is changed
     */
    patch: (changes: object, etag?: string) => Promise<Versioned>;
};
/**
 * State belongs to the session and ends with it.
 */
export type SessionState = {
    list: (page?: Page) => Promise<{
        keys: {
            key: string;
            size: number;
            expiresAt: string;
        }[];
        used: number;
        quota: number;
        next?: string;
    }>;
    /**
     * returns
     * undefined if there is no such key
     */
    get: (key: string) => Promise<Versioned | undefined>;
    /**
     *   returns the new ETag
     */
    set: (key: string, value: any, options?: Conditions & {
        ttl?: number;
    }) => Promise<string>;
    remove: (key: string, options?: Conditions) => Promise<void>;
};
/**
 * A client of one API. Its functions need no `this`.
 */
export type Latchkey = {
    /**
     * calls
     * the API, or another one that Latchkey guards, with the credentials. A path
     * that begins with `/` is one of the API. Other origins get a plain request
     */
    fetch: (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>;
    /**
     *   fetches the message ahead, so that signIn calls the wallet in the click
     *   itself. Some wallets and browsers open no window otherwise
     */
    prepare: (account: {
        address: string;
        chainId: number;
    }) => Promise<Offer>;
    /**
     * signs in with
     * an EIP-1193 provider, or with an account and its function that signs. It
     * also takes a message of prepare that was signed already
     */
    signIn: (who: Provider | Signer | Signed) => Promise<Grant>;
    /**
     * renews the session with a
     * fresh signature, by default of the wallet that was used last
     */
    stepUp: (wallet?: Wallet) => Promise<Grant>;
    /**
     * ends the
     * session, or all of the account. It rejects if it could not
     */
    signOut: (options?: {
        everywhere?: boolean;
    }) => Promise<void>;
    sessions: (page?: Page) => Promise<{
        sessions: Session[];
        limit: number;
        next?: string;
    }>;
    endSession: (id: string) => Promise<void>;
    /**
     * returns how many have ended
     */
    endOtherSessions: () => Promise<number>;
    activity: (page?: Page) => Promise<{
        events: Event[];
        next?: string;
    }>;
    preferences: Preferences;
    state: SessionState;
    /**
     * returns the wallets of this browser, and calls
     * found for each, also for those that announce themselves later
     */
    wallets: (found?: (wallet: AnnouncedWallet) => void, options?: {
        signal?: AbortSignal;
    }) => AnnouncedWallet[];
    /**
     * notices if the provider's account
     * changes. signIn does this itself
     */
    watch: (provider: Provider) => void;
    getSnapshot: () => Snapshot;
    /**
     * calls a function at
     * each change, and returns the function that stops that. The client listens
     * to other tabs, and keeps the session fresh while the page is used, as long
     * as it has a subscriber
     */
    subscribe: (subscriber: () => void) => () => void;
    /**
     * ends everything that was started
     */
    dispose: () => void;
};
/**
 * What latchkey of `@latchkey/client/server` takes.
 */
export type ServerOptions = {
    /**
     * the address of the API, such as
     * `https://api.example.com`; a path may follow
     */
    url: string;
    /**
     * the service key of this backend, `lks_…`
     */
    key: string | undefined;
    /**
     * the header in which your proxy sends
     * the address of the caller. Without it Latchkey does not compare the network.
     * Every request must come through that proxy, or callers choose their address
     */
    trustedAddressHeader?: string | undefined;
    /**
     * how long to wait for Latchkey; 3 by
     * default. Without an answer the request is refused
     */
    timeoutSeconds?: number | undefined;
    /**
     * how long an answer that says who somebody is
     * is used again, at most 5; 0 by default. For so long an ended session, a
     * blocked account, an expired token and a role that was taken away still pass
     */
    cacheSeconds?: number | undefined;
    /**
     * gets what is wrong with this
     * backend or with Latchkey, each message at most once a minute; console.error
     * by default. No message has a key or a token
     */
    log?: ((message: string) => void) | undefined;
    /**
     * is used instead of the global
     * fetch
     */
    fetch?: typeof fetch | undefined;
};
/**
 * What a route requires besides a session.
 */
export type Rule = {
    /**
     * the user must have
     */
    permission?: string | undefined;
    /**
     * whether a login or step-up of the last minutes is
     * required
     */
    fresh?: boolean | undefined;
    /**
     * whether the request counts as activity, which
     * keeps the session alive. A change of the device is then recorded, too
     */
    touch?: boolean | undefined;
};
/**
 * Who sent a request. `userId` never changes, and names the account.
 */
export type ServerSession = {
    userId: string;
    account: string;
    address: string;
    wallet: "eoa" | "contract";
    chainId: number;
    sessionId: string;
    roles: string[];
    permissions: string[];
    expiresAt: string;
    idleExpiresAt: string;
    elevatedUntil?: string | undefined;
};
/**
 * Guards the routes of a backend. Its functions need no `this`.
 */
export type Guard = {
    /**
     * returns who sent
     * a request, or the response to send instead of the route's own
     */
    requireSession: (request: Request, rule?: Rule) => Promise<{
        session: ServerSession;
        response?: undefined;
    } | {
        session?: undefined;
        response: Response;
    }>;
    /**
     *   returns middleware for Express and Connect. It sets `req.latchkey`
     */
    express: (rule?: Rule) => (req: any, res: any, next: (error?: any) => void) => void;
    /**
     * returns a
     * hook for Fastify, such as preHandler. It sets `request.latchkey`
     */
    fastify: (rule?: Rule) => (request: any, reply: any) => Promise<any>;
    /**
     *   returns middleware for Hono. It sets the variable `latchkey`
     */
    hono: (rule?: Rule) => (c: any, next: () => Promise<void>) => Promise<Response | void>;
};
