// The audit log: what admins did and looked at lately, and whom it was about.

import { accountLink, eventList, whenAndWhat } from './activity.js'
import { element } from './dom.js'
import { section } from './loading.js'
import { isLook } from './words.js'

/** @type {import('./app.js').Screen} */
export function auditScreen(app) {
  const list = eventList(
    app,
    'What admins did, newest first',
    {},
    [{ name: 'What' }, { name: 'When' }, { name: 'By' }, { name: 'About' }],
    event => [
      ...whenAndWhat(event),
      accountLink(event.actor, event.actorId),
      accountLink(event.account, event.userId),
    ],
    event => (isLook(event) ? 'look' : 'deed')
  )
  const box = element('input', { type: 'checkbox', id: 'deeds-only' })
  box.addEventListener('change', () => list.classList.toggle('deeds-only', box.checked))
  return element(
    'div',
    { className: 'stack', id: 'audit' },
    element('h1', {}, 'Audit log'),
    section(
      'What admins did lately',
      'deeds',
      element(
        'p',
        { className: 'hint' },
        'Newest first. The log of the server has every line, and keeps it for longer.'
      ),
      element('label', { className: 'box' }, box, 'Show changes alone, and not what was looked at'),
      list
    )
  )
}
