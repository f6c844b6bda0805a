// A tab of Chromium, used as a person does: by what is visible.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createWallet } from './wallet.mjs'

/**
 * Returns what a request to outside is answered with. That is every one by
 * https. Nothing else leaves the machine, because Chromium resolves no name but
 * localhost. The kits ask
 *
 * - nodes of chains, for balances, names and blocks: all are zero.
 * - AppKit's services, for features, wallets, identities, prices, images and
 *   fonts, and to take its statistics: there are none.
 */
function answerOutside({ method, postData = '' }) {
  if (method !== 'POST' || !postData.includes('"jsonrpc"')) return { data: [], count: 0, features: [] }
  const calls = JSON.parse(postData)
  const reply = ({ id }) => ({ jsonrpc: '2.0', id, result: `0x${'0'.repeat(64)}` })
  return Array.isArray(calls) ? calls.map(reply) : reply(calls)
}

async function closeOutside(page) {
  const devtools = await page.createCDPSession()
  devtools.on('Fetch.requestPaused', ({ requestId, request }) => {
    const headers = {
      'access-control-allow-origin': '*', 'access-control-allow-headers': '*', 'content-type': 'application/json',
    }
    devtools.send('Fetch.fulfillRequest', {
      requestId,
      responseCode: 200,
      responseHeaders: Object.entries(headers).map(([name, value]) => ({ name, value })),
      body: Buffer.from(JSON.stringify(answerOutside(request))).toString('base64'),
    }).catch(() => {}) // the page is gone
  })
  await devtools.send('Fetch.enable', { patterns: [{ urlPattern: 'https://*' }] })
}

/**
 * Returns the first visible element that has a text of its own, also in shadow
 * trees. It runs in the page.
 */
function findShown(root, text) {
  const ownText = element => [...element.childNodes].filter(({ nodeType }) => nodeType === Node.TEXT_NODE)
    .map(({ data }) => data).join('').replace(/\s+/g, ' ').trim()
  const find = root => {
    for (const element of root.querySelectorAll('*')) {
      if (ownText(element) === text && element.checkVisibility()) return element
      const found = element.shadowRoot && find(element.shadowRoot)
      if (found) return found
    }
    return null
  }
  return find(root)
}

/** Starts Chromium. It resolves no name but localhost. */
export async function launch({ Puppeteer, launch }) {
  Puppeteer.registerCustomQueryHandler('shown', { queryOne: findShown })
  return launch({
    executablePath: execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim(),
    headless: true,
    args: ['--no-sandbox', '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost'],
  })
}

/** Opens a page in a browser of its own, with a wallet. */
export async function openTab(browser, url, api) {
  const context = await browser.createBrowserContext()
  const page = await context.newPage()
  page.setDefaultTimeout(60_000)
  const log = []
  page.on('console', message => log.push(message.text()))
  page.on('pageerror', error => log.push(String(error)))
  await closeOutside(page)
  const wallet = await createWallet(page)
  const open = () => page.goto(`${url}?api=${encodeURIComponent(api)}`)
  await open()

  const selector = text => `::-p-shown(${text})`
  /** Asks the server, with the cookies of the page. */
  const profile = () => page.evaluate(async api => {
    const answer = await fetch(`${api}/api/profile`, { credentials: 'include' })
    return { status: answer.status, ...await answer.json() }
  }, api)

  return {
    wallet,
    log,
    page,
    click: text => page.locator(selector(text)).click(),
    sees: text => page.waitForSelector(selector(text), { visible: true }),
    seesNot: text => page.waitForSelector(selector(text), { hidden: true }),
    reload: () => page.reload(),
    leave: () => page.goto('about:blank'),
    comeBack: open,
    /** Waits for the state that the page shows, and asks the server about it. */
    async isSignedIn(address = wallet.address) {
      await page.waitForSelector(`#state::-p-text(signedIn ${address})`)
      const { status, user } = await profile()
      assert.deepEqual([status, user?.address], [200, address])
    },
    async isSignedOut() {
      await page.waitForSelector('#state::-p-text(signedOut)')
      const { status } = await profile()
      assert.equal(status, 401)
    },
    /** Returns a function that asks the server what became of the session. */
    async keepCookies() {
      const cookies = await context.cookies()
      const cookie = cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
      return async () => (await (await fetch(`${api}/api/profile`, { headers: { cookie } })).json()).code
    },
    close: () => context.close(),
  }
}
