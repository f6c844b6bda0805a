// RainbowKit's dialogue, as a person goes through it. Each step is a line of
// the script's output.

import assert from 'node:assert/strict'
import { createWallet } from '../harness.js'
import { reject } from './wallet.mjs'

const brief = address => `${address.slice(0, 4)}…${address.slice(-4)}`

/** @param {Awaited<ReturnType<import('./tab.mjs').openTab>>} tab */
export function stories(tab) {
  const { wallet } = tab

  async function connect() {
    await tab.click('Connect Wallet')
    await tab.click('Test Wallet')
    await tab.sees('Verify your account')
  }

  async function disconnect() {
    await tab.click(brief(wallet.address))
    await tab.click('Disconnect')
    await tab.sees('Connect Wallet')
  }

  /** Clicks the button that asks for a signature, and expects the session. */
  async function signMessage() {
    await tab.click('Sign message')
    await tab.isSignedIn()
    await tab.sees(brief(wallet.address))
    await tab.seesNot('Verify your account')
  }

  /** Clicks the same button, but the wallet's signature is another or fails. */
  async function signMessageBy(sign, text) {
    const asked = wallet.signOnceBy(sign)
    await tab.click('Sign message')
    await asked
    await tab.sees(text)
    await tab.sees('Sign message')
    await tab.isSignedOut()
  }

  return {
    async 'first try'() {
      await tab.isSignedOut()
      await connect()
      await tab.isSignedOut()
      await signMessage()
      assert.equal(wallet.signed.length, 1)
    },

    async 'reload: signed in without a signature'() {
      await tab.reload()
      await tab.isSignedIn()
      await tab.sees(brief(wallet.address))
      await tab.seesNot('Verify your account')
      assert.equal(wallet.signed.length, 1)
    },

    async 'another network: signed in without a signature'() {
      await tab.click('Ethereum')
      await tab.click('Polygon')
      await tab.seesNot('Switch Networks')
      assert.equal(wallet.chainId, 137)
      await tab.isSignedIn()
      assert.equal(wallet.signed.length, 1)
    },

    async 'sign-out by Disconnect'() {
      const code = await tab.keepCookies()
      await disconnect()
      await tab.isSignedOut()
      assert.equal(await code(), 'session_ended')
      await tab.reload()
      await tab.isSignedOut()
      await tab.sees('Connect Wallet')
    },

    async 'a rejected signature, and then another try, on a network that the server does not accept'() {
      await connect()
      await signMessageBy(reject, 'Sign message') // RainbowKit says nothing of a rejection
      await signMessage()
      await disconnect()
    },

    async 'a wallet that fails, and then another try'() {
      await connect()
      const fail = () => { throw new Error('the wallet is locked') }
      await signMessageBy(fail, 'Error signing message, please retry!')
      await signMessage()
      await disconnect()
    },

    async 'a signature that the server refuses, and then another try'() {
      await connect()
      await signMessageBy(createWallet().sign, 'Error verifying signature, please retry!')
      await signMessage()
    },

    async 'another account of the wallet: signed out, and the next sign-in works'() {
      const code = await tab.keepCookies()
      await wallet.switchAccount()
      await tab.isSignedOut()
      assert.equal(await code(), 'session_ended')
      await tab.click('Connect Wallet')
      await tab.sees('Verify your account')
      const before = wallet.signed.length
      await signMessage()
      assert.equal(wallet.signed.length, before + 1)
    },

    async 'another account while the page is closed: not signed in, and the next sign-in works'() {
      const former = wallet.address
      await tab.leave()
      await wallet.switchAccount()
      await tab.comeBack()
      await tab.isSignedIn(former)
      await tab.click('Connect Wallet')
      await tab.sees('Verify your account')
      const code = await tab.keepCookies()
      await signMessage()
      assert.equal(await code(), 'session_ended')
    },
  }
}
