import type { Identity } from '../config.ts'
import type { Change } from '../store/records.ts'
import type { Grant, GrantLease, GrantTokens } from './grant.ts'

/*
 * The life of a downstream grant, without I/O: each function is `(grant, event, now) → Change` and may run several times for one event. The grant is seen with
 * its tokens open; sealing is the caller's.
 */

/** A grant whose tokens are readable. */
export type OpenGrant = Omit<Grant, 'sealed'> & { tokens: GrantTokens }

/** The user authorized at the provider. */
export interface Authorized {
  tokens: GrantTokens
  identity: Identity
  scopes: string[]
  /** Of the access token; undefined: the provider did not say. */
  expiresInMs: number | undefined
  /** When they were asked for: the provider's answer counts from then, however late it is stored. */
  obtainedAt: number
  lifeMs: number
  provider: string
  owner: string
}

/** A call needs an access token. */
export interface Wanted {
  /** Names the caller, should it get the lease. */
  holder: string
  leaseMs: number
  /** How early to refresh, at most. */
  aheadMs: number
  /** 0…1, the same for every caller of one token and different between grants, so that grants of one moment do not all refresh in one moment. */
  jitter: number
  /** Access token that the runtime refused. */
  refused: string | undefined
  /** Version that this call began with: a token obtained since then is taken as it is, which bounds every call to one refresh. */
  sinceVersion: number | undefined
}

/** What a call is told. */
export type WantedAnswer =
  | { is: 'use'; accessToken: string; version: number }
  /** The caller holds the lease now and must refresh. `meanwhile`: the access token there is may still be used. */
  | { is: 'refresh'; lease: Lease; meanwhile: string | undefined }
  /** Another refreshes, and may be done any moment. */
  | { is: 'wait'; version: number }
  /** The last attempt failed a moment ago, or goes on without an answer for longer than a call waits. */
  | { is: 'unavailable' }
  /** Only a new authorization helps. `news`: found out now. */
  | { is: 'dead'; news: OpenGrant | undefined }

/** The right to present one refresh token, until the deadline. */
export interface Lease {
  holder: string
  deadline: number
  refreshToken: string
  version: number
  /** The one before let its lease run out: whether it presented the refresh token is not known. */
  inDoubt: boolean
  /** Whose grant it is, for the log. */
  identity: Identity
}

/** The provider gave new tokens. */
export interface Refreshed {
  lease: Lease
  accessToken: string
  /** Undefined: the old one stays good. */
  refreshToken: string | undefined
  expiresInMs: number | undefined
  /** When it was asked: a stop of the process before it is stored makes no token live longer. */
  obtainedAt: number
  /** Undefined: as before. */
  scopes: string[] | undefined
}

/** Access tokens count as expired this much early, for the time a call is on its way. */
const earlyMs = 1_000

/** A new authorization. It replaces the access token; where the provider sends no refresh token with it, the one there is stays, and a refresh under way goes on. */
export function authorize(grant: OpenGrant | undefined, event: Authorized, now: number): Change<OpenGrant, number> {
  const kept = event.tokens.refreshToken === undefined ? grant?.tokens.refreshToken : undefined
  const tokens: GrantTokens = kept === undefined ? event.tokens : { ...event.tokens, refreshToken: kept }
  const next: OpenGrant = {
    v: 1,
    provider: event.provider,
    owner: event.owner,
    state: 'live',
    tokens,
    version: (grant?.version ?? 0) + 1,
    obtainedAt: event.obtainedAt,
    accessExpiresAt: expiry(event),
    hasRefreshToken: tokens.refreshToken !== undefined,
    scopes: event.scopes,
    identity: event.identity,
    lease: kept === undefined ? undefined : grant?.lease,
    retryAt: undefined,
    expiresAt: Math.max(now + event.lifeMs, grant?.expiresAt ?? 0),
  }
  return write(next, now, next.version)
}

