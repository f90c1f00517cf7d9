import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Deps } from '../deps.ts'
import { cookieName, readCookie, setCookie } from '../http/cookies.ts'
import { pendingSeconds } from './pending.ts'

/**
 * The two cookies of one authorization under way. `page` binds the consent page to the browser that began; `state` holds the downstream state, is set right before
 * the browser goes downstream and never earlier (AZ-10). Each carries the transaction in its name, so that several can be under way in one browser.
 */
export type TransactionCookie = 'page' | 'state'

type CookieDeps = Pick<Deps, 'config'>

function nameOf(deps: CookieDeps, kind: TransactionCookie, pendingId: string): string {
  return cookieName(deps.config, `emcy-${kind}-${pendingId.slice(0, 16)}`)
}

/** The value that this browser holds for one transaction. */
export function readTransactionCookie(deps: CookieDeps, req: IncomingMessage, kind: TransactionCookie, pendingId: string): string | undefined {
  return readCookie(req, nameOf(deps, kind, pendingId))
}

/** Gives this browser its value for one transaction, for as long as that may take. */
export function setTransactionCookie(deps: CookieDeps, res: ServerResponse, kind: TransactionCookie, pendingId: string, value: string): void {
  setCookie(res, { name: nameOf(deps, kind, pendingId), value, maxAgeSeconds: pendingSeconds, secure: !deps.config.loopback })
}

/** Takes it away again. */
export function clearTransactionCookie(deps: CookieDeps, res: ServerResponse, kind: TransactionCookie, pendingId: string): void {
  setCookie(res, { name: nameOf(deps, kind, pendingId), value: '', maxAgeSeconds: 0, secure: !deps.config.loopback })
}
