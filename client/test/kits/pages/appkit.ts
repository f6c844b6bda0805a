// A page with Reown AppKit, set up as its documentation and our README say.

import { createLatchkey } from '@latchkey/client'
import { createSIWX } from '@latchkey/client/siwx'
import { createAppKit } from '@reown/appkit'
import { WagmiAdapter } from '@reown/appkit-adapter-wagmi'
import { type AppKitNetwork, mainnet, polygon } from '@reown/appkit/networks'

const url = new URLSearchParams(location.search).get('api')!
const latchkey = createLatchkey({ url })
const projectId = 'kits'
const networks: [AppKitNetwork, ...AppKitNetwork[]] = [mainnet, polygon]
const siwx = createSIWX(latchkey)

// Holds how many sessions AppKit got when it asked for those on a chain, the
// last time. The test waits for that.
const answers: Record<string, number> = {}
Object.assign(globalThis, { answers })
const { getSessions } = siwx
siwx.getSessions = async (chainId, address) => {
  const sessions = await getSessions(chainId, address)
  answers[chainId] = sessions.length
  return sessions
}

createAppKit({
  siwx,
  adapters: [new WagmiAdapter({ projectId, networks })],
  networks,
  projectId,
  metadata: { name: 'Kits', description: 'A test', url: location.origin, icons: [] },
})

const root = document.getElementById('root')!
root.innerHTML = '<appkit-button></appkit-button><appkit-network-button></appkit-network-button><p id="state"></p>'
function render() {
  const snapshot = latchkey.getSnapshot()
  const address = snapshot.status === 'signedIn' ? snapshot.user.address : ''
  document.getElementById('state')!.textContent = `${snapshot.status} ${address}`
}
latchkey.subscribe(render)
render()
