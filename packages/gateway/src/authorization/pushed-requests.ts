import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { changeRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'

/** An authorization request that its client pushed (RFC 9126), as it stands sealed in its `request_uri`. */
interface PushedRequest {
  id: string
  clientId: string
  /** The parameters as a query string. */
  query: string
  /** Until when it can begin a transaction, in milliseconds since the epoch. */
  expiresAt: number
}

/** What is stored of a pushed request, once there is something to remember. */
interface UsedRequest {
  v: 1
  /** The one transaction that got a code by it, or was denied. */
  usedBy: string
}

/** A pushed request that was found. */
export interface FoundRequest {
  id: string
  query: string
}

type PushedDeps = Pick<Deps, 'store' | 'clock' | 'random' | 'keys'>

/** How long a `request_uri` can be used. */
export const pushedSeconds = 120
// Beyond that, for as long as the longest transaction that began with it can take: three legs of ten minutes, and some.
const keptMs = 2_400_000
const prefix = 'urn:ietf:params:oauth:request_uri:'
const sealedName = 'pushed request'
// Sealed it becomes a third longer, and has to fit into a URL that servers and proxies take.
const longestQuery = 6_000

/**
 * Puts a request into a `request_uri`: all of it, sealed, with 256 random bits (RFC 9126 §2.2). A public client proves nothing here, so what it pushes is not stored before
 * someone has decided (docs/decisions/0007-requests-in-the-url.md).
 *
 * @throws OAuthError `invalid_request` for one that is too long
 */
export function sealPushed(deps: PushedDeps, clientId: string, query: string): string {
  if (query.length > longestQuery) throw new OAuthError('invalid_request', `The request is longer than ${longestQuery} characters.`)
  const pushed: PushedRequest = { id: deps.random(32), clientId, query, expiresAt: deps.clock() + pushedSeconds * 1000 }
  return prefix + deps.keys.seal(JSON.stringify(pushed), sealedName)
}

/**
 * The request that a `request_uri` names. Reading uses nothing up: some clients fetch their authorize URL once themselves before the browser does (clients.md line 15), and people
 * reload. RFC 9126 §4 allows that; a code is given once (see {@link usePushed}).
 *
 * @returns undefined for a URI that is not of our making
 * @throws OAuthError `invalid_request_uri` for one that is over, used, or of another client (§2.2: it is bound to the client that pushed it)
 */
export async function findPushed(deps: PushedDeps, requestUri: string, clientId: string): Promise<FoundRequest | undefined> {
  if (!requestUri.startsWith(prefix)) return undefined
  const opened = deps.keys.open(requestUri.slice(prefix.length), sealedName)
  const pushed = opened === undefined ? undefined : (JSON.parse(opened) as PushedRequest)
  if (!pushed || pushed.clientId !== clientId || pushed.expiresAt <= deps.clock()) throw requestIsOver()
  if (await readRecord<UsedRequest>(deps.store, 'pushed', recordKey('pushed', pushed.id))) throw requestIsOver()
  return { id: pushed.id, query: pushed.query }
}

/**
 * Uses a pushed request up: of any number of transactions that began with it, one gets a code (RFC 9126 §7.3), and that as often as it asks.
 *
 * @returns whether it was this one
 */
export function usePushed(deps: PushedDeps, id: string, transaction: string): Promise<boolean> {
  return changeRecord<UsedRequest, boolean>(deps.store, 'pushed', recordKey('pushed', id), (used) => {
    if (used) return { do: 'keep', answer: used.usedBy === transaction }
    return { do: 'write', next: { v: 1, usedBy: transaction }, ttlMs: keptMs, answer: true }
  })
}

/** What is said of a pushed request that cannot be used (any more). */
export function requestIsOver(): OAuthError {
  return new OAuthError('invalid_request_uri', 'This request is over: it was answered, or it was not opened in time.')
}
