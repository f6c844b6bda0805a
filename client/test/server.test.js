// The client against the local server.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { LatchkeyError, createLatchkey } from '../latchkey.js'
import { PAGE, createBrowser, createWallet, openPage, problem, reach, settle, startServer } from './harness.js'

let server, short

before(async () => {
  [server, short] = await Promise.all([
    startServer({ SIWE_CHAIN_IDS: '1,8453' }),
    // Access tokens live for two seconds, and the grace is one.
    startServer({ ACCESS_TOKEN_MINUTES: '0.0334', REFRESH_GRACE_SECONDS: '1' }),
  ])
}, { timeout: 600_000 })
after(() => [server, short].forEach(s => s?.stop()))

const expiry = () => new Promise(resolve => setTimeout(resolve, 2200))

function open(t, { at = server, browser = createBrowser(), ...options } = {}) {
  const client = createLatchkey({ url: at.url, fetch: browser.fetch, ...options })
  t.after(client.dispose)
  return { client, browser }
}

/** Opens a tab that is signed in. */
async function signedIn(t, options = {}) {
  const tab = open(t, options)
  const wallet = options.wallet ?? createWallet()
  tab.client.subscribe(() => {})
  await reach(tab.client, 'signedOut')
  await tab.client.signIn(wallet)
  return { ...tab, wallet }
}

/** Makes the next call need a refresh, and sends that by a function. */
function expireOnce(browser, refresh) {
  let isExpired = false
  browser.intercept = (request, send) => {
    const { pathname } = new URL(request.url)
    if (pathname === '/auth/refresh') return refresh(send)
    if (pathname !== '/api/sessions' || isExpired) return undefined
    isExpired = true
    return problem(401, 'token_expired')
  }
}

