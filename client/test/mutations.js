// What the client promises, and for each promise a line without which it would
// not hold. Each mutation replaces one line, as it stands without its
// indentation, or two if one alone is not unique. A test must fail: of
// fake.test.js, or of the tests that `test` matches in the file that `by` names.

/**
 * @typedef {object} Mutation
 * @property {string} promise
 * @property {string} file
 * @property {string} line
 * @property {string} weakened
 * @property {'server' | 'adapters' | 'backend'} [by]
 * @property {string} [test]
 */

/** @type {Mutation[]} */
export const mutations = []

/** @param {string} file */
const inFile = file => (
  /** @type {string} */ promise, /** @type {string} */ line, /** @type {string} */ weakened,
  /** @type {{ by?: 'server' | 'adapters' | 'backend', test?: string }} */ more = {},
) => { mutations.push({ promise, file, line, weakened, ...more }) }

// --- Sign-in ---

const signing = inFile('signing.js')

signing('it signs the message that the server made',
  "const message = own.message ?? (await own.offer).message",
  "const message = (await own.offer).message + ' '")
signing('after prepare the wallet is called in the click itself',
  "const message = own.message ?? (await own.offer).message",
  "const { message } = await own.offer")
signing('two sign-ins at the same time do not sign the same nonce',
  "forget(given = own)",
  "given = own")
signing('a nonce is not used again after its login',
  "if (prepared?.message === message) prepared = undefined",
  "")
signing('a rejected signature leaves its nonce for the next try',
  "if (isRejected && given === own) prepared ??= own",
  "")
signing('a failure that is not a rejection does not leave its nonce',
  "if (isRejected && given === own) prepared ??= own",
  "if (given === own) prepared ??= own")
signing('a message that was declined is not offered after a switch of the account',
  "if (isRejected && given === own) prepared ??= own",
  "if (isRejected) prepared ??= own")
signing('a message that was prepared long ago is not used',
  "const isPrepared = account => prepared && Date.now() < prepared.usableUntil &&",
  "const isPrepared = account => prepared &&")
signing('a message that was prepared for another account is not used',
  "('request' in account || keyOf(prepared) === keyOf(account))",
  "true")
signing('a message that could not be prepared is requested again',
  "}, () => forget(own))",
  "}, () => {})")
signing('sign-ins at the same time share one attempt',
  "const shared = attempts.get(key) ?? run().finally(() => attempts.delete(key))",
  "const shared = run().finally(() => attempts.delete(key))")
signing('an attempt is shared only while it runs',
  "const shared = attempts.get(key) ?? run().finally(() => attempts.delete(key))",
  "const shared = attempts.get(key) ?? run()")
signing('after a 503 the error has retry()',
  "if (failure?.status === 503) failure.retry = () => withRetry(run)",
  "")
signing('retry() can fail with a 503 too',
  "if (failure?.status === 503) failure.retry = () => withRetry(run)",
  "if (failure?.status === 503) failure.retry = run")
signing('other failures have no retry()',
  "if (failure?.status === 503) failure.retry = () => withRetry(run)",
  "if (failure) failure.retry = () => withRetry(run)")
signing('a wallet on a chain that is not accepted signs for one that is',
  "if (error.code !== 'invalid_request') throw error",
  "throw error")
signing('the grant of a sign-in holds no token',
  "const withoutTokens = ({ user, session, evicted }) => ({ user, session, evicted })",
  "const withoutTokens = grant => grant")
signing('a sign-in watches the account of its wallet',
  "if ('request' in wallet) watch(wallet)",
  "")

const wallets = inFile('wallets.js')

wallets('the wallet is given the account of the message',
  "return wallet.request({ method: 'personal_sign', params: [hex(message), addressIn(message)] })",
  "return wallet.request({ method: 'personal_sign', params: [hex(message)] })")
wallets('the wallet is given the message in hex',
  "text.replace(/[^]/g, char => char.charCodeAt(0).toString(16).padStart(2, '0'))",
  "text.replace(/[^]/g, char => char.charCodeAt(0).toString(16))")
wallets('wallets that are there are asked to announce themselves',
  "dispatchEvent(new Event('eip6963:requestProvider'))",
  "")
wallets('each wallet is found once',
  "if (known.has(detail.info.uuid)) return",
  "")
wallets('wallets that announce themselves late are found',
  "if (!found) removeEventListener('eip6963:announceProvider', announced)",
  "removeEventListener('eip6963:announceProvider', announced)")
