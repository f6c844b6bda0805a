// An account of a key signs in with viem.
import { Client, lives, refused, transports } from './api.mjs'
import { newKey } from './chain.mjs'

for (const transport of transports) {
  const key = newKey()
  const wallet = { address: key.address, sign: (message) => key.signMessage({ message }) }
  await lives(transport, wallet, 'eoa')
  refused(await new Client(transport).login({ address: newKey().address, sign: wallet.sign }))
}
