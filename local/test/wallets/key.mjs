// An account of a key signs in with viem.
import { Client, governed, lives, refused, transports, walletOf } from './api.mjs'
import { newKey } from './chain.mjs'

for (const transport of transports) {
  const wallet = walletOf(newKey())
  await governed(transport, wallet, 'eoa')
  await lives(transport, wallet, 'eoa')
  refused(await new Client(transport).login({ address: newKey().address, sign: wallet.sign }))
}
