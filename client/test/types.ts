// Uses every export of the package. It is compiled, and does not run.

import { createLatchkey, LatchkeyError } from '@latchkey/client'
import { createRainbowKitAdapter, rainbowKitStatus } from '@latchkey/client/rainbowkit'
import { useLatchkey } from '@latchkey/client/react'
import { latchkey as guardOf } from '@latchkey/client/server'
import { createSIWX } from '@latchkey/client/siwx'
import { openSocket } from '@latchkey/client/socket'
import type { Event, Grant, Guard, Latchkey, Offer, Rule, ServerSession, Session, Snapshot, Storage, Versioned } from '@latchkey/client/types'
import { signerOf } from '@latchkey/client/viem'

declare const ethereum: { request(call: { method: string, params?: unknown }): Promise<unknown> }

const storage: Storage = {
  get: key => localStorage.getItem(key),
  set: (key, value) => localStorage.setItem(key, value),
  remove: async key => localStorage.removeItem(key),
}

const latchkey: Latchkey = createLatchkey({
  url: 'https://api.example.com', transport: 'bearer', guarded: ['https://orders.example.com'],
  deviceId: 'd', deviceName: 'Phone', storage, fetch,
  onStepUp: async confirm => { await confirm() },
})

export async function signIn(): Promise<string> {
  const offer: Offer = await latchkey.prepare({ address: '0x', chainId: 1 })
  const grant: Grant = await latchkey.signIn(ethereum)
  await latchkey.signIn({ address: '0x', chainId: 1, sign: async message => message })
  await latchkey.signIn({ message: offer.message, signature: '0x' })
  await latchkey.signIn(await signerOf({
    getAddresses: async () => ['0x'], getChainId: async () => 1, signMessage: async ({ message }) => message,
  }))
  for (const { info, provider } of latchkey.wallets(wallet => wallet.info.rdns)) {
    latchkey.watch(provider)
    await latchkey.stepUp(provider)
    console.log(info.name)
  }
  await latchkey.signOut({ everywhere: true })
  await latchkey.signOut()
  return grant.session.id
}

export async function use(): Promise<void> {
  try {
    const answer: Response = await latchkey.fetch('/api/profile', { method: 'GET' })
    console.log(answer.ok)
  } catch (error) {
    if (!(error instanceof LatchkeyError)) throw error
    const { code, status, detail, requestId, reason, retry } = error
    const text: string = code + status.toFixed() + (detail ?? '') + (requestId ?? '') + (reason ?? '')
    const again: Grant | undefined = await retry?.()
    console.log(text, again)
  }
  const { sessions, limit, next } = await latchkey.sessions({ limit: 10 })
  const first: Session | undefined = sessions[0]
  if (first) await latchkey.endSession(first.id)
  const ended: number = await latchkey.endOtherSessions()
  const events: Event[] = (await latchkey.activity({ cursor: next })).events
  const preferences: Versioned = await latchkey.preferences.get()
  await latchkey.preferences.patch({ theme: null }, preferences.etag)
  const draft: Versioned | undefined = await latchkey.state.get('draft')
  const etag: string = await latchkey.state.set('draft', 1, { ttl: 60, ifMatch: draft?.etag })
  await latchkey.state.remove('draft', { ifMatch: etag })
  console.log((await latchkey.state.list()).used + limit + ended + events.length)
}

export async function listen(): Promise<void> {
  const socket: WebSocket = await openSocket(latchkey, 'wss://live.example.com', { protocols: ['chat'] })
  const again: WebSocket = await openSocket(latchkey, new URL('wss://live.example.com'))
  console.log(socket.protocol, again.readyState)
}

export function show(snapshot: Snapshot = latchkey.getSnapshot()): string {
  const stop: () => void = latchkey.subscribe(() => {})
  stop()
  latchkey.dispose()
  switch (snapshot.status) {
    case 'loading': return ''
    case 'signedOut': return snapshot.reason ?? ''
    case 'signedIn': return snapshot.otherAccount ?? snapshot.user.address + snapshot.session.id
  }
}

export function Status(): string {
  const status: 'loading' | 'authenticated' | 'unauthenticated' =
    rainbowKitStatus(useLatchkey(latchkey), '0x')
  return status
}

export const adapter = createRainbowKitAdapter(latchkey, () => ({ address: '0x', chainId: 1 }))
export const siwx = createSIWX(latchkey, { isRequired: false })

export async function serve(request: Request): Promise<Response> {
  const guard: Guard = guardOf({
    url: 'https://api.example.com', key: undefined, fetch, trustedAddressHeader: 'X-Real-IP',
    timeoutSeconds: 1, cacheSeconds: 5, log: message => console.log(message),
  })
  const rule: Rule = { permission: 'orders:read', fresh: true, touch: false }
  const { session, response } = await guard.requireSession(request, rule)
  if (response) return response
  const who: ServerSession = session
  console.log([guard.express(rule), guard.fastify(), guard.hono()].length)
  return new Response(who.userId + who.permissions.join())
}