for (const transport of ['cookie', 'bearer']) {
  describe(transport, () => {
    test('sign in, call, sign out', async t => {
      openPage(t)
      const { client, wallet, browser } = await signedIn(t, { transport })
      const { status, user, session } = client.getSnapshot()
      assert.deepEqual([status, user.address, session.transport], ['signedIn', wallet.address, transport])
      assert.equal((await client.fetch('/api/profile')).status, 200)
      assert.equal(client.getSnapshot(), client.getSnapshot())
      await client.signOut()
      assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'logged_out' })
      assert.equal((await client.fetch('/api/profile')).status, 401)
      assert.equal(browser.cookies.has('session'), false)
    })

    test('the message is the server’s, and each nonce is used once', async t => {
      openPage(t)
      const { client, wallet } = await signedIn(t, { transport })
      await client.signOut()
      await client.signIn(wallet)
      const nonces = wallet.signed.map(message => /Nonce: (\w+)/.exec(message)[1])
      assert.equal(new Set(nonces).size, 2)
      assert.match(wallet.signed[0], /^localhost:5173 wants you to sign in/)
    })

    test('an expired token is refreshed once for calls at the same time', async t => {
      openPage(t)
      const { client, browser } = await signedIn(t, { transport, at: short })
      await expiry()
      const calls = await Promise.all([1, 2, 3].map(() => client.fetch('/api/profile')))
      assert.deepEqual(calls.map(answer => answer.status), [200, 200, 200])
      assert.equal(browser.count('POST /auth/refresh'), 1)
      assert.equal(client.getSnapshot().status, 'signedIn')
    })

    test('the answer of a refresh is lost: the next has the same successor', async t => {
      openPage(t)
      const { client, browser } = await signedIn(t, { transport })
      let sent = 0
      expireOnce(browser, async send => {
        const answer = await send()
        if (!sent++) throw new TypeError('fetch failed')
        return answer
      })
      assert.equal((await client.fetch('/api/sessions')).status, 200)
      assert.deepEqual([sent, client.getSnapshot().status], [2, 'signedIn'])
      assert.equal((await client.fetch('/api/profile')).status, 200)
    })

    test('a sign-out while a refresh is under way wins', async t => {
      openPage(t)
      const { client, browser } = await signedIn(t, { transport })
      expireOnce(browser, async send => {
        const answer = await send()
        await client.signOut()
        return answer
      })
      assert.equal((await client.fetch('/api/sessions')).status, 401)
      assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'logged_out' })
      assert.equal((await client.fetch('/api/profile')).status, 401)
    })

    test('offline is not signed out', async t => {
      openPage(t)
      const { client, browser } = await signedIn(t, { transport })
      browser.intercept = () => { throw new TypeError('fetch failed') }
      await assert.rejects(client.fetch('/api/profile'))
      await assert.rejects(client.signOut(), { code: 'network_error' })
      assert.equal(client.getSnapshot().status, 'signedIn')
      browser.intercept = undefined
      assert.equal((await client.fetch('/api/profile')).status, 200)
    })

    test('the session is ended elsewhere', async t => {
      openPage(t)
      const { client, wallet } = await signedIn(t, { transport })
      const other = await signedIn(t, { transport, wallet, browser: createBrowser() })
      assert.equal(await other.client.endOtherSessions(), 1)
      await client.fetch('/api/profile')
      assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason: 'revoked' })
    })

    test('step-up after a change of the device, from a click, shared by two calls', async t => {
      openPage(t)
      let asked = 0
      const onStepUp = async confirm => {
        asked++
        const before = wallet.calls.length
        const done = confirm()
        assert.equal(wallet.calls.length, before + 1, 'the wallet is called in the click itself')
        await done
      }
      const { client, wallet, browser } = await signedIn(t, { transport, onStepUp })
      browser.userAgent = 'Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36'
      const answers = await Promise.all([client.fetch('/api/sessions'), client.fetch('/api/activity')])
      assert.deepEqual(answers.map(answer => answer.status), [200, 200])
      assert.equal(asked, 1)
      assert.match(wallet.signed[1], /Confirm that it is you/)
    })

    test('step-up that the user declines', async t => {
      openPage(t)
      const { client, browser } = await signedIn(t, { transport, onStepUp: () => {} })
      browser.userAgent = 'Mozilla/5.0 (Windows NT 10.0) Chrome/140.0 Safari/537.36'
      const answer = await client.fetch('/api/profile')
      assert.equal((await answer.json()).code, 'step_up_required')
      assert.equal(client.getSnapshot().status, 'signedIn')
    })

    test('sessions, activity, preferences and state', async t => {
      openPage(t)
      const { client, wallet } = await signedIn(t, { transport })
      const other = await signedIn(t, { transport, wallet, browser: createBrowser(), deviceName: 'Phone' })
      const { sessions, limit } = await client.sessions({ limit: 10 })
      assert.deepEqual([sessions.length, limit, sessions[0].device.name], [2, 5, 'Phone'])
      await client.endSession(other.client.getSnapshot().session.id)
      assert.equal((await client.sessions()).sessions.length, 1)
      assert.ok((await client.activity({ limit: 2 })).events.length)

      const { value, etag } = await client.preferences.get()
      assert.deepEqual(value, {})
      const changed = await client.preferences.patch({ theme: 'dark' }, etag)
      assert.deepEqual(changed.value, { theme: 'dark' })
      const late = client.preferences.patch({ theme: 'light' }, etag)
      await assert.rejects(late, { code: 'precondition_failed', status: 412 })

      const tag = await client.state.set('draft', { a: 1 }, { ttl: 60, ifNoneMatch: '*' })
      assert.deepEqual(await client.state.get('draft'), { value: { a: 1 }, etag: tag })
      assert.equal((await client.state.list()).keys[0].key, 'draft')
      await assert.rejects(client.state.set('draft', 1, { ifNoneMatch: '*' }), { code: 'precondition_failed' })
      await client.state.remove('draft', { ifMatch: tag })
      assert.equal(await client.state.get('draft'), undefined)
    })

    test('ending the own session', async t => {
      openPage(t)
      const { client } = await signedIn(t, { transport })
      await client.endSession(client.getSnapshot().session.id)
      // With cookies the answer has deleted them, so the next call has none.
      const reason = transport === 'bearer' ? 'revoked' : undefined
      await assert.rejects(client.sessions(), { code: reason ? 'session_ended' : 'no_credentials' })
      assert.deepEqual(client.getSnapshot(), { status: 'signedOut', reason })
    })

    test('sign out everywhere', async t => {
      openPage(t)
      const { client, wallet } = await signedIn(t, { transport })
      const other = await signedIn(t, { transport, wallet, browser: createBrowser({ origin: PAGE }) })
      await client.signOut({ everywhere: true })
      await other.client.fetch('/api/profile')
      assert.deepEqual(other.client.getSnapshot(), { status: 'signedOut', reason: 'logged_out' })
    })

    test('an API that Latchkey guards', async t => {
      openPage(t)
      // Without a subscriber nothing is refreshed ahead of expiry.
      const { client, browser } = open(t, { transport, at: short, guarded: [short.url] })
      await client.signIn(createWallet())
      if (transport === 'bearer') { // the example has no identity source for cookies
        assert.equal((await client.fetch('/protected/orders')).status, 200)
      }
      await expiry()
      browser.log.length = 0
      // Its denial has no code. The token is younger than a minute, so nothing
      // is refreshed.
      const answer = await client.fetch('/protected/orders')
      assert.deepEqual([answer.status, browser.count('POST')], [transport === 'bearer' ? 403 : 401, 0])
    })
  })
}