wallets('without a function to call, no listener stays',
  "if (!found) removeEventListener('eip6963:announceProvider', announced)",
  "")
wallets('the search for wallets ends with its signal',
  "addEventListener('eip6963:announceProvider', announced, { signal })",
  "addEventListener('eip6963:announceProvider', announced)")
wallets('a change of the chain has no effect',
  "if (started) provider?.on?.('accountsChanged', listener)",
  "if (started) ['accountsChanged', 'chainChanged'].map(e => provider?.on?.(e, listener))")
wallets('a wallet that is locked has no other account',
  "const listener = (/** @type {string[]} */ [address]) => { if (address) changed(address) }",
  "const listener = ([address]) => changed(address ?? '')")
wallets('only the wallet that was used last is watched',
  "provider?.removeListener?.('accountsChanged', listener)",
  "")

// --- Calls ---

const sending = inFile('sending.js')

sending('calls have the cookies',
  "credentials: isBearer ? 'omit' : 'include',",
  "credentials: isBearer ? 'omit' : 'same-origin',")
sending('calls with bearer have no cookies',
  "credentials: isBearer ? 'omit' : 'include',",
  "credentials: 'include',")
sending('calls with bearer have the token',
  "if (pair) headers.set('Authorization', `Bearer ${pair.accessToken}`)",
  "")
sending('calls have the device id, if wanted',
  "if (options.deviceId) headers.set('X-Device-Id', options.deviceId)",
  "")
sending('no redirect is followed with a token or a secret body',
  "const isConfined = isOwn || isBearer || options.deviceId",
  "const isConfined = options.deviceId")
sending('no redirect is followed with a device id',
  "const isConfined = isOwn || isBearer || options.deviceId",
  "const isConfined = isOwn || isBearer")
sending('a lost answer is a network_error',
  "throw new LatchkeyError('network_error', 0, { detail: 'no answer, or refused by CORS', cause })",
  "throw cause")

const session = inFile('session.js')

session('other origins get no credentials',
  "if (origin !== absolute(base).origin && !guarded) return plainFetch(options, input, init)",
  "if (!origin) return plainFetch(options, input, init)")
session('guarded origins get the credentials',
  "const guarded = options.guarded?.includes(origin)",
  "const guarded = false")
session('token_expired is refreshed and repeated',
  "if (code === 'token_expired') return renew(attempt)",
  "")
session('a call is refreshed and repeated once',
  "if (!once(attempt, 'refresh')) return false",
  "")
session('a bare 401 decides nothing',
  "const code = answer.status === 401 && problem.code",
  "const code = problem.code ?? (answer.status === 401 ? 'token_expired' : '')")
session('a code of another status decides nothing',
  "const code = answer.status === 401 && problem.code",
  "const { code } = problem")
session('step_up_required asks the page',
  "return once(attempt, 'step-up') && (attempt.sent !== version || stepUp())",
  "return false")
session('a call asks for one step-up',
  "return once(attempt, 'step-up') && (attempt.sent !== version || stepUp())",
  "return attempt.sent !== version || stepUp()")
session('a call that was sent before a step-up does not ask for another',
  "return once(attempt, 'step-up') && (attempt.sent !== version || stepUp())",
  "return once(attempt, 'step-up') && stepUp()")
session('session_ended is in the state, with its reason',
  "return conclude(attempt, problem.reason)",
  "return conclude(attempt)")
session('the end of an earlier session does not sign out',
  "if (attempt.sent !== version) return once(attempt, 'overtaken')",
  "")
session('the reason of the end is not overwritten',
  "if (is('signedOut')) return false // and why stands in the state already",
  "")
session('a body that cannot be sent twice is not repeated',
  "if (!attempt.isRepeatable) return answer",
  "")
session('a Request is repeated with its body',
  "const answer = await send(options, request.clone?.() ?? href, init, await tokens.get())",
  "const answer = await send(options, request.clone ? request : href, init, await tokens.get())")
session('a path is one of the API',
  "const url = request.url ?? String(input).replace(/^\\/(?!\\/)/, base + '/')",
  "const url = request.url ?? String(input)")
session('a URL that begins with // is not a path of the API',
  "const url = request.url ?? String(input).replace(/^\\/(?!\\/)/, base + '/')",
  "const url = request.url ?? String(input).replace(/^\\//, base + '/')")
signing('the message of a step-up is there before the click',
  "let ready = await requestStepUp()",
  "let ready")
