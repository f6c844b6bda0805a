// The adapters, driven as their libraries drive them, against the local server.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createElement } from 'react'
import { renderToString } from 'react-dom/server'
import { createWalletClient, custom } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'
import { mainnet } from 'viem/chains'
import { createLatchkey } from '../latchkey.js'
import { createRainbowKitAdapter, rainbowKitStatus } from '../rainbowkit.js'
import { useLatchkey } from '../react.js'
import { createSIWX } from '../siwx.js'
import { signerOf } from '../viem.js'
import { createBrowser, createWallet, openPage, reach, startServer } from './harness.js'

let server

before(async () => { server = await startServer() }, { timeout: 600_000 })
after(() => server?.stop())

function open(t, browser = createBrowser()) {
  openPage(t)
  const client = createLatchkey({ url: server.url, fetch: browser.fetch })
  t.after(client.dispose)
  return { client, browser }
}

/** Clicks "Sign message" in RainbowKit's dialogue, as its SignIn does. */
async function click(adapter, wallet, nonce) {
  const message = await adapter.createMessage({ address: wallet.address, chainId: 1, nonce })
  if (wallet.rejects) return 'rejected'
  return adapter.verify({ message, signature: await wallet.sign(message) })
}

test('RainbowKit: the message is ready before the click', async t => {
  const { client, browser } = open(t)
  const wallet = createWallet()
  const adapter = createRainbowKitAdapter(client, () => ({ address: wallet.address, chainId: 1 }))
  const nonce = await adapter.getNonce()
  assert.equal(browser.count('GET /auth/nonce'), 1)
  assert.equal(await click(adapter, wallet, nonce), true)
  assert.match(wallet.signed[0], new RegExp(`Nonce: ${nonce}\n`))
  assert.equal(browser.count('GET /auth/nonce'), 1)
  assert.equal(rainbowKitStatus(client.getSnapshot()), 'authenticated')
})

test('RainbowKit: a rejected signature, a failed one, and then a good one', async t => {
  const { client, browser } = open(t)
  const wallet = createWallet()
  const stranger = createWallet()
  const adapter = createRainbowKitAdapter(client)
  const nonce = await adapter.getNonce() // once for all: RainbowKit does not ask again
  assert.ok(nonce)
  wallet.rejects = true
  assert.equal(await click(adapter, wallet, nonce), 'rejected')
  wallet.rejects = false
  const sign = wallet.sign
  wallet.sign = stranger.sign
  assert.equal(await click(adapter, wallet, nonce), false)
  const nonces = browser.count('GET /auth/nonce')
  wallet.sign = sign
  assert.equal(await click(adapter, wallet, nonce), true)
  assert.equal(browser.count('GET /auth/nonce'), nonces, 'the next message was ready before the click')
})

test('RainbowKit: nothing rejects while the server is away', async t => {
  const { client, browser } = open(t)
  const wallet = createWallet()
  const adapter = createRainbowKitAdapter(client, () => ({ address: wallet.address, chainId: 1 }))
  await click(adapter, wallet, await adapter.getNonce())
  browser.intercept = () => { throw new TypeError('fetch failed') }
  await adapter.signOut()
  assert.equal(rainbowKitStatus(client.getSnapshot()), 'authenticated', 'the session lives')
  assert.ok(await adapter.getNonce())
  assert.equal(await adapter.verify({ message: 'm', signature: '0x' }), false)
  browser.intercept = undefined
  await adapter.signOut()
  assert.equal(rainbowKitStatus(client.getSnapshot()), 'unauthenticated')
})

test('RainbowKit: status', () => {
  const user = { address: createWallet().address }
  assert.deepEqual(['loading', 'signedOut', 'signedIn'].map(status => rainbowKitStatus({ status, user })),
    ['loading', 'unauthenticated', 'authenticated'])
})

