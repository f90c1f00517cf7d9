import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { changeRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'

/** An authorization request that its client pushed (RFC 9126). */
interface PushedRequest {
  v: 1
  clientId: string
  /** The parameters as a query string. */
  query: string
  /** Until when it can begin a transaction, in milliseconds since the epoch. */
  expiresAt: number
  /** The one transaction that got a code by it, or was denied. */
  usedBy: string | undefined
}

/** A pushed request that was found. */
export interface FoundRequest {
  id: string
  query: string
}

type PushedDeps = Pick<Deps, 'store' | 'clock' | 'random'>

/** How long a `request_uri` can be used. */
export const pushedSeconds = 120
// Beyond that, for as long as the longest transaction that began with it can take: three legs of ten minutes, and some.
const keptMs = 2_400_000
const prefix = 'urn:ietf:params:oauth:request_uri:'

/**
 * Keeps a request.
 *
 * @returns its `request_uri`, which holds 256 random bits (RFC 9126 §2.2)
 */
export async function savePushed(deps: PushedDeps, clientId: string, query: string): Promise<string> {
  const id = deps.random(32)
  const record: PushedRequest = { v: 1, clientId, query, expiresAt: deps.clock() + pushedSeconds * 1000, usedBy: undefined }
  await deps.store.set(recordKey('pushed', id), JSON.stringify(record), keptMs)
  return prefix + id
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
  const id = requestUri.slice(prefix.length)
  const pushed = /^[\w-]{43}$/.test(id) ? (await readRecord<PushedRequest>(deps.store, 'pushed', recordKey('pushed', id)))?.value : undefined
  if (!pushed || pushed.clientId !== clientId || pushed.usedBy !== undefined || pushed.expiresAt <= deps.clock()) throw requestIsOver()
  return { id, query: pushed.query }
}

/**
 * Uses a pushed request up: of any number of transactions that began with it, one gets a code (RFC 9126 §7.3), and that as often as it asks.
 *
 * @returns whether it was this one
 */
export function usePushed(deps: PushedDeps, id: string, transaction: string): Promise<boolean> {
  return changeRecord<PushedRequest, boolean>(deps.store, 'pushed', recordKey('pushed', id), (current) => {
    if (!current || current.usedBy !== undefined) return { do: 'keep', answer: current?.usedBy === transaction }
    return { do: 'write', next: { ...current, usedBy: transaction }, ttlMs: keptMs, answer: true }
  })
}

/** What is said of a pushed request that cannot be used (any more). */
export function requestIsOver(): OAuthError {
  return new OAuthError('invalid_request_uri', 'This request is over: it was answered, or it was not opened in time.')
}