signing('a second click does not use the same nonce',
  "ready = undefined",
  "")
signing('calls at the same time share one question to the user',
  "ask: () => share(askUser, askUser),",
  "ask: askUser,")
signing('a step-up that the user declines is not repeated',
  "return isDone",
  "return true")

const requests = inFile('requests.js')

requests('429 and 503 wait for Retry-After',
  "setTimeout(resolve, seconds * 1000)",
  "setTimeout(resolve, 0)")
requests('a wait ends with its signal',
  "signal?.addEventListener('abort', () => reject(signal.reason))",
  "")
requests('it waits a bounded number of times',
  "if (attempt.waits++ >= MAX_WAITS) return false",
  "")
requests('a change is not repeated after a 503',
  "isRead && (answer.status === 429 || answer.status === 503)",
  "answer.status === 429 || answer.status === 503")
requests('a change is repeated after our 429',
  "const isSafe = code === 'rate_limited' ||",
  "const isSafe =")
requests('a read is repeated after a 503',
  "isRead && (answer.status === 429 || answer.status === 503)",
  "isRead && answer.status === 429")
requests('a read is repeated after a 429 of API Gateway',
  "isRead && (answer.status === 429 || answer.status === 503)",
  "isRead && answer.status === 503")
requests('it does not wait for an hour, nor a body that cannot be sent twice',
  "if (!isSafe || !attempt.isRepeatable || !(seconds <= MAX_WAIT_SECONDS)) return false",
  "if (!isSafe || !attempt.isRepeatable) return false")
requests('a body that cannot be sent twice does not wait',
  "if (!isSafe || !attempt.isRepeatable || !(seconds <= MAX_WAIT_SECONDS)) return false",
  "if (!isSafe || !(seconds <= MAX_WAIT_SECONDS)) return false")
requests('a stream cannot be sent twice',
  "export const isRepeatable = body => !body?.getReader && !body?.[Symbol.asyncIterator]",
  "export const isRepeatable = body => true")
requests('an async iterable cannot be sent twice',
  "export const isRepeatable = body => !body?.getReader && !body?.[Symbol.asyncIterator]",
  "export const isRepeatable = body => !body?.getReader")
session('a sign-in is not repeated by itself',
  "const answer = await sendOwn(options, '/auth/login', json('POST', login), await tokens.get())",
  "const answer = await request(options, '/auth/login', json('POST', login))")
session('a sign-out is not repeated by itself',
  "const answer = await sendOwn(options, '/auth/logout', body)",
  "const answer = await request(options, '/auth/logout', body)")
session('a step-up is not repeated by itself',
  "const grant = await (await check(await sendOwn(options, '/auth/step-up', body))).json()",
  "const grant = await (await check(await request(options, '/auth/step-up', body))).json()")

// --- Guarded APIs ---

session('a bare denial of a guarded API is refreshed and repeated',
  "if (attempt.guarded && isBareDenial(answer, problem)) return renewGuarded(attempt)",
  "")
session('a bare denial counts for guarded origins only',
  "if (attempt.guarded && isBareDenial(answer, problem)) return renewGuarded(attempt)",
  "if (isBareDenial(answer, problem)) return renewGuarded(attempt)")
session('a bare denial is not refreshed within a minute of the last refresh',
  "return !isRecent && !attempt.refusal && renew(attempt)",
  "return !attempt.refusal && renew(attempt)")
session('a bare denial after a refused refresh asks whether the session lives',
  "if (attempt.refusal) await load()",
  "")
const errors = inFile('errors.js')
errors('a denial with more than a message is the API’s own',
  "(status === 401 || status === 403) && /^message$/i.test(Object.keys(problem).join())",
  "(status === 401 || status === 403) && 'message' in problem")
errors('only a 401 or a 403 is a denial',
  "(status === 401 || status === 403) && /^message$/i.test(Object.keys(problem).join())",
  "/^message$/i.test(Object.keys(problem).join())")
errors('an error has its code, detail, request id and reason',
  "return new LatchkeyError(code, status, { detail, requestId, reason })",
  "return new LatchkeyError(code, status, { detail })")
errors('an answer without a code has one by its status',
  "const { code = `http_${status}`, message, detail = message, requestId, reason } =",
  "const { code, message, detail = message, requestId, reason } =")

// --- Refreshes ---

session('one refresh at a time in a tab',
  "return refreshing ??= rotate().finally(() => { refreshing = undefined })",
  "return refreshing = rotate().finally(() => { refreshing = undefined })")
