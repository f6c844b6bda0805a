// A wallet for the pages. Its keys and its state are in this process, so it
// outlives a reload; the page has a provider that announces itself by EIP-6963.

import { hexToString } from 'viem'
import { generatePrivateKey, privateKeyToAccount } from 'viem/accounts'

const INFO = {
  uuid: '6e1a2f5c-9f53-4c58-9c0e-0a8c7d4f1b11', name: 'Test Wallet', rdns: 'test.wallet',
  icon: 'data:image/svg+xml,<svg xmlns="http://www.w3.org/2000/svg"/>',
}

/** Runs in the page, before its scripts. */
function inject(info) {
  const listeners = new Map()
  const of = event => listeners.get(event) ?? listeners.set(event, new Set()).get(event)
  const provider = {
    async request({ method, params = [] }) {
      const { result, error } = await globalThis.requestOfWallet(method, params)
      if (error) throw Object.assign(new Error(error.message), error)
      return result
    },
    on(event, listener) { of(event).add(listener) },
    removeListener(event, listener) { of(event).delete(listener) },
  }
  globalThis.emitOfWallet = (event, value) => of(event).forEach(listener => listener(value))
  const announce = () => dispatchEvent(
    new CustomEvent('eip6963:announceProvider', { detail: Object.freeze({ info, provider }) }))
  addEventListener('eip6963:requestProvider', announce)
  announce()
}

/** Is how a wallet signs if its user rejects that. */
export function reject() {
  throw Object.assign(new Error('User rejected the request.'), { code: 4001 })
}

/** Makes a wallet with two accounts, and injects it into a page. */
export async function createWallet(page) {
  const accounts = [generatePrivateKey(), generatePrivateKey()].map(privateKeyToAccount)
  let account = accounts[0]
  let chainId = '0x1'
  let isConnected = false
  let signer
  const ownSign = message => account.signMessage({ message })
  const emit = (event, value) => page.evaluate((...args) => globalThis.emitOfWallet(...args), event, value)

  const wallet = {
    /** Is the message of each signature. */
    signed: [],
    /**
     * Has something else than the account sign, once. It returns once that was
     * asked for a signature.
     */
    signOnceBy: sign => new Promise(resolve => {
      signer = message => {
        signer = undefined
        resolve()
        return sign(message)
      }
    }),
    get address() { return account.address },
    get chainId() { return Number(chainId) },
    async switchAccount() {
      account = accounts[(accounts.indexOf(account) + 1) % accounts.length]
      await emit('accountsChanged', [account.address])
    },
  }

  const connect = () => {
    isConnected = true
    return [account.address]
  }
  const methods = {
    eth_requestAccounts: connect,
    eth_accounts: () => isConnected ? [account.address] : [],
    eth_chainId: () => chainId,
    wallet_requestPermissions: () => [{ parentCapability: 'eth_accounts', caveats: [
      { type: 'restrictReturnedAccounts', value: connect() }] }],
    wallet_revokePermissions() { isConnected = false; return null },
    wallet_switchEthereumChain([chain]) {
      chainId = chain.chainId
      emit('chainChanged', chainId)
      return null
    },
    async personal_sign([hex]) {
      const message = hexToString(hex)
      const signature = await (signer ?? ownSign)(message)
      wallet.signed.push(message)
      return signature
    },
  }
  await page.exposeFunction('requestOfWallet', async (method, params) => {
    try {
      const call = methods[method]
      if (!call) throw Object.assign(new Error(`${method} is not supported`), { code: 4200 })
      return { result: await call(params) }
    } catch ({ message, code = -32603 }) {
      return { error: { message, code } }
    }
  })
  await page.evaluateOnNewDocument(inject, INFO)
  return wallet
}
