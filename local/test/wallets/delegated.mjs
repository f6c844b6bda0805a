// A key delegates its account to the code of Solady's account (EIP-7702). It
// signs in with its key and through its code, as two accounts.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { require } from './packages.mjs'
import { Client, governed, lives, refused, transports, walletOf } from './api.mjs'
import { deploy, funded, mined, newKey, reader } from './chain.mjs'

const { encodeFunctionData } = require('viem')
const { signMessage } = require('viem/experimental/erc7739')

const compiled = JSON.parse(readFileSync(process.env.COMPILED, 'utf8'))
const implementation = await deploy(compiled.Account, [])

// delegate sends the set-code transaction, which also names an owner.
async function delegate(wallet, owner) {
  const authorization = await wallet.signAuthorization({ contractAddress: implementation, executor: 'self' })
  const data = encodeFunctionData({ abi: compiled.Account.abi, functionName: 'initialize', args: [owner.address] })
  const hash = await wallet.sendTransaction({ authorizationList: [authorization], to: wallet.account.address, data })
  assert.equal((await mined(hash)).type, 'eip7702')
}

for (const transport of transports) {
  const wallet = await funded()
  const { address } = wallet.account
  const owner = newKey()
  const byKey = walletOf(wallet.account)
  const byCode = { address, sign: (message) => signMessage(reader, { account: owner, message, verifier: address }) }
  const before = await lives(transport, byKey, 'eoa')
  await delegate(wallet, owner)
  assert.equal(await reader.getCode({ address }), '0xef0100' + implementation.slice(2).toLowerCase())

  await governed(transport, byCode, 'contract')
  assert.equal(await lives(transport, byKey, 'eoa'), before)
  assert.notEqual(await lives(transport, byCode, 'contract'), before)
  refused(await new Client(transport).login({ address, sign: walletOf(owner).sign }))

  // A session of one is not confirmed as the other.
  const client = new Client(transport)
  await client.signsIn(byCode, 'contract')
  refused(await client.stepUp(byKey))
}
