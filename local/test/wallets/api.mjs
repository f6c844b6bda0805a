// A client of the API, and the story that every wallet can tell.
import assert from 'node:assert/strict'
import { require } from './packages.mjs'
import { chain } from './chain.mjs'

const { createSiweMessage } = require('viem/siwe')

const api = process.env.API

export const transports = ['cookie', 'bearer']

// A wallet has an address and signs messages: {address, sign(message)}.
export class Client {
  cookies = new Map()
  tokens = {}

  constructor(transport) {
    this.transport = transport
  }

  async send(method, path, body) {
    const headers = { 'user-agent': 'viem', origin: api }
    if (body) headers['content-type'] = 'application/json'
    if (this.tokens.accessToken) headers.authorization = 'Bearer ' + this.tokens.accessToken
    if (this.cookies.size > 0) headers.cookie = [...this.cookies].map((c) => c.join('=')).join('; ')
    const response = await fetch(api + path, { method, headers, body: body && JSON.stringify(body) })
    for (const line of response.headers.getSetCookie()) this.keep(line)
    const text = await response.text()
    const answer = { status: response.status, ...(text && JSON.parse(text)) }
    if (answer.accessToken) this.tokens = answer
    return answer
  }

  keep(line) {
    const [name, value] = line.split(';')[0].split('=')
    if (value && !/max-age=0/i.test(line)) this.cookies.set(name, value)
    else this.cookies.delete(name)
  }

  // message returns a message of an account, with a nonce for a purpose.
  async message(address, purpose) {
    const terms = await this.send('GET', `/auth/nonce?transport=${this.transport}&purpose=${purpose}`)
    assert.equal(terms.status, 200)
    const { nonce, domain, uri, version, statement } = terms
    return createSiweMessage({ nonce, domain, uri, version, statement, address, chainId: chain.id, issuedAt: new Date() })
  }

  async login(wallet, change = (signature) => signature) {
    const message = await this.message(wallet.address, 'login')
    const signature = change(await wallet.sign(message))
    return this.send('POST', '/auth/login', { message, signature, transport: this.transport })
  }

  async stepUp(wallet) {
    const message = await this.message(wallet.address, 'step_up')
    return this.send('POST', '/auth/step-up', { message, signature: await wallet.sign(message) })
  }

  refresh() {
    const { refreshToken } = this.tokens
    return this.send('POST', '/auth/refresh', refreshToken && { refreshToken })
  }

  // signsIn is a login that must succeed. It returns the user.
  async signsIn(wallet, kind) {
    const answer = await this.login(wallet)
    assert.equal(answer.status, 200, JSON.stringify(answer))
    const { address } = wallet
    assert.equal(answer.user.wallet, kind)
    assert.equal(answer.user.account, kind === 'eoa' ? address : `eip155:${chain.id}:${address}`)
    assert.equal(answer.session.transport, this.transport)
    return answer.user
  }
}

// refused fails unless an answer is that of every failed login.
export function refused(answer) {
  assert.equal(answer.status, 401, JSON.stringify(answer))
  assert.equal(answer.code, 'login_failed')
}

// lives signs a wallet in, and uses its session until the logout. It returns
// the user's id.
export async function lives(transport, wallet, kind) {
  const client = new Client(transport)
  const user = await client.signsIn(wallet, kind)
  assert.equal((await client.send('GET', '/api/profile')).user.account, user.account)
  assert.equal((await client.refresh()).status, 200)
  const raised = await client.stepUp(wallet)
  assert.equal(raised.status, 200, JSON.stringify(raised))
  const { sessions } = await client.send('GET', '/api/sessions')
  assert.equal(sessions.filter((s) => s.current && s.id === raised.session.id).length, 1)
  const before = { ...client, cookies: new Map(client.cookies) }
  assert.equal((await client.send('POST', '/auth/logout')).status, 204)
  const after = await Object.assign(new Client(transport), before).send('GET', '/api/profile')
  assert.deepEqual([after.status, after.code, after.reason], [401, 'session_ended', 'logged_out'])
  return user.id
}