session('a lost answer of a refresh is asked for again, with the same token',
  "return rotation()",
  "throw error")
session('a refused refresh is not asked for again',
  "if (error.status) throw error",
  "")
session('a sign-out while a refresh is under way wins',
  "const isCurrent = () => version === started",
  "const isCurrent = () => true")
session('being offline, or a 503, is not being signed out',
  "if (!isRefusal(error)) throw error",
  "")
session('a refused refresh does not decide: the repeated call does',
  "if (!isRefusal(error)) throw error",
  "throw error")
session('a refused refresh and a refused call are the end',
  "if (attempt.refusal) return conclude(attempt, attempt.refusal.reason)",
  "")
session('a call that was sent before a refresh does not refresh again',
  "if (attempt.sent === version) {",
  "{")
session('a page that nobody uses is not refreshed ahead of expiry',
  "if (!isUsed || Date.now() - dueAt > LATE_MS) return",
  "if (Date.now() - dueAt > LATE_MS) return")
session('a timer that fires late, after sleep, does not refresh',
  "if (!isUsed || Date.now() - dueAt > LATE_MS) return",
  "if (!isUsed) return")
session('use before the last refresh does not count',
  "isUsed = false",
  "")
inFile('latchkey.js')('a call of the page counts as use',
  "session.markUsed()",
  "")
const state = inFile('state.js')
state('a pressed key counts as use',
  "addEventListener('keydown', hooks.input, options)",
  "")
state('a click counts as use',
  "addEventListener('pointerdown', hooks.input, options)",
  "")
session('it refreshes before the expiry that expiresIn says',
  "dueAt = renewedAt + (expiresIn - Math.min(60, expiresIn / 5)) * 1000",
  "dueAt = renewedAt + expiresIn * 1000")
session('a short token is refreshed ahead too',
  "dueAt = renewedAt + (expiresIn - Math.min(60, expiresIn / 5)) * 1000",
  "dueAt = renewedAt + (expiresIn - 60) * 1000")
session('a refusal ahead of expiry is in the state',
  "await refresh().catch(error => { if (error.status === 401) return load() })",
  "await refresh().catch(() => {})")
session('a refresh waits for a step-up',
  "await replacing?.catch(() => {})",
  "")
session('a step-up waits for a refresh',
  "while (refreshing) await refreshing.catch(() => {})",
  "")

// --- State ---

state('a snapshot is the same object until it changes',
  "if (JSON.stringify(next) === JSON.stringify(snapshot)) return",
  "")
state('subscribers are called at each change',
  "for (const subscriber of subscribers) subscriber()",
  "")
state('it starts at the first subscriber, once',
  "if (running || disposed.signal.aborted || !isBrowser()) return",
  "if (disposed.signal.aborted || !isBrowser()) return")
state('nothing starts after dispose',
  "if (running || disposed.signal.aborted || !isBrowser()) return",
  "if (running || !isBrowser()) return")
state('nothing starts on a server',
  "if (running || disposed.signal.aborted || !isBrowser()) return",
  "if (running || disposed.signal.aborted) return")
state('it stops at the last subscriber',
  "if (subscribers.delete(own) && !subscribers.size) stop()",
  "subscribers.delete(own)")
state('it does not stop before the last subscriber',
  "if (subscribers.delete(own) && !subscribers.size) stop()",
  "if (subscribers.delete(own)) stop()")
state('one function can subscribe twice',
  "const own = () => subscriber()",
  "const own = subscriber")
state('listeners end with the last subscriber',
  "running.abort()",
  "")
state('the channel closes with the last subscriber, or after dispose',
  "closeChannel()",
  "")
session('the refresh ahead ends with the last subscriber',
  "clearTimeout(timer)\nclearTimeout(loadTimer)",
  "clearTimeout(loadTimer)")
session('the wait to ask again ends with the last subscriber',
  "clearTimeout(loadTimer)\nwatcher.stop()",
  "watcher.stop()")
session('the wallet is not watched after the last subscriber',
  "clearTimeout(loadTimer)\nwatcher.stop()",
  "clearTimeout(loadTimer)")
state('after dispose nobody is called',
  "subscribers.clear()",
  "")
state('dispose ends the search for wallets',
  "disposed.abort()",
  "")
state('pagehide closes the channel',
  "addEventListener('pagehide', closeChannel, options)",
  "")
state('pageshow opens the channel again',
  "if (!(/** @type {any} */ (event).persisted)) return",
  "return hooks.start()")
