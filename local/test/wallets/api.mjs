// A client of the API, and the story that every wallet can tell.
import assert from 'node:assert/strict'
import { require } from './packages.mjs'
import { chain } from './chain.mjs'

const { privateKeyToAccount } = require('viem/accounts')
const { createSiweMessage } = require('viem/siwe')

const api = process.env.API

export const transports = ['cookie', 'bearer']

// A wallet has an address and signs messages: {address, sign(message)}.
// walletOf returns that of a key.
export const walletOf = (key) => ({ address: key.address, sign: (message) => key.signMessage({ message }) })

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

  // signsIn is a login that must succeed. It returns the answer.
  async signsIn(wallet, kind) {
    const answer = await this.login(wallet)
    assert.equal(answer.status, 200, JSON.stringify(answer))
    const { address } = wallet
    assert.equal(answer.user.wallet, kind)
    assert.equal(answer.user.account, kind === 'eoa' ? address : `eip155:${chain.id}:${address}`)
    assert.equal(answer.session.transport, this.transport)
    return answer
  }

  // copy returns another client with the same tokens.
  copy() {
    return Object.assign(new Client(this.transport), this, { cookies: new Map(this.cookies) })
  }

  // ends asserts that the session has ended, for a reason.
  async ends(reason) {
    const { status, code, reason: got } = await this.send('GET', '/api/profile')
    assert.deepEqual([status, code, got], [401, 'session_ended', reason])
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
  const { user } = await client.signsIn(wallet, kind)
  assert.equal((await client.send('GET', '/api/profile')).user.account, user.account)
  assert.equal((await client.refresh()).status, 200)
  const raised = await client.stepUp(wallet)
  assert.equal(raised.status, 200, JSON.stringify(raised))
  const { sessions } = await client.send('GET', '/api/sessions')
  assert.equal(sessions.filter((s) => s.current && s.id === raised.session.id).length, 1)
  const before = client.copy()
  assert.equal((await client.send('POST', '/auth/logout')).status, 204)
  await before.ends('logged_out')
  return user.id
}

// governed signs a wallet without sessions in until the session limit. Then an
// admin blocks it, and it erases itself. The limit is 3.
export async function governed(transport, wallet, kind) {
  const enter = async () => {
    const client = new Client(transport)
    return [client, await client.signsIn(wallet, kind)]
  }
  const [[first, login], , , [last, atLimit]] = [await enter(), await enter(), await enter(), await enter()]
  assert.deepEqual(atLimit.evicted, [login.session.id])
  await first.ends('evicted')

  const admin = new Client('bearer')
  await admin.signsIn(walletOf(privateKeyToAccount(process.env.ADMIN)), 'eoa')
  const path = `/api/admin/users/${login.user.account}`
  assert.equal((await admin.send('GET', path)).sessions.length, 3)
  assert.equal((await admin.send('POST', path + '/block')).status, 204)
  await last.ends('account_blocked')
  const blocked = await new Client(transport).login(wallet)
  assert.deepEqual([blocked.status, blocked.code], [403, 'account_blocked'])
  assert.equal((await admin.send('POST', path + '/unblock')).status, 204)

  const [erased] = await enter()
  const before = erased.copy()
  assert.equal((await erased.send('DELETE', '/api/profile')).status, 204)
  await before.ends('account_erased')
}
