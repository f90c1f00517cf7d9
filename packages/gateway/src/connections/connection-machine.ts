import { sameFingerprint } from '../keys/fingerprint.ts'
import { clockSkewMs } from '../lib/clock-skew.ts'
import { sameResource } from '../lib/resource.ts'
import { type ScopeHierarchy, withIncluded } from '../lib/scope-hierarchy.ts'
import type { Change } from '../store/records.ts'
import type { AccessTokenEntry, Connection, RefreshFamily } from './connection.ts'

/*
 * The life of a connection, without I/O: each function is `(connection, event, now) → Change` and may run several times for one event. Hashes stand for
 * tokens; new tokens are made by the caller beforehand, of the generation after the one presented, and count only when the change is written.
 */

/** Tokens that an event may give out, with their sealed form for whoever asks again. */
export interface FreshTokens {
  accessHash: string
  refreshHash: string
  sealedAccess: string
  sealedRefresh: string
  /** Name of the key that signed them. */
  keyId: string
}

/** How long things live, in milliseconds. */
export interface Lifetimes {
  accessMs: number
  /** Idle life of a refresh token; each rotation starts it anew. */
  refreshMs: number
  /** How long a rotated refresh token still answers, whatever became of its successor. */
  graceMs: number
}

/** The key that a client has proved to hold beside its request (RFC 9449). */
export interface KeyProof {
  /** Its thumbprint; undefined: the request came without a proof. */
  jkt?: string | undefined
  /** Whether the refresh token is bound to it too: only where the client proves itself in no other way (RFC 9449 §5). */
  bindsRefresh?: boolean
}

/** A client exchanges an authorization code (RFC 6749 §4.1.3). */
export interface Redemption extends KeyProof {
  codeHash: string
  clientId: string
  /** S256 challenge of the verifier that came with the code. */
  challenge: string
  redirectUri: string | undefined
  resource: string | undefined
  fresh: FreshTokens
  lives: Lifetimes
}

/** A client presents a refresh token of ours (RFC 6749 §6). */
export interface Refreshment extends KeyProof {
  tokenHash: string
  generation: number
  clientId: string
  scopes: string[] | undefined
  /** Which scopes include which: a token may be narrowed to what is included. */
  hierarchy?: ScopeHierarchy
  resource: string | undefined
  fresh: FreshTokens
  lives: Lifetimes
}

/** An access token was used. */
export interface Use {
  tokenHash: string
}

/** Why an exchange is refused; the public words are found by it. */
export type RefusalReason =
  | 'no such connection'
  | 'unknown code'
  | 'code expired'
  | 'unknown refresh token'
  | 'refresh token expired'
  | 'other client'
  | 'other redirect_uri'
  | 'other resource'
  | 'wrong verifier'
  | 'scope not granted'
  | 'other key'

/** What an exchange comes to. */
export type ExchangeAnswer =
  | { is: 'issued'; connection: Connection; access: AccessTokenEntry; sealedAccess: string; sealedRefresh: string }
  | { is: 'refused'; error: 'invalid_grant' | 'invalid_scope' | 'invalid_target'; reason: RefusalReason }
  /** Proof that a code or token has two holders: the connection is over (TK-2, TK-7). */
  | { is: 'ended'; connection: Connection; reason: 'code used twice' | 'refresh token replayed' }

type Exchange = Change<Connection, ExchangeAnswer>

/** Most access tokens of one connection that live at a time. */
export const maxAccessTokens = 8
/** `lastUsedAt` is written at most this often. */
export const lastUsedStepMs = 3_600_000