state('pageshow from the back/forward cache asks the server again',
  "if (!(/** @type {any} */ (event).persisted)) return",
  "return openChannel()")
state('pageshow of a new page does not ask twice',
  "if (!(/** @type {any} */ (event).persisted)) return",
  "")
state('without BroadcastChannel tabs are on their own',
  "if (channel || !globalThis.BroadcastChannel) return",
  "if (channel) return")
state('messages of other tabs are received',
  "channel.onmessage = event => hooks.receive(event.data)",
  "")
session('the channel is that of one API',
  "const state = createState(isBearer ? name : name + ' cookie', {",
  "const state = createState(isBearer ? 'latchkey' : 'latchkey cookie', {")
session('a client with cookies and one with tokens are two',
  "const state = createState(isBearer ? name : name + ' cookie', {",
  "const state = createState(name, {")
session('the store is that of one API',
  "const tokens = createTokens(isBearer ? options.storage : undefined, name)",
  "const tokens = createTokens(isBearer ? options.storage : undefined, 'latchkey')")
session('a change is sent to other tabs',
  "if (isShared) state.publish({ ...next, expiresIn })",
  "")
session('each tab has the account of its own wallet',
  "function set({ otherAccount, ...next }) {",
  "function set(next) {")
session('the account of the wallet stays when another tab says who is signed in',
  "changed(expiresIn)\nset(next)",
  "changed(expiresIn)\nstate.set(next)")
wallets('of another wallet the account is not known',
  "if (next !== provider) changed()",
  "")
session('what other tabs send is the state',
  "changed(expiresIn)\nset(next)",
  "changed(expiresIn)")
session('what other tabs send sets the time of the next refresh',
  "changed(expiresIn)\nset(next)",
  "set(next)")
session('on a server nothing is kept between requests',
  "if (isInert()) return",
  "")
session('on a server nothing is refreshed',
  "if (answer.ok || isInert() || !await remedy(attempt, answer)) return answer",
  "if (answer.ok || !await remedy(attempt, answer)) return answer")
session('who is signed in is asked once at a time',
  "return loading ??= ask().catch(() => {}).finally(() => {",
  "return loading = ask().catch(() => {}).finally(() => {")
session('a page that loads offline asks again',
  "if (is('loading') && state.isRunning()) loadTimer = setTimeout(load, RETRY_LOADING_MS)",
  "")
session('the first answer does not overwrite a newer state',
  "if (question !== lastQuestion || before !== state.getSnapshot()) return",
  "if (question !== lastQuestion) return")
session('only the answer to the last question counts',
  "if (question !== lastQuestion || before !== state.getSnapshot()) return",
  "if (before !== state.getSnapshot()) return")
session('a page from the back/forward cache asks anew',
  "if (isRestored) loading = undefined // its answer may be an old one",
  "")
session('a session that requires a step-up at the start is signed out with that reason',
  "if (isOut || code === 'step_up_required') set({ status: 'signedOut', reason: code })",
  "if (isOut) set({ status: 'signedOut', reason: code })")
session('another account of the wallet is in the state, and the own one is not',
  "if (walletAccount && next.user && !isSame) next.otherAccount = walletAccount",
  "if (walletAccount && next.user) next.otherAccount = walletAccount")
session('another account of the wallet does not sign out',
  "walletAccount = account\nset(state.getSnapshot())",
  "if (account) signOut()")
inFile('latchkey.js')('a message for the account before is not used after a switch',
  "if (account) signing.forget()",
  "")

// --- Tokens ---

session('bearer in memory: a sign-out is sent to other tabs',
  "if (isSignOut && !isShared) state.publish({ status: 'signedOut' })",
  "")
session('bearer in memory: only a sign-out is sent to other tabs',
  "if (isSignOut && !isShared) state.publish({ status: 'signedOut' })",
  "if (!isShared) state.publish({ status: 'signedOut' })")
session('bearer in memory: nothing else is sent to other tabs',
  "if (isShared) state.publish({ ...next, expiresIn })",
  "state.publish({ ...next, expiresIn })")
session('bearer in memory: a sign-out of another tab does not sign out',
  "if (!isShared) return is('signedIn') && load() // this tab's session is its own",
  "")
session('bearer in memory: a sign-out of another tab makes this tab ask',
  "if (!isShared) return is('signedIn') && load() // this tab's session is its own",
  "if (!isShared) return")
session('the store is read before every refresh',
  "const pair = await tokens.read()",
  "const pair = before")
