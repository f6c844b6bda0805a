// AppKit's dialogue with SIWX, as a person goes through it.

import assert from 'node:assert/strict'
import { createWallet } from '../harness.js'
import { reject } from './wallet.mjs'

const brief = address => `${address.slice(0, 4)}...${address.slice(-6)}`
const DIALOGUE = 'Kits needs to connect to your wallet'

/** @param {Awaited<ReturnType<import('./tab.mjs').openTab>>} tab */
export function stories(tab) {
  const { wallet } = tab

  async function connect() {
    await tab.click('Connect Wallet')
    await tab.click('Test Wallet')
    await tab.sees(DIALOGUE)
  }

  async function disconnect() {
    await tab.click(brief(wallet.address))
    await tab.click('Disconnect')
    await tab.sees('Connect Wallet')
  }

  async function sign() {
    await tab.click('Sign')
    await tab.isSignedIn()
    await tab.seesNot(DIALOGUE)
    await tab.sees(brief(wallet.address))
  }

  async function signBy(signer) {
    const asked = wallet.signOnceBy(signer)
    await tab.click('Sign')
    await asked
    await tab.sees('Error signing message')
    await tab.sees(DIALOGUE)
    await tab.isSignedOut()
  }

  /** Waits until AppKit has asked for sessions on a chain, and counts them. */
  async function answerAbout(chainId) {
    const answer = await tab.page.waitForFunction(id => globalThis.answers[id]?.toString(), {}, chainId)
    return Number(await answer.jsonValue())
  }

  return {
    async 'first try'() {
      await tab.isSignedOut()
      await connect()
      await tab.isSignedOut()
      await sign()
      assert.equal(wallet.signed.length, 1)
    },

    async 'reload: signed in without a signature'() {
      await tab.reload()
      assert.equal(await answerAbout('eip155:1'), 1)
      await tab.isSignedIn()
      await tab.sees(brief(wallet.address))
      await tab.seesNot(DIALOGUE)
      assert.equal(wallet.signed.length, 1)
    },

    async 'another network: signed in without a signature'() {
      assert.deepEqual(await tab.page.evaluate(() => Object.keys(globalThis.answers)), ['eip155:1'])
      await tab.click('Ethereum')
      await tab.click('Polygon')
      assert.equal(await answerAbout('eip155:137'), 1)
      await tab.sees('Choose Network')
      await tab.page.keyboard.press('Escape')
      await tab.seesNot('Choose Network')
      await tab.seesNot(DIALOGUE)
      await tab.sees('Polygon')
      await tab.isSignedIn()
      assert.deepEqual([wallet.chainId, wallet.signed.length], [137, 1])
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

    async 'a rejected signature, and then another try'() {
      await connect()
      await signBy(reject)
      await sign()
      await disconnect()
    },

    async 'a signature that the server refuses, and then another try'() {
      await connect()
      await signBy(createWallet().sign)
      await sign()
    },

    async 'another account of the wallet: it must sign'() {
      await wallet.switchAccount()
      await tab.sees(DIALOGUE)
      await sign()
    },

    async 'another account while the page is closed: it must sign'() {
      const former = wallet.address
      await tab.leave()
      await wallet.switchAccount()
      await tab.comeBack()
      await tab.isSignedIn(former)
      await tab.sees(DIALOGUE)
      const code = await tab.keepCookies()
      await sign()
      assert.equal(await code(), 'session_ended')
    },

    async 'Cancel disconnects the wallet'() {
      await disconnect()
      await connect()
      await tab.click('Cancel')
      await tab.sees('Connect Wallet')
      await tab.isSignedOut()
    },
  }
}
