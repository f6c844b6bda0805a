// The admin console. It signs in with bearer tokens that it keeps in memory, so
// no other page acts with its session.

import { createLatchkey } from './latchkey.js'

const status = document.querySelector('#status')
const list = document.querySelector('#wallets')

const latchkey = createLatchkey({ url: location.origin, transport: 'bearer' })

function show() {
  const { status: state, user } = latchkey.getSnapshot()
  status.textContent = state === 'signedIn' ? `Signed in as ${user.address}.` : 'Not signed in.'
}

latchkey.subscribe(show)
show()

latchkey.wallets(({ info, provider }) => {
  const button = document.createElement('button')
  button.textContent = `Sign in with ${info.name}`
  button.addEventListener('click', async () => {
    try {
      await latchkey.signIn(provider)
    } catch (error) {
      status.textContent = error.detail ?? error.message
    }
  })
  const item = document.createElement('li')
  item.append(button)
  list.append(item)
})