session('what another tab has refreshed is not refreshed',
  "if (pair?.accessToken !== before?.accessToken) return // another tab has refreshed",
  "")
session('tabs read the store again after a change',
  "tokens.forget()",
  "")
const tokens = inFile('tokens.js')
tokens('the store is written only if what was refreshed is still there',
  "if (stored?.refreshToken !== old.refreshToken || !isCurrent()) return false",
  "if (!isCurrent()) return false")
tokens('the store is not written after a sign-out',
  "if (stored?.refreshToken !== old.refreshToken || !isCurrent()) return false",
  "if (stored?.refreshToken !== old.refreshToken) return false")
tokens('the end of one session leaves the tokens of another in the store',
  "if (stored?.refreshToken === only?.refreshToken) await storage?.remove(key)",
  "await storage?.remove(key)")
tokens('a sign-out empties the store',
  "if (stored?.refreshToken === only?.refreshToken) await storage?.remove(key)",
  "")
tokens('the functions of a store may return promises',
  "const text = await storage.get(key)",
  "const text = storage.get(key)")
tokens('the tokens are in the store after a sign-in',
  "await storage?.set(key, JSON.stringify(held))",
  "")
tokens('a reload finds the tokens in the store',
  "get: async () => held ?? read(),",
  "get: async () => held,")
session('a new sign-in ends the session before',
  "const answer = await sendOwn(options, '/auth/login', json('POST', login), await tokens.get())",
  "const answer = await sendOwn(options, '/auth/login', json('POST', login))")
session('a page that has no token asks nobody',
  "const isOut = isBearer && !await tokens.get()",
  "const isOut = false")
session('without a token nothing is refreshed',
  "if (isBearer && !pair) throw new LatchkeyError('no_credentials', 401)",
  "")

// --- Cookies ---

session('a sign-in that leaves no cookie is cookies_blocked',
  "if (!isBearer) await sendOwn(options, '/api/profile').then(checkCookies, () => {})",
  "")
session('a sign-in whose cookies cannot be checked has succeeded',
  "if (!isBearer) await sendOwn(options, '/api/profile').then(checkCookies, () => {})",
  "if (!isBearer) await sendOwn(options, '/api/profile').then(checkCookies)")
session('a browser that keeps no cookie at all is cookies_blocked',
  "await checkCookies(answer)",
  "")

// --- The rest of the API ---

session('a sign-out that finds no session is done',
  "if (answer.ok || hasEnded) await end('logged_out', true)",
  "if (answer.ok) await end('logged_out', true)")
session('a sign-out that fails says so',
  "if (everywhere || !hasEnded) await check(answer)",
  "")
session('a sign-out that fails is not one',
  "if (answer.ok || hasEnded) await end('logged_out', true)",
  "await end('logged_out', true)")
session('a sign-out can be of every session',
  "const body = json('POST', { everywhere, refreshToken: pair?.refreshToken })",
  "const body = json('POST', { refreshToken: pair?.refreshToken })")
const resources = inFile('resources.js')

resources('a change of preferences has If-Match',
  "request('/api/preferences', json('PATCH', changes, { 'If-Match': etag })).then(versioned),",
  "request('/api/preferences', json('PATCH', changes)).then(versioned),",
  { by: 'server', test: 'sessions, activity' })
resources('a change of state can have conditions',
  "given({ 'If-Match': ifMatch, 'If-None-Match': ifNoneMatch })",
  "({})",
  { by: 'server', test: 'sessions, activity' })
resources('state that is not there is undefined',
  "if (error.code !== 'not_found') throw error",
  "throw error",
  { by: 'server', test: 'sessions, activity' })

// --- Adapters ---

const rainbowkit = inFile('rainbowkit.js')

rainbowkit('RainbowKit: the message is ready before the click',
  "getNonce: async () => (await prepare())?.nonce ?? 'unused',",
  "getNonce: async () => 'unused',",
  { by: 'adapters', test: 'RainbowKit' })
rainbowkit('RainbowKit: getNonce never rejects',
  "return latchkey.prepare({ address, chainId }).catch(() => undefined)",
  "return latchkey.prepare({ address, chainId })",
  { by: 'adapters', test: 'RainbowKit' })
rainbowkit('RainbowKit: after a failure the next message is ready',
  "await prepare() // for the next click",
  "",
  { by: 'adapters', test: 'RainbowKit' })
