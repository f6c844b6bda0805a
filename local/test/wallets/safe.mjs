// A Safe of two owners signs in: with their signatures, and by an approval on
// chain.
import assert from 'node:assert/strict'
import { require } from './packages.mjs'
import { Client, governed, lives, refused, transports } from './api.mjs'
import { chain, deploy, newKey, read, write } from './chain.mjs'

const { concat, encodeAbiParameters, encodeFunctionData, hashMessage, parseEventLogs, size, zeroAddress } = require('viem')

const artifact = (path) => require(`@safe-global/safe-smart-account/build/artifacts/contracts/${path}.json`)
const safeABI = artifact('Safe.sol/Safe').abi
const factoryOf = artifact('proxies/SafeProxyFactory.sol/SafeProxyFactory')
const approvals = artifact('libraries/SignMessageLib.sol/SignMessageLib')

const singleton = await deploy(artifact('Safe.sol/Safe'))
const handler = await deploy(artifact('handler/CompatibilityFallbackHandler.sol/CompatibilityFallbackHandler'))
const factory = { address: await deploy(factoryOf), abi: factoryOf.abi }
const library = await deploy(approvals)

// newSafe deploys a Safe of which a number of owners must sign.
async function newSafe(owners, threshold, salt) {
  const setup = encodeFunctionData({
    abi: safeABI, functionName: 'setup',
    args: [owners.map((o) => o.address), threshold, zeroAddress, '0x', handler, zeroAddress, 0, zeroAddress],
  })
  const { logs } = await write(factory, 'createProxyWithNonce', [singleton, setup, salt])
  const [{ args }] = parseEventLogs({ abi: factory.abi, eventName: 'ProxyCreation', logs })
  return { address: args.proxy, abi: safeABI }
}

// signedBy returns the signatures of owners, in the order of their addresses.
async function signedBy(owners, data) {
  const sorted = [...owners].sort((a, b) => (a.address.toLowerCase() < b.address.toLowerCase() ? -1 : 1))
  return concat(await Promise.all(sorted.map((o) => o.signTypedData(data))))
}

const domainOf = (safe) => ({ chainId: chain.id, verifyingContract: safe.address })
const encoded = (hash) => encodeAbiParameters([{ type: 'bytes32' }], [hash])

// messageOf is what owners of a Safe sign in the place of a message.
const messageOf = (safe, message) => ({
  domain: domainOf(safe), primaryType: 'SafeMessage',
  types: { SafeMessage: [{ name: 'message', type: 'bytes' }] },
  message: { message: encoded(hashMessage(message)) },
})

const fields = [['address', 'to'], ['uint256', 'value'], ['bytes', 'data'], ['uint8', 'operation'],
  ['uint256', 'safeTxGas'], ['uint256', 'baseGas'], ['uint256', 'gasPrice'], ['address', 'gasToken'],
  ['address', 'refundReceiver'], ['uint256', 'nonce']]
const SafeTx = fields.map(([type, name]) => ({ name, type }))

// execute lets a Safe send a call, which its owners have signed.
async function execute(safe, owners, to, data, operation) {
  const message = {
    to, value: 0n, data, operation, safeTxGas: 0n, baseGas: 0n, gasPrice: 0n,
    gasToken: zeroAddress, refundReceiver: zeroAddress, nonce: await read(safe, 'nonce', []),
  }
  const signatures = await signedBy(owners, { domain: domainOf(safe), types: { SafeTx }, primaryType: 'SafeTx', message })
  const args = fields.slice(0, -1).map(([, name]) => message[name])
  return write(safe, 'execTransaction', [...args, signatures])
}

const approve = (safe, owners, message) => execute(safe, owners, library, encodeFunctionData({
  abi: approvals.abi, functionName: 'signMessage', args: [encoded(hashMessage(message))],
}), 1)

// change changes the owners of a Safe, and changed asserts what that does to a
// session.
const change = (safe, owners, functionName, args) =>
  execute(safe, owners, safe.address, encodeFunctionData({ abi: safeABI, functionName, args }), 0)

async function changed(client) {
  const before = client.copy()
  for (const c of [client, before]) {
    const { status, code, reason } = await c.refresh()
    assert.deepEqual([status, code, reason], [401, 'session_ended', 'wallet_changed'])
  }
}

for (const [n, transport] of transports.entries()) {
  const owners = [newKey(), newKey()]
  const safe = await newSafe(owners, 2, BigInt(n))
  const wallet = { address: safe.address, sign: (message) => signedBy(owners, messageOf(safe, message)) }
  assert.equal(size(await wallet.sign('any')), 130)
  await governed(transport, wallet, 'contract')
  const id = await lives(transport, wallet, 'contract')

  // One owner is not enough, and neither are owners of another Safe.
  const alone = { address: safe.address, sign: (message) => signedBy(owners.slice(1), messageOf(safe, message)) }
  refused(await new Client(transport).login(alone))
  const other = await newSafe(owners, 2, 10n + BigInt(n))
  refused(await new Client(transport).login({ address: other.address, sign: wallet.sign }))

  // Approved on chain, the signature is empty. Not approved, it is refused.
  const empty = { address: safe.address, sign: async () => '0x' }
  refused(await new Client(transport).login(empty))
  const onChain = { address: safe.address, sign: async (message) => (await approve(safe, owners, message), '0x') }
  assert.equal(await lives(transport, onChain, 'contract'), id)

  // An owner is replaced: a signature of both ends with it, an approval does not.
  const [signed, approved] = [new Client(transport), new Client(transport)]
  await signed.signsIn(wallet, 'contract')
  await approved.signsIn(onChain, 'contract')
  const [first, second] = await read(safe, 'getOwners', [])
  const next = newKey()
  await change(safe, owners, 'swapOwner', [first, second, next.address])
  await changed(signed)
  assert.equal((await approved.refresh()).status, 200)
  refused(await new Client(transport).login(wallet))
  const remaining = [owners.find((o) => o.address === first), next]
  await lives(transport, { ...wallet, sign: (message) => signedBy(remaining, messageOf(safe, message)) }, 'contract')

  // One of two owners signs in, the other steps up, and the first is removed.
  const [old, stays] = owners
  const either = await newSafe(owners, 1, 20n + BigInt(n))
  const by = (owner) => ({ address: either.address, sign: (message) => signedBy([owner], messageOf(either, message)) })
  const [raised, left] = [new Client(transport), new Client(transport)]
  await raised.signsIn(by(old), 'contract')
  await left.signsIn(by(old), 'contract')
  assert.equal((await raised.stepUp(by(stays))).status, 200)
  await change(either, [stays], 'removeOwner', ['0x0000000000000000000000000000000000000001', old.address, 1])
  await changed(left)
  assert.equal((await raised.refresh()).status, 200)
  assert.equal((await raised.send('GET', '/api/profile')).status, 200)
}
