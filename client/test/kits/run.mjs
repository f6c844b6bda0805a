// Drives the real RainbowKit and AppKit with the adapters, in Chromium, against
// the local server. It installs the kits into build/kits, prints each step as it
// passes and then the versions, and ends at the first failure, with a picture.
//
// `npm run kits` in client runs it, after `npm ci`. Names after it choose kits:
// `npm run kits appkit`. Go is needed, and chromium in PATH.

import { startServer } from '../harness.js'
import * as appkit from './appkit.mjs'
import {
  buildPages, buildServer, folder, importKit, install, servePages, versions,
} from './prepare.mjs'
import * as rainbowkit from './rainbowkit.mjs'
import { launch, openTab } from './tab.mjs'

const kits = { rainbowkit, appkit }

/** Goes through the stories of a kit, in one tab and in their order. */
async function tell(browser, name, page, api) {
  const tab = await openTab(browser, page, api)
  for (const [story, run] of Object.entries(kits[name].stories(tab))) {
    try {
      await run()
    } catch (error) {
      const path = `${folder}${name}.png`
      await tab.page.screenshot({ path })
      console.error(tab.log.slice(-20).join('\n'))
      throw new Error(`${name}: ${story}; see ${path}`, { cause: error })
    }
    console.log(`ok ${name}: ${story}`)
  }
  await tab.close()
}

/** @param {string[]} chosen names of kits; none for all */
async function main(chosen) {
  install()
  await buildPages()
  process.env.LATCHKEY_SERVER = buildServer()
  const stops = []
  try {
    // Without SIWE_DOMAINS any page on localhost may sign in.
    const server = await startServer({ SIWE_DOMAINS: '' })
    stops.push(server.stop)
    const pages = await servePages()
    stops.push(pages.close)
    const browser = await launch(await importKit('puppeteer-core'))
    stops.push(() => browser.close())
    for (const name of chosen.length ? chosen : Object.keys(kits)) {
      await tell(browser, name, `${pages.url}/${name}.html`, server.url)
    }
  } finally {
    for (const stop of stops.reverse()) await stop()
  }
  console.log(versions().join('\n'))
}

await main(process.argv.slice(2))