test('a reload asks who is signed in, and survives an expired token', async t => {
  openPage(t)
  const { client, browser, wallet } = await signedIn(t, { at: short })
  client.dispose()
  await expiry()
  const { client: reloaded } = open(t, { at: short, browser })
  assert.deepEqual(reloaded.getSnapshot(), { status: 'loading' })
  const { user } = await reach(reloaded, 'signedIn')
  assert.equal(user.address, wallet.address)
})

test('two tabs refresh at once', async t => {
  openPage(t)
  const { client, browser } = await signedIn(t, { at: short })
  const { client: other } = open(t, { at: short, browser })
  await reach(other, 'signedIn')
  await expiry()
  const answers = await Promise.all([client, other].map(tab => tab.fetch('/api/profile')))
  assert.deepEqual(answers.map(answer => answer.status), [200, 200])
  assert.deepEqual([client, other].map(tab => tab.getSnapshot().status), ['signedIn', 'signedIn'])
})

test('two APIs on one page do not share a session', async t => {
  openPage(t)
  const { client: a, browser } = await signedIn(t)
  const { client: b } = open(t, { at: short, browser })
  await reach(b, 'signedOut')
  const wallet = createWallet()
  await b.signIn(wallet)
  await a.signOut()
  assert.equal((await b.fetch('/api/profile')).status, 200)
  assert.deepEqual([a.getSnapshot().status, b.getSnapshot().user.address], ['signedOut', wallet.address])
})

test('on a server nothing starts', async t => {
  const { client, browser } = open(t)
  client.subscribe(() => {})
  await settle()
  assert.deepEqual([client.getSnapshot(), browser.log], [{ status: 'loading' }, []])
})

test('tabs see a sign-in and a sign-out of each other', async t => {
  openPage(t)
  const browser = createBrowser()
  const [a, b] = [open(t, { browser }).client, open(t, { browser }).client]
  b.subscribe(() => {})
  await Promise.all([reach(a, 'signedOut'), reach(b, 'signedOut')])
  a.subscribe(() => {})
  await a.signIn(createWallet())
  const { user } = await reach(b, 'signedIn')
  assert.deepEqual(user, a.getSnapshot().user)
  await b.signOut()
  assert.equal((await reach(a, 'signedOut')).reason, 'logged_out')
})

test('a rejected signature leaves the nonce for the next try', async t => {
  openPage(t)
  const { client, browser } = open(t)
  const wallet = createWallet()
  await client.prepare({ address: wallet.address, chainId: 1 })
  wallet.rejects = true
  await assert.rejects(client.signIn(wallet), { code: 4001 })
  wallet.rejects = false
  await client.signIn(wallet)
  assert.equal(browser.count('GET /auth/nonce'), 1)
})

test('after prepare the wallet is called in the click itself', async t => {
  openPage(t)
  const { client } = open(t)
  const { address, sign } = createWallet()
  await client.prepare({ address, chainId: 1 })
  let isCalled = false
  const signingIn = client.signIn({ address, chainId: 1, sign: message => { isCalled = true; return sign(message) } })
  assert.ok(isCalled)
  const { user } = await signingIn
  assert.equal(user.address, address)
})

