// An account of Solady signs in before it is deployed and afterwards.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { require } from './packages.mjs'
import { Client, governed, lives, refused, transports } from './api.mjs'
import { deploy, newKey, pay, reader } from './chain.mjs'

const { concat, pad } = require('viem')
const { toSoladySmartAccount } = require('viem/account-abstraction')
const { isErc6492Signature, parseErc6492Signature, serializeErc6492Signature } = require('viem/utils')

const compiled = JSON.parse(readFileSync(process.env.COMPILED, 'utf8'))
const implementation = await deploy(compiled.Account, [])
const factoryAddress = await deploy(compiled.Factory, [implementation])
const otherFactory = await deploy(compiled.Factory, [await deploy(compiled.Account, [])])

// newWallet returns the wallet of a new account, whose address depends on the
// owner. It must sign as one that is deployed, or as one that is not.
async function newWallet(owner, n) {
  const salt = concat([owner.address, pad(`0x${n}`, { size: 12 })])
  const account = await toSoladySmartAccount({ client: reader, factoryAddress, owner, salt })
  const wallet = { account, address: account.address, wrapped: true }
  wallet.sign = async (message) => {
    const signature = await account.signMessage({ message })
    assert.equal(isErc6492Signature(signature), wallet.wrapped)
    return signature
  }
  return wallet
}

// by wraps a signature for another factory.
const by = (address) => (wrapped) => {
  const { data, signature } = parseErc6492Signature(wrapped)
  return serializeErc6492Signature({ address, data, signature })
}

for (const [n, transport] of transports.entries()) {
  const owner = newKey()
  const wallet = await newWallet(owner, n)
  await governed(transport, wallet, 'contract')
  const id = await lives(transport, wallet, 'contract')
  assert.equal(await reader.getCode({ address: wallet.address }), undefined, 'the call must deploy nothing')
  refused(await new Client(transport).login(wallet, by(otherFactory)))
  refused(await new Client(transport).login(wallet, by(newKey().address)))
  refused(await new Client(transport).login(wallet, (wrapped) => parseErc6492Signature(wrapped).signature))
  const other = await newWallet(newKey(), n)
  refused(await new Client(transport).login({ address: wallet.address, sign: other.sign }))

  const { factory, factoryData } = await wallet.account.getFactoryArgs()
  const client = new Client(transport)
  await client.signsIn(wallet, 'contract')
  await pay({ to: factory, data: factoryData })
  assert.equal((await client.refresh()).status, 200, 'what was signed before is valid afterwards')
  wallet.wrapped = false
  assert.equal((await client.stepUp(wallet)).status, 200)
  assert.equal(await lives(transport, wallet, 'contract'), id)
}
