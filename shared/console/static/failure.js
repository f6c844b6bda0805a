// Failures: what happened, and what to do.

import { button, element } from './dom.js'
import { permissionInWords, timeOfDay } from './words.js'

/**
 * An answer that is not a success, or none at all. Its code is that of the API,
 * or `network_error`.
 */
export class Failure extends Error {
  name = 'Failure'
  /**
   * @param {string} code
   * @param {number} status 0 without an answer
   * @param {{ detail?: string, requestId?: string, permission?: string, reason?: string,
   *   retryAt?: number, isWrite?: boolean }} [facts]
   */
  constructor(code, status, facts = {}) {
    super(facts.detail ?? code)
    this.code = code
    this.status = status
    this.facts = facts
  }
}

/**
 * Returns the failure that an answer stands for.
 *
 * @param {Response} answer
 * @param {boolean} isWrite
 */
export async function failureOf(answer, isWrite) {
  const problem = Object(await answer.json().catch(() => ({})))
  const seconds = parseInt(answer.headers.get('retry-after') ?? '')
  return new Failure(problem.code ?? `http_${answer.status}`, answer.status, {
    detail: problem.detail ?? problem.message,
    requestId: problem.requestId,
    reason: problem.reason,
    permission: problem.permission,
    isWrite,
    retryAt: seconds >= 0 ? Date.now() + seconds * 1000 : undefined,
  })
}

/**
 * Returns what happened, and what to do.
 *
 * @param {any} error
 * @returns {{ what: string, todo: string }}
 */
export function inWords(error) {
  if (error?.code === 4001) {
    return { what: 'You declined in the wallet.', todo: 'Nothing has changed. Try again to sign.' }
  }
  const { code, status, detail } = error ?? {}
  const facts = error?.facts ?? error ?? {}
  const known = WORDS[code] ?? (status >= 500 ? WORDS.internal : undefined)
  if (known) return known(facts, detail ?? facts.detail)
  return {
    what: sentence(facts.detail ?? detail ?? error?.message ?? String(error)),
    todo: facts.requestId
      ? `If it happens again, report the request id ${facts.requestId}.`
      : 'Try again.',
  }
}

/** @param {string | undefined} text */
const sentence = text =>
  text ? text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? '' : '.') : ''

/** @type {Record<string, (facts: any, detail?: string) => { what: string, todo: string }>} */
const WORDS = {
  network_error: facts =>
    navigator.onLine
      ? {
          what: 'No answer came from the server.',
          todo: unknownOutcome(facts) + 'Check the network, and try again.',
        }
      : {
          what: 'This device is offline.',
          todo: unknownOutcome(facts) + 'Connect it, and try again.',
        },
  unavailable: facts => ({
    what: 'The server cannot reach Redis.',
    todo: unknownOutcome(facts) + `Try again${when(facts)}. If it lasts, follow the runbook.`,
  }),
  rate_limited: facts => ({
    what: 'Too many requests.',
    todo: `Nothing has changed. Try again${when(facts)}.`,
  }),
  http_429: facts => ({
    what: 'Too many requests.',
    todo: `Nothing has changed. Try again${when(facts)}.`,
  }),
  forbidden: ({ permission }, detail) =>
    permission && permission !== 'admin'
      ? {
          what: `Your account lacks the permission ${permission} (${permissionInWords(permission)}).`,
          todo: 'Nothing has changed. Ask an admin for a role that has it.',
        }
      : {
          what: sentence(detail ?? 'only admins may do this'),
          todo: 'Nothing has changed. Ask an account with the role admin.',
        },
  invalid_request: (_, detail) => notValid(detail),
  http_400: () => notValid(),
  step_up_required: () => ({
    what: 'This needs a fresh signature, and you did not sign.',
    todo: 'Nothing has changed. Try again, and sign in your wallet.',
  }),
  session_ended: () => ({ what: 'Your session has ended.', todo: 'Sign in again.' }),
  invalid_token: () => ({
    what: 'The server no longer knows your session.',
    todo: 'Sign in again.',
  }),
  no_credentials: () => ({ what: 'You are signed out.', todo: 'Sign in again.' }),
  account_blocked: () => ({
    what: 'Your account is blocked.',
    todo: 'Ask another admin to unblock it.',
  }),
  session_limit: () => ({
    what: 'Your account is at its session limit.',
    todo: 'End another session, or wait for a timeout.',
  }),
  login_failed: (_, detail) => ({
    what: sentence(detail ?? 'the sign-in was not accepted'),
    todo: 'Try again: it takes a new message.',
  }),
  origin_not_allowed: () => ({
    what: 'The server does not let this page sign in.',
    todo: 'Its host must be in SIWE_DOMAINS, and its origin in ALLOWED_ORIGINS.',
  }),
  not_found: () => ({
    what: 'There is no such session or account.',
    todo: 'It may have ended. Reload.',
  }),
  conflict: (_, detail) => ({
    what: sentence(detail ?? 'the server refuses this'),
    todo: 'Nothing has changed.',
  }),
  internal: ({ requestId }) => ({
    what: 'The server has a defect.',
    todo: `Report the request id ${requestId ?? 'of its log'}.`,
  }),
}

/** @param {string} [detail] */
const notValid = (detail = 'the request is not valid') => ({
  what: sentence(detail),
  todo: 'Nothing has changed. Correct what was typed.',
})

/** @param {{ isWrite?: boolean }} facts */
const unknownOutcome = ({ isWrite }) =>
  isWrite ? 'It is unknown whether the change was made: reload to see. ' : ''

/** @param {{ retryAt?: number }} facts */
const when = ({ retryAt }) => (retryAt ? ` at ${timeOfDay(retryAt)}` : '')

/**
 * Makes a notice of a failure. A screen reader reads it at once.
 *
 * @param {any} error
 * @param {() => unknown} [again]
 */
export function failureNotice(error, again) {
  const { what, todo } = inWords(error)
  return element(
    'div',
    { className: 'notice bad', role: 'alert' },
    element('p', {}, element('strong', {}, what), ' ', todo),
    again && error?.status !== 400 && button('Try again', 'secondary', again)
  )
}
