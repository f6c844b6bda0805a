// What the tests share: pages, wallets without keys, and a fake API.

/** Is the origin of the pages in the tests. */
export const PAGE = 'http://localhost:5173'

/** Is an injected wallet, as an EIP-1193 provider. */
export function createProvider(address = USER.address, signMessage = async () => '0x00') {
  const listeners = new Set() // to accountsChanged
  const others = new Set()
  const wallet = {
    address,
    chainId: 1,
    signed: [],
    rejects: false,
    calls: [],
    async request({ method, params }) {
      wallet.calls.push(method)
      if (method === 'eth_requestAccounts') return [address]
      if (method === 'eth_chainId') return '0x' + wallet.chainId.toString(16)
      if (method !== 'personal_sign') throw new Error(method)
      if (wallet.rejects) throw Object.assign(new Error('rejected'), { code: 4001 })
      return wallet.sign(Buffer.from(params[0].slice(2), 'hex').toString())
    },
    sign(message) {
      wallet.signed.push(message)
      return signMessage(message)
    },
    on(event, listener) { (event === 'accountsChanged' ? listeners : others).add(listener) },
    removeListener(event, listener) { listeners.delete(listener) },
    listeners,
    switchTo(accounts) { for (const listener of listeners) listener(accounts) },
    switchChain(id) { for (const listener of others) listener(id) },
  }
  return wallet
}

/** Makes this process look like a page, until the test ends. */
export function openPage(t) {
  const events = new EventTarget()
  const names = {
    location: { href: PAGE + '/' },
    addEventListener: events.addEventListener.bind(events),
    removeEventListener: events.removeEventListener.bind(events),
    dispatchEvent: events.dispatchEvent.bind(events),
  }
  for (const [name, value] of Object.entries(names)) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true })
  }
  t.after(() => { for (const name of Object.keys(names)) delete globalThis[name] })
  return {
    emit: (name, members = {}) => events.dispatchEvent(Object.assign(new Event(name), members)),
  }
}

/** Waits until a client is in a state. */
export function reach(client, status) {
  return new Promise((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error(
      `waiting for ${status}, the state is ${JSON.stringify(client.getSnapshot())}`)), 5000)
    const check = () => {
      if (client.getSnapshot().status !== status) return
      clearTimeout(timeout)
      queueMicrotask(() => stop())
      resolve(client.getSnapshot())
    }
    const stop = client.subscribe(check)
    check()
  })
}

/** Lets everything that is due happen, without any clock. */
export async function settle() {
  for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve))
}

export const USER = {
  id: 'u1', address: '0x00000000000000000000000000000000000000A1', roles: ['user'], permissions: [],
}

/**
 * Answers like the API, from a table of functions by method and path. With
 * cookies it leaves out the tokens.
 */
export function createFakeAPI(isBearer, routes) {
  const fake = {
    requests: [],
    routes,
    async fetch(input, init) {
      const request = new Request(input, init)
      const { pathname } = new URL(request.url)
      const name = `${request.method} ${pathname}`
      fake.requests.push({ name, request, body: await request.clone().text() })
      if (fake.requests.length > 100) throw new Error('the client repeats without end')
      const route = fake.routes[name]
      if (!route) return problem(404, 'not_found')
      const answered = await route(request)
      if (isBearer || !answered.ok || answered.status === 204) return answered
      const { accessToken, refreshToken, ...body } = await answered.json()
      return answer(body)
    },
    count: name => fake.requests.filter(request => request.name === name).length,
  }
  return fake
}

export const answer = (body, init) => Response.json(body, init)

export const problem = (status, code, more = {}, headers = {}) =>
  Response.json({ type: 'about:blank', status, code, ...more },
    { status, headers: { 'content-type': 'application/problem+json', ...headers } })

let drawn = 0

/** Is what a refresh answers. */
export const grant = (more = {}) => ({
  tokenType: 'Bearer', accessToken: `lka_${++drawn}`, refreshToken: `lkr_${drawn}`,
  expiresIn: 900, refreshExpiresIn: 1800, session: { id: 's1', n: drawn }, ...more,
})

/** A login's, with bearer. */
export const login = () => grant({ user: USER })