/**
 * The user signed in again for a grant that was dead. Only the death that it was asked for is undone: of several sign-ins one counts, and one that comes after a new
 * authorization, or for a grant that lives, changes nothing.
 *
 * @param event `deadVersion`: version of the grant that was dead; 0: there was no record
 */
export function reconnect(grant: OpenGrant | undefined, event: Authorized & { deadVersion: number }, now: number): Change<OpenGrant, 'reconnected' | 'over'> {
  if (grant?.state === 'live' || versionOf(grant) !== event.deadVersion) return { do: 'keep', answer: 'over' }
  return { ...authorize(grant, event, now), answer: 'reconnected' }
}

/** Which set of tokens a grant has; 0: there is none. */
export function versionOf(grant: OpenGrant | undefined): number {
  return grant?.version ?? 0
}

/** Decides what a call that needs an access token does. Only one caller at a time is told to refresh (TK-16). */
export function want(grant: OpenGrant | undefined, event: Wanted, now: number): Change<OpenGrant, WantedAnswer> {
  if (grant?.state !== 'live') return { do: 'keep', answer: { is: 'dead', news: undefined } }
  const { tokens, version } = grant
  const use: WantedAnswer = { is: 'use', accessToken: tokens.accessToken, version }
  if (event.sinceVersion !== undefined && version > event.sinceVersion) return { do: 'keep', answer: use }
  const usable = isUnexpired(grant, now) && tokens.accessToken !== event.refused
  if (usable && (tokens.refreshToken === undefined || now < dueAt(grant, event))) return { do: 'keep', answer: use }
  if (tokens.refreshToken === undefined) {
    const dead: OpenGrant = { ...grant, state: 'needs-reconnect' }
    return write(dead, now, { is: 'dead', news: dead })
  }
  if (grant.retryAt !== undefined && now < grant.retryAt) return { do: 'keep', answer: usable ? use : { is: 'unavailable' } }
  if (grant.lease && now < grant.lease.deadline) return { do: 'keep', answer: usable ? use : { is: 'wait', version } }
  const lease: GrantLease = { holder: event.holder, deadline: now + event.leaseMs }
  const inDoubt = grant.lease !== undefined && grant.lease.waits !== true
  return write({ ...grant, lease, retryAt: undefined }, now, {
    is: 'refresh',
    lease: { ...lease, refreshToken: tokens.refreshToken, version, inDoubt, identity: grant.identity },
    meanwhile: usable ? tokens.accessToken : undefined,
  })
}

/**
 * Stores the provider's answer, whoever holds the lease by now: the refresh token it carries may be the only one that is still good. Only where the stored
 * refresh token is another one by now does the answer come from a line that has ended. A grant that was deleted stays deleted.
 */
export function refreshed(grant: OpenGrant | undefined, event: Refreshed, now: number): Change<OpenGrant, 'stored' | 'outdated'> {
  const { lease, accessToken } = event
  if (!grant) return { do: 'keep', answer: 'outdated' }
  if (grant.tokens.refreshToken !== lease.refreshToken) return release(grant, lease, now, 'outdated')
  const refreshToken = event.refreshToken ?? lease.refreshToken
  const renewed: OpenGrant = { ...grant, state: 'live', version: grant.version + 1, lease: leaseWithout(grant, lease), retryAt: undefined }
  // A new authorization came in between without a refresh token of its own: its access token is the newer one, ours the newer refresh token.
  if (grant.version !== lease.version) return write({ ...renewed, tokens: { ...grant.tokens, refreshToken } }, now, 'stored')
  const next: OpenGrant = {
    ...renewed,
    tokens: { ...grant.tokens, accessToken, refreshToken },
    obtainedAt: event.obtainedAt,
    accessExpiresAt: expiry(event),
    scopes: event.scopes ?? grant.scopes,
  }
  return write(next, now, 'stored')
}