rainbowkit('RainbowKit: signOut never rejects',
  "signOut: () => latchkey.signOut().catch(() => {}),",
  "signOut: () => latchkey.signOut(),",
  { by: 'adapters', test: 'RainbowKit' })

const siwx = inFile('siwx.js')

siwx('AppKit: the session is for any chain of its address',
  "const data = { accountAddress: own, chainId, ...about }",
  "const data = { accountAddress: own, chainId: 'eip155:1', ...about }",
  { by: 'adapters', test: 'AppKit' })
siwx('AppKit: another address has no session',
  "if (!own || own.toLowerCase() !== address.toLowerCase()) return []",
  "if (!own) return []",
  { by: 'adapters', test: 'AppKit' })
siwx('AppKit: it waits until it is known who is signed in',
  "if (now.status === 'loading') return",
  "",
  { by: 'adapters', test: 'AppKit' })
siwx('AppKit: no session left is a sign-out, and others are not',
  "if (!sessions.length) await latchkey.signOut()",
  "await latchkey.signOut()",
  { by: 'adapters', test: 'AppKit' })
siwx('AppKit: a wallet by email signs the message that AppKit completes',
  "const address = isKnown ? accountAddress : ANY_ADDRESS",
  "const address = accountAddress",
  { by: 'adapters', test: 'AppKit' })
inFile('react.js')('React: on a server the state is loading',
  "return useSyncExternalStore(subscribe, getSnapshot, () => ON_SERVER)",
  "return useSyncExternalStore(subscribe, getSnapshot, getSnapshot)",
  { by: 'adapters', test: 'React' })
inFile('viem.js')('viem: the wallet client signs for its own account',
  "const account = client.account ?? (await client.getAddresses())[0]",
  "const account = (await client.getAddresses())[0]",
  { by: 'adapters', test: 'viem' })

// --- Answers that come late, or from something else ---

errors('a bare 401 of a refresh or a sign-out ends nothing',
  "export const isRefusal = ({ status, code }) => status === 401 && code !== 'http_401'",
  "export const isRefusal = ({ status }) => status === 401")
errors('an error without a detail has its code alone',
  "super(facts.detail ? `${code}: ${facts.detail}` : code, facts)",
  "super(`${code}: ${facts.detail}`, facts)")
session('a page that is no answer of the API signs nobody in',
  "if (session) set({ status: 'signedIn', user, session })",
  "set({ status: 'signedIn', user, session })")
session('a refresh shows whose session it is',
  "if ('user' in now && now.session.id === session.id) show({ ...now, session }, expiresIn)",
  "if ('user' in now) show({ ...now, session }, expiresIn)")
session('what another tab says while a sign-in looks for its cookies wins',
  "if (version === own) show({ status: 'signedIn', user, session }, expiresIn)",
  "show({ status: 'signedIn', user, session }, expiresIn)")
session('a sign-out while a sign-in is under way wins',
  "await replacing?.catch(() => {}) // so that the sign-out is of what came of it",
  "")
tokens('a store whose text is no pair holds no tokens',
  "return (held = await new Response(/** @type {any} */ (text)).json().catch(() => {}))",
  "return (held = await new Response(/** @type {any} */ (text)).json())")
sending('a relative address is the page’s own',
  "return await send(options, absolute(baseOf(options) + path).href, init, pair, true)",
  "return await send(options, baseOf(options) + path, init, pair, true)")
// --- Backends ---

const server = inFile('server.js')
const validation = inFile('validation.js')
const limited = inFile('limited.js')

/** @param {string} test */
const byBackend = test => ({ by: /** @type {const} */ ('backend'), test })

server('a caller cannot avoid the comparison of the device by leaving out its user agent',
  "userAgent: header('user-agent') ?? '',",
  "userAgent: header('user-agent'),",
  byBackend('what is asked'))
server('a caller cannot avoid the comparison of the device id by leaving it out',
  "deviceId: header('x-device-id') ?? noDeviceId,",
  "deviceId: header('x-device-id'),",
  byBackend('device id is required'))
server('a handshake, which cannot show a device id, harms no session',
  "deviceId: header('x-device-id') ?? noDeviceId,",
  "deviceId: header('x-device-id') ?? '',",
  byBackend('handshake cannot show'))
server('only a handshake needs no device id',
  "const noDeviceId = isUpgrade && method === 'GET' ? undefined : ''",
  "const noDeviceId = isUpgrade ? undefined : ''",
  byBackend('handshake cannot show'))
