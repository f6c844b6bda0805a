// Uses the types that openapi-typescript makes of docs/openapi.json, in
// api.d.ts. It is compiled, and does not run.

import type { Event, Offer, Session, ServerSession } from '@latchkey/client/types'
import type { components, operations, paths } from './api.js'

type Schemas = components['schemas']
type Answer<Id extends keyof operations> = operations[Id]['responses']

// What the document says of an answer is what the client's own types say.
export function own(
  nonce: Schemas['Nonce'] & { message: string }, session: Schemas['Session'], event: Schemas['Event'],
): [Offer, Session, Event] {
  return [nonce, session, event]
}
export const sessionOf = (who: Schemas['ActiveSession']): Pick<ServerSession, 'userId' | 'sessionId'> => who

export async function use(base: string): Promise<string> {
  const login: paths['/auth/login']['post']['requestBody']['content']['application/json'] =
    { message: 'm', signature: '0x', transport: 'bearer' }
  const answer = await fetch(`${base}/auth/login`, { method: 'POST', body: JSON.stringify(login) })
  if (answer.status === 403) {
    const { code }: Answer<'logIn'>[403]['content']['application/problem+json'] = await answer.json()
    switch (code) {
      case 'account_blocked': case 'session_limit': case 'origin_not_allowed': case 'edge_required': return code
      // @ts-expect-error: this status has no such code
      case 'login_failed': return code
    }
  }
  const grant: Answer<'logIn'>[200]['content']['application/json'] = await answer.json()
  const token: string | undefined = grant.accessToken
  // @ts-expect-error: with cookies there is none
  const always: string = grant.accessToken
  return grant.user.id + token + always
}

export function whoIs(answer: Answer<'validateSession'>[200]['content']['application/json']): string {
  return answer.active ? answer.userId : answer.problem.code
}

// @ts-expect-error: a roles body is a list
export const roles: Schemas['Roles'] = { roles: 'admin' }
// @ts-expect-error: there is no such route
export type None = paths['/api/none']