test('sign-ins at the same time share one attempt', async t => {
  openPage(t)
  const { client, browser } = open(t)
  const wallet = createWallet()
  const [a, b] = await Promise.all([client.signIn(wallet), client.signIn(wallet)])
  assert.equal(a, b)
  assert.deepEqual([wallet.signed.length, browser.count('POST /auth/login')], [1, 1])
  const signer = { address: wallet.address, chainId: 1 }
  await Promise.all([1, 2].map(() => client.signIn({ ...signer, sign: message => wallet.sign(message) })))
  assert.equal(wallet.signed.length, 2)
})

test('a wallet on a chain that is not accepted signs for one that is', async t => {
  openPage(t)
  const wallet = createWallet()
  wallet.chainId = 137
  const { client } = await signedIn(t, { wallet })
  assert.equal(client.getSnapshot().session.chainId, 1)
  wallet.chainId = 8453
  await client.signIn(wallet)
  assert.equal(client.getSnapshot().session.chainId, 8453)
})

for (const [name, isBlocked] of [
  ['the cookies of a login', path => path === '/auth/login'],
  ['any cookie', () => true],
]) {
  test(`a sign-in in a browser that does not keep ${name} is cookies_blocked`, async t => {
    openPage(t)
    const { client, browser } = open(t)
    browser.isBlocked = isBlocked
    const wallet = createWallet()
    await assert.rejects(client.signIn(wallet), error => {
      assert.ok(error instanceof LatchkeyError)
      assert.equal(error.code, 'cookies_blocked')
      assert.match(error.detail, /one domain.*frame.*private window/)
      return true
    })
    assert.notEqual(client.getSnapshot().status, 'signedIn')
    browser.isBlocked = () => false
    assert.equal((await client.signIn(wallet)).user.address, wallet.address)
  })
}

test('a new sign-in ends the session of the tab, also that of another account', async t => {
  openPage(t)
  for (const transport of ['cookie', 'bearer']) {
    const { client, wallet } = await signedIn(t, { transport })
    const first = client.getSnapshot().session.id
    await client.signIn(wallet)
    assert.deepEqual((await client.sessions()).sessions.map(s => s.current), [true], transport)
    await client.signIn(createWallet())
    const { client: other } = await signedIn(t, { transport, wallet })
    const { sessions } = await other.sessions()
    assert.deepEqual([sessions.length, sessions[0].id === first], [1, false], transport)
  }
})

test('a failed sign-in says so, with the id of the request', async t => {
  openPage(t)
  const { client } = open(t)
  const { address } = createWallet()
  const stranger = createWallet()
  await assert.rejects(client.signIn({ address, chainId: 1, sign: stranger.sign }), error => {
    assert.deepEqual([error.name, error.code, error.status], ['LatchkeyError', 'login_failed', 401])
    assert.ok(error.requestId)
    return true
  })
})

test('bearer tokens that tabs share through a store', async t => {
  openPage(t)
  const values = new Map()
  const storage = {
    get: async key => values.get(key), set: async (key, value) => { values.set(key, value) },
    remove: async key => { values.delete(key) },
  }
  const options = { at: short, transport: 'bearer', storage }
  const { client, browser } = await signedIn(t, options)
  assert.deepEqual([...values.keys()], [`latchkey:${short.url}`])
  const { client: other } = open(t, { ...options, browser })
  await reach(other, 'signedIn')
  await expiry()
  await client.fetch('/api/profile')
  const refreshes = browser.count('POST /auth/refresh')
  assert.equal((await other.fetch('/api/profile')).status, 200)
  assert.equal(browser.count('POST /auth/refresh'), refreshes, 'the other tab found the successor in the store')
  await client.signOut()
  assert.equal(values.size, 0)
  await reach(other, 'signedOut')
})

test('a device id goes with every request', async t => {
  openPage(t)
  const { client, browser } = open(t, { deviceId: 'device-1' })
  const without = []
  browser.intercept = request => { if (request.headers.get('x-device-id') !== 'device-1') without.push(request.url) }
  await client.signIn(createWallet())
  await client.fetch('/api/profile')
  await client.signOut()
  assert.deepEqual(without, [])
})