server('a handshake with cookies requires an allowed origin',
  "method: isUpgrade ? undefined : method,",
  "method,",
  byBackend('express: HEAD'))
server('of two tokens none counts',
  "return words[0] === 'bearer' && words.length === 2 ? authorization.trim().split(/\\s+/)[1] : null",
  "return authorization.trim().split(/\\s+/)[1]",
  byBackend('express: HEAD'))
server('headers that Node leaves out count',
  "const all = rawHeaders.length ? values : [headers[name] ?? []].flat()",
  "const all = [headers[name] ?? []].flat()",
  byBackend('express: HEAD'))
server('an address comes from a header that is trusted alone',
  "ip: addressHeader && addressOf(addressHeader, header(addressHeader.toLowerCase())),",
  "ip: addressOf('', header(addressHeader?.toLowerCase() ?? 'x-forwarded-for')),",
  byBackend('what is asked'))
server('a key is sent over https',
  "if (protocol !== 'https:' && !(protocol === 'http:' && isLocal)) {",
  "if (!protocol) {",
  byBackend('options and rules'))
server('a cache of more than five seconds is refused',
  "if (!(cacheSeconds >= 0 && cacheSeconds <= MAX_CACHE_SECONDS)) {",
  "if (cacheSeconds < 0) {",
  byBackend('options and rules'))
server('a rule that is misspelt opens nothing',
  "if (!['permission', 'fresh', 'touch'].includes(name)) {",
  "if (!name) {",
  byBackend('options and rules'))
server('a rule that is no plain object opens nothing',
  "if (!isPlainObject(rule)) {",
  "if (typeof rule !== 'object') {",
  byBackend('options and rules'))
server('a requirement that is inherited opens nothing',
  "[Object.prototype, null].includes(Object.getPrototypeOf(value))",
  "!Array.isArray(value)",
  byBackend('options and rules'))
server('a requirement that is not enumerable counts',
  "for (const name of Reflect.ownKeys(rule).map(String)) {",
  "for (const name of Object.keys(rule)) {",
  byBackend('not enumerable'))
server('a url has no query, fragment or password',
  "if (username || password || /[?#]/.test(base)) {",
  "if (!base) {",
  byBackend('the url is an address alone'))
server('next is called once',
  "decided.then(isAllowed => { if (isAllowed) next() }, next)",
  "decided.then(isAllowed => { if (isAllowed) next() }).catch(next)",
  byBackend('next is called once'))
server('headers that are too large are no fault of Latchkey',
  "if (answer === 'too large') return { refusal: tooLarge }",
  "",
  byBackend('too large'))
server('the answer to what counts as activity is not cached',
  "if (!asked.touch) cache.set(text, answer, askedAt)",
  "cache.set(text, answer, askedAt)",
  byBackend('the cache has neither'))
validation('a redirect gets neither key nor token',
  "redirect: 'manual',",
  "",
  byBackend('a redirect gets'))
validation('only true lets anybody in',
  "if (content?.active === true && isSession(content)) return content",
  "if (content?.active && isSession(content)) return content",
  byBackend('active that is no boolean'))
validation('a status is not passed on without its problem',
  "if (content?.active === false && own >= 400 && own <= 499 && problem?.status === own) return content",
  "if (content?.active === false) return content",
  byBackend('inactive'))
validation('an error of fetch is not logged as it is',
  "throw new Fault(`no answer from ${url}: ${cause?.code ?? name}`)",
  "throw new Fault(`no answer from ${url}: ${cause?.code ?? name} ${error}`)",
  byBackend('quotes the key'))
limited('an answer is not used after its time',
  "if (found && age >= 0 && age < found.usableMs) return sessionOf(JSON.parse(found.text))",
  "if (found) return sessionOf(JSON.parse(found.text))",
  byBackend('an ended session passes'))
limited('a cached answer does not outlive its session',
  "const usableMs = Math.min(maxMs, ...ends.map(end => Date.parse(end) - askedAt))",
  "const usableMs = maxMs",
  byBackend('no answer outlives'))
limited('a log that fails changes no answer',
  "await log(message)",
  "return log(message)",
  byBackend('a log that fails'))
limited('the cache is bounded',
  "if (answers.size >= MAX_ENTRIES) answers.delete(/** @type {string} */ (answers.keys().next().value))",
  "",
  byBackend('the cache is bounded'))
limited('without the option nothing is cached',
  "if (!maxMs) return",
  "maxMs ||= 1000",
  byBackend('without a cache'))
