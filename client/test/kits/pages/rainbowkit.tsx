// A page with RainbowKit, set up as its documentation and our README say.

import '@rainbow-me/rainbowkit/styles.css'
import {
  ConnectButton, RainbowKitAuthenticationProvider, RainbowKitProvider, getDefaultConfig,
} from '@rainbow-me/rainbowkit'
import { createLatchkey } from '@latchkey/client'
import { createRainbowKitAdapter, rainbowKitStatus } from '@latchkey/client/rainbowkit'
import { useLatchkey } from '@latchkey/client/react'
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { WagmiProvider, useAccount } from 'wagmi'
import { getAccount } from 'wagmi/actions'
import { mainnet, polygon } from 'wagmi/chains'

const url = new URLSearchParams(location.search).get('api')!
const latchkey = createLatchkey({ url })
const config = getDefaultConfig({ appName: 'Kits', projectId: 'kits', chains: [mainnet, polygon] })
const adapter = createRainbowKitAdapter(latchkey, () => getAccount(config))
const queryClient = new QueryClient()

function Page() {
  const snapshot = useLatchkey(latchkey)
  const status = rainbowKitStatus(snapshot, useAccount().address)
  const address = snapshot.status === 'signedIn' ? snapshot.user.address : ''
  return (
    <RainbowKitAuthenticationProvider adapter={adapter} status={status}>
      <RainbowKitProvider>
        <ConnectButton />
        <p id="state">{snapshot.status} {address}</p>
      </RainbowKitProvider>
    </RainbowKitAuthenticationProvider>
  )
}

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <WagmiProvider config={config}>
      <QueryClientProvider client={queryClient}>
        <Page />
      </QueryClientProvider>
    </WagmiProvider>
  </StrictMode>)