/** Exchanges the code for the first tokens. Only a request that is right in everything consumes it; a second use of a used code ends the connection. */
export function redeem(connection: Connection | undefined, event: Redemption, now: number): Exchange {
  if (!connection) return refuse('no such connection')
  const { code, usedCodeHash } = connection
  if (usedCodeHash !== undefined && sameFingerprint(usedCodeHash, event.codeHash)) return end(connection, 'code used twice')
  if (!code || !sameFingerprint(code.hash, event.codeHash)) return refuse('unknown code')
  if (now >= code.expiresAt) return refuse('code expired')
  if (event.clientId !== connection.clientId) return refuse('other client')
  if (event.redirectUri !== undefined && event.redirectUri !== code.redirectUri) return refuse('other redirect_uri')
  if (!sameFingerprint(code.challenge, event.challenge)) return refuse('wrong verifier')
  if (code.jkt !== undefined && code.jkt !== event.jkt) return refuse('other key')
  if (isOtherResource(connection, event.resource)) return refuse('other resource', 'invalid_target')
  const { fresh, lives } = event
  const access = newEntry(event, 1, now)
  const bound = event.bindsRefresh ? keyOf(event.jkt) : {}
  const refresh: RefreshFamily = { hash: fresh.refreshHash, generation: 1, issuedAt: now, expiresAt: now + lives.refreshMs, used: false, ...bound }
  return issue({ ...connection, code: undefined, usedCodeHash: code.hash, lastUsedAt: now, refresh }, access, fresh, fresh.keyId, now)
}

/**
 * Answers a refresh token: the current one is rotated; the previous one gets the successor's tokens again, within the grace window whatever happened, and
 * after it as long as nobody used the successor (a lost response, not theft). Any other token of an earlier generation is a replay (TK-6, TK-7, TK-8).
 */
export function refresh(connection: Connection | undefined, event: Refreshment, now: number): Exchange {
  if (!connection) return refuse('no such connection')
  const family = connection.refresh
  if (!family) return refuse('unknown refresh token')
  if (event.clientId !== connection.clientId) return refuse('other client')
  const standing = standingOf(family, event, now)
  if (standing === 'unknown') return refuse('unknown refresh token')
  if (standing === 'replayed') return end(connection, 'refresh token replayed')
  if (now >= family.expiresAt) return refuse('refresh token expired')
  if (family.jkt !== undefined && family.jkt !== event.jkt) return refuse('other key')
  if (isOtherResource(connection, event.resource)) return refuse('other resource', 'invalid_target')
  const held = withIncluded(event.hierarchy ?? {}, connection.scopes)
  if (event.scopes?.some((scope) => !held.includes(scope))) return refuse('scope not granted', 'invalid_scope')
  return standing === 'current' ? rotate(connection, family, event, now) : repeat(connection, standing, event, now)
}

/** Records that an access token was used, and with it the refresh token it was given with; `lastUsedAt` follows hourly. Answers whether it had to. */
export function use(connection: Connection | undefined, event: Use, now: number): Change<Connection, boolean> {
  const entry = connection?.accessTokens.find(({ hash }) => sameFingerprint(hash, event.tokenHash))
  if (!connection || !entry) return { do: 'keep', answer: false }
  const family = connection.refresh
  const isFirstOfFamily = family !== undefined && family.generation === entry.generation && !family.used
  if (entry.used && !isFirstOfFamily && now - connection.lastUsedAt < lastUsedStepMs) return { do: 'keep', answer: false }
  const next: Connection = {
    ...connection,
    lastUsedAt: now,
    accessTokens: connection.accessTokens.map((other) => (other === entry ? { ...entry, used: true } : other)),
    refresh: family && isFirstOfFamily ? { ...family, used: true } : family,
  }
  return { do: 'write', next, ttlMs: ttlOf(next, now), answer: true }
}

/** How long the record is kept. */
export function ttlOf(connection: Connection, now: number): number {
  return Math.max(1, Math.ceil(connection.expiresAt - now))
}

type Standing = 'current' | NonNullable<RefreshFamily['previous']> | 'replayed' | 'unknown'

function standingOf(family: RefreshFamily, event: Refreshment, now: number): Standing {
  if (sameFingerprint(family.hash, event.tokenHash)) return 'current'
  const { previous } = family
  if (previous && sameFingerprint(previous.hash, event.tokenHash)) return now < previous.graceUntil || !family.used ? previous : 'replayed'
  // The caller has checked the MAC, so an older generation was given out by us. A newer one, which a store that lost writes can bring about, proves nothing.
  return event.generation < (previous?.generation ?? family.generation) ? 'replayed' : 'unknown'
}