test('RainbowKit: another account of the wallet than the session is not authenticated', () => {
  const { address } = createWallet()
  const signedIn = { status: 'signedIn', user: { address } }
  for (const own of [address, address.toLowerCase(), undefined]) {
    assert.equal(rainbowKitStatus(signedIn, own), 'authenticated')
  }
  assert.equal(rainbowKitStatus(signedIn, createWallet().address), 'unauthenticated')
})

/** Signs in as AppKit's SIWXUtil.requestSignMessage does. */
async function requestSignMessage(siwx, wallet, chainId = 'eip155:1') {
  const siwxMessage = await siwx.createMessage({ chainId, accountAddress: wallet.address })
  const message = siwxMessage.toString()
  await siwx.addSession({ data: siwxMessage, message, signature: await wallet.sign(message) })
}

test('AppKit: sign in, switch the network, reload, sign out', async t => {
  const { client, browser } = open(t)
  const wallet = createWallet()
  const siwx = createSIWX(client)
  for (const address of [wallet.address, '']) {
    assert.deepEqual(await siwx.getSessions('eip155:1', address), [])
  }
  await requestSignMessage(siwx, wallet)
  for (const chainId of ['eip155:1', 'eip155:137']) {
    const [session] = await siwx.getSessions(chainId, wallet.address.toLowerCase())
    assert.deepEqual([session.data.accountAddress, session.data.chainId], [wallet.address, chainId])
  }
  assert.deepEqual(await siwx.getSessions('eip155:1', createWallet().address), [])

  const reloaded = createLatchkey({ url: server.url, fetch: browser.fetch })
  t.after(reloaded.dispose)
  assert.equal((await createSIWX(reloaded).getSessions('eip155:1', wallet.address)).length, 1)

  await siwx.setSessions([{ message: 'of WalletConnect' }])
  assert.equal(client.getSnapshot().status, 'signedIn')
  await siwx.setSessions([])
  assert.equal(client.getSnapshot().status, 'signedOut')
  assert.deepEqual(await siwx.getSessions('eip155:1', wallet.address), [])
})

test('AppKit: a failed signature, and then a good one; a wallet by email', async t => {
  const { client } = open(t)
  const wallet = createWallet()
  const siwx = createSIWX(client, { isRequired: false })
  assert.equal(siwx.getRequired(), false)
  const { sign } = createWallet()
  await assert.rejects(requestSignMessage(siwx, { ...wallet, sign }), { code: 'login_failed' })
  await requestSignMessage(siwx, wallet)
  await siwx.revokeSession('eip155:1', wallet.address)

  // AppKit fills in the address of such a wallet by itself.
  const unknown = await siwx.createMessage({ chainId: 'eip155:1', accountAddress: '<<AccountAddress>>' })
  const message = unknown.toString().replace('<<AccountAddress>>', wallet.address)
  await siwx.addSession({ message, signature: await wallet.sign(message) })
  assert.equal(client.getSnapshot().user.address, wallet.address)
})

test('viem: a wallet client signs', async t => {
  const { client } = open(t)
  const wallet = createWallet()
  const account = privateKeyToAccount(generatePrivateKey())
  const own = createWalletClient({ account, chain: mainnet, transport: custom(wallet) })
  assert.equal((await client.signIn(await signerOf(own))).user.address, account.address)
  wallet.request = (request => args =>
    args.method === 'eth_accounts' ? [wallet.address] : request(args))(wallet.request)
  const injected = createWalletClient({ transport: custom(wallet) })
  assert.equal((await client.signIn(await signerOf(injected))).user.address, wallet.address)
})

test('React: it renders the state, and loading on a server', async t => {
  const { client, browser } = open(t)
  const Status = () => createElement('p', null, useLatchkey(client).status)
  await client.signIn(createWallet())
  assert.equal(renderToString(createElement(Status)), '<p>loading</p>')
  await reach(client, 'signedIn')
  assert.ok(browser.log.length)
})
