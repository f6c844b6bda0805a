// A chain for one story: a client of its RPC, and what deploys contracts on it.
import { require } from './packages.mjs'

const { createPublicClient, createWalletClient, defineChain, http, parseEther } = require('viem')
const { generatePrivateKey, privateKeyToAccount } = require('viem/accounts')

const url = process.env.RPC

export const chain = defineChain({
  id: Number(process.env.CHAIN),
  name: 'test',
  nativeCurrency: { name: 'Ether', symbol: 'ETH', decimals: 18 },
  rpcUrls: { default: { http: [url] } },
})

export const reader = createPublicClient({ chain, transport: http(), cacheTime: 0 })

const walletOf = (account) => createWalletClient({ account, chain, transport: http() })

const rich = walletOf(privateKeyToAccount(process.env.RICH))

// newKey returns a new key's account.
export const newKey = () => privateKeyToAccount(generatePrivateKey())

// mined waits until a transaction is mined, and fails if it was reverted. A node
// has no receipt before, and go-ethereum fails while it indexes transactions.
export async function mined(hash) {
  for (let tries = 0; tries < 200; tries++) {
    const receipt = await reader.getTransactionReceipt({ hash }).catch(() => undefined)
    if (receipt?.status === 'success') return receipt
    if (receipt) throw new Error(`the transaction ${hash} was reverted`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`the transaction ${hash} is not mined`)
}

// pay sends a transaction by the account that has the ether.
export const pay = async (transaction) => mined(await rich.sendTransaction(transaction))

// funded returns a wallet of a new key that can pay for transactions.
export async function funded() {
  const account = newKey()
  await pay({ to: account.address, value: parseEther('1') })
  return walletOf(account)
}

// deploy deploys a contract, and returns its address.
export async function deploy({ abi, bytecode }, args) {
  const receipt = await mined(await rich.deployContract({ abi, bytecode, args }))
  return receipt.contractAddress
}

// read calls a view of a contract, and write sends a transaction to it.
export const read = (contract, functionName, args) => reader.readContract({ ...contract, functionName, args })
export const write = async (contract, functionName, args) => mined(await rich.writeContract({ ...contract, functionName, args }))