function rotate(connection: Connection, family: RefreshFamily, event: Refreshment, now: number): Exchange {
  const { fresh, lives } = event
  const generation = family.generation + 1
  const access = newEntry(event, generation, now, narrowed(connection, event))
  const next: RefreshFamily = {
    hash: fresh.refreshHash,
    generation,
    issuedAt: now,
    expiresAt: now + lives.refreshMs,
    used: false,
    ...keyOf(family.jkt ?? (event.bindsRefresh ? event.jkt : undefined)),
    previous: {
      hash: family.hash,
      generation: family.generation,
      graceUntil: now + lives.graceMs,
      sealedAccess: fresh.sealedAccess,
      sealedRefresh: fresh.sealedRefresh,
    },
  }
  return issue({ ...connection, lastUsedAt: now, refresh: next }, access, fresh, fresh.keyId, now)
}

/** The successor's tokens again. Its access token is replaced when it has expired or is in its last second (`expires_in` 0), or when this request asks for other scopes than it has, or comes with another key. */
function repeat(connection: Connection, previous: NonNullable<RefreshFamily['previous']>, event: Refreshment, now: number): Exchange {
  const family = connection.refresh as RefreshFamily
  const scopes = narrowed(connection, event)
  const access = connection.accessTokens.findLast(({ generation }) => generation === family.generation)
  if (access && now + 1_000 <= access.expiresAt && sameScopes(access.scopes, scopes) && access.jkt === event.jkt) {
    return { do: 'keep', answer: { is: 'issued', connection, access, sealedAccess: previous.sealedAccess, sealedRefresh: previous.sealedRefresh } }
  }
  const { fresh } = event
  const replaced = { ...previous, sealedAccess: fresh.sealedAccess }
  const next: Connection = { ...connection, lastUsedAt: now, refresh: { ...family, previous: replaced } }
  return issue(next, newEntry(event, family.generation, now, scopes), replaced, fresh.keyId, now)
}

function issue(
  connection: Connection,
  access: AccessTokenEntry,
  { sealedAccess, sealedRefresh }: { sealedAccess: string; sealedRefresh: string },
  keyId: string,
  now: number,
): Exchange {
  const accessTokens = [...connection.accessTokens.filter(({ expiresAt }) => now < expiresAt + clockSkewMs), access].slice(-maxAccessTokens)
  const expiresAt = Math.max(connection.refresh?.expiresAt ?? 0, access.expiresAt + clockSkewMs)
  const others = Object.entries(connection.signedUntil ?? {}).filter(([, until]) => now < until)
  const next: Connection = { ...connection, accessTokens, expiresAt, signedUntil: { ...Object.fromEntries(others), [keyId]: expiresAt } }
  return { do: 'write', next, ttlMs: ttlOf(next, now), answer: { is: 'issued', connection: next, access, sealedAccess, sealedRefresh } }
}

function newEntry({ fresh, lives, jkt }: Redemption | Refreshment, generation: number, now: number, scopes?: string[]): AccessTokenEntry {
  return { hash: fresh.accessHash, generation, issuedAt: now, expiresAt: now + lives.accessMs, used: false, ...(scopes && { scopes }), ...keyOf(jkt) }
}

function keyOf(jkt: string | undefined): { jkt?: string } {
  return jkt === undefined ? {} : { jkt }
}

/**
 * The scopes of an access token that has fewer than its connection, in the connection's order, then what is only included in these; undefined when it has them all.
 */
export function narrowed(connection: Connection, { scopes: asked, hierarchy = {} }: Pick<Refreshment, 'scopes' | 'hierarchy'>): string[] | undefined {
  if (asked === undefined || connection.scopes.every((scope) => asked.includes(scope))) return undefined
  return withIncluded(hierarchy, connection.scopes).filter((scope) => asked.includes(scope))
}

function sameScopes(a: string[] | undefined, b: string[] | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

function isOtherResource(connection: Connection, resource: string | undefined): boolean {
  return resource !== undefined && !sameResource(resource, connection.resource)
}

function refuse(reason: RefusalReason, error: 'invalid_grant' | 'invalid_scope' | 'invalid_target' = 'invalid_grant'): Exchange {
  return { do: 'keep', answer: { is: 'refused', error, reason } }
}

function end(connection: Connection, reason: 'code used twice' | 'refresh token replayed'): Exchange {
  return { do: 'remove', answer: { is: 'ended', connection, reason } }
}