/** The provider refused the refresh token for good. Answers the grant when that means that its user must sign in again. */
export function refused(grant: OpenGrant | undefined, lease: Lease, now: number): Change<OpenGrant, OpenGrant | undefined> {
  if (!grant) return { do: 'keep', answer: undefined }
  if (grant.tokens.refreshToken !== lease.refreshToken) return release(grant, lease, now, undefined)
  const next: OpenGrant = { ...grant, lease: leaseWithout(grant, lease) }
  if (grant.version !== lease.version) {
    const { refreshToken: _spent, ...tokens } = grant.tokens
    return write({ ...next, tokens, hasRefreshToken: false }, now, undefined)
  }
  const dead: OpenGrant = { ...next, state: 'needs-reconnect' }
  return write(dead, now, dead)
}

/** The provider did not answer, or not now. The grant stays; the next attempt waits `retryMs`. */
export function failed(grant: OpenGrant | undefined, event: { lease: Lease; retryMs: number }, now: number): Change<OpenGrant, void> {
  if (grant?.lease?.holder !== event.lease.holder) return { do: 'keep', answer: undefined }
  return write({ ...grant, lease: undefined, retryAt: now + event.retryMs }, now, undefined)
}

/** The provider has not answered in time, but still may: the lease stays, and no call waits for it any more. */
export function late(grant: OpenGrant | undefined, lease: Lease, now: number): Change<OpenGrant, void> {
  if (grant?.lease?.holder !== lease.holder) return { do: 'keep', answer: undefined }
  return write({ ...grant, retryAt: lease.deadline }, now, undefined)
}

/**
 * The refresh token of a lease in doubt is spent. To present it would end the whole family at a strict provider, while the one before, if it only stood still, still has the answer:
 * so nobody presents it during this lease. After it the provider has the last word.
 */
export function spent(grant: OpenGrant | undefined, lease: Lease, now: number): Change<OpenGrant, void> {
  if (grant?.lease?.holder !== lease.holder) return { do: 'keep', answer: undefined }
  return write({ ...grant, lease: { ...grant.lease, waits: true }, retryAt: lease.deadline }, now, undefined)
}

/** Lets a grant in use live on: with less than `lifeMs` left it gets twice that. */
export function extend(grant: OpenGrant | undefined, lifeMs: number, now: number): Change<OpenGrant, void> {
  if (!grant || grant.expiresAt - now >= lifeMs) return { do: 'keep', answer: undefined }
  return write({ ...grant, expiresAt: now + 2 * lifeMs }, now, undefined)
}

function isUnexpired(grant: OpenGrant, now: number): boolean {
  return grant.accessExpiresAt === undefined || now < grant.accessExpiresAt - earlyMs
}

/** When to refresh: `aheadMs` before expiry, at most a quarter of the token's life, less up to a fifth of that by jitter. Without expiry, only on refusal. */
function dueAt(grant: OpenGrant, event: Wanted): number {
  if (grant.accessExpiresAt === undefined) return Number.POSITIVE_INFINITY
  const lead = Math.min(event.aheadMs, (grant.accessExpiresAt - grant.obtainedAt) / 4)
  return grant.accessExpiresAt - lead * (1 - event.jitter / 5)
}

function expiry(event: { expiresInMs: number | undefined; obtainedAt: number }): number | undefined {
  return event.expiresInMs === undefined ? undefined : event.obtainedAt + event.expiresInMs
}

/** The lease without that of this holder, and without one that only waits for what this holder has brought. */
function leaseWithout(grant: OpenGrant, lease: Lease): Grant['lease'] {
  return grant.lease?.holder === lease.holder || grant.lease?.waits ? undefined : grant.lease
}

function release<A>(grant: OpenGrant, lease: Lease, now: number, answer: A): Change<OpenGrant, A> {
  return grant.lease?.holder === lease.holder ? write({ ...grant, lease: undefined }, now, answer) : { do: 'keep', answer }
}

function write<A>(next: OpenGrant, now: number, answer: A): Change<OpenGrant, A> {
  return { do: 'write', next, ttlMs: Math.max(1, Math.ceil(next.expiresAt - now)), answer }
}
