import type { Identity } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import { type Change, changeRecord, readRecord, type Stored } from '../store/records.ts'
import type { Grant, GrantTokens } from './grant.ts'
import { type Authorized, authorize, extend, type OpenGrant, reconnect, versionOf } from './grant-machine.ts'

export type GrantDeps = Pick<Deps, 'store' | 'keys' | 'clock'>

/** What an authorization at the provider brought, to be saved. */
export interface NewGrant {
  accessToken: string
  refreshToken?: string | undefined
  idToken?: string | undefined
  /** Seconds; undefined when the provider did not say. */
  expiresIn?: number | undefined
  /** When the tokens were asked for, milliseconds since the epoch; now when left out. */
  obtainedAt?: number | undefined
  scopes: string[]
  identity: Identity
  provider: string
  /** Connection id, or the subject of a shared grant. */
  owner: string
  /** How long an unused record is kept. */
  lifeSeconds: number
}

/**
 * Saves a new authorization. On a shared grant it replaces the access token, and keeps the refresh token there is when the provider sent none.
 *
 * @returns the version of the stored token set
 * @throws StoreUnavailable
 */
export async function saveGrant(deps: GrantDeps, key: string, grant: NewGrant): Promise<number> {
  return changeGrant(deps, key, (current) => authorize(current, eventOf(deps, grant), deps.clock()))
}

/**
 * Saves what a user's new sign-in brought for a grant that was dead, if it still is that dead one.
 *
 * @param deadVersion as {@link readState} gave it
 * @returns `over`: the grant lives, or has died anew since; nothing was changed
 * @throws StoreUnavailable
 */
export async function saveReconnected(deps: GrantDeps, key: string, grant: NewGrant, deadVersion: number): Promise<'reconnected' | 'over'> {
  return changeGrant(deps, key, (current) => reconnect(current, { ...eventOf(deps, grant), deadVersion }, deps.clock()))
}

function eventOf(deps: Pick<Deps, 'clock'>, grant: NewGrant): Authorized {
  const { accessToken, refreshToken, idToken, expiresIn, obtainedAt = deps.clock(), lifeSeconds, identity, scopes, provider, owner } = grant
  const tokens: GrantTokens = { accessToken, ...(refreshToken !== undefined && { refreshToken }), ...(idToken !== undefined && { idToken }) }
  const expiresInMs = expiresIn === undefined ? undefined : expiresIn * 1000
  return { tokens, identity, scopes, expiresInMs, obtainedAt, lifeMs: lifeSeconds * 1000, provider, owner }
}

/** Whether a grant lives, which set of tokens it has (0: none), and for which scopes. One that cannot be opened reads as absent, as everywhere. */
export function readState(deps: Pick<Deps, 'store' | 'keys'>, key: string): Promise<{ live: boolean; version: number; scopes: string[] }> {
  return changeGrant(deps, key, (grant) => {
    return { do: 'keep', answer: { live: grant?.state === 'live', version: versionOf(grant), scopes: grant?.scopes ?? [] } }
  })
}

/** Reads a grant; its tokens stay sealed. */
export function readGrant(deps: Pick<Deps, 'store'>, key: string): Promise<Stored<Grant> | undefined> {
  return readRecord<Grant>(deps.store, 'grant', key)
}

/** The tokens of a grant; undefined when no secret of the ring opens them. */
export function readGrantTokens(deps: { keys: Pick<KeyRing, 'open'> }, key: string, grant: Grant): GrantTokens | undefined {
  const opened = deps.keys.open(grant.sealed, key)
  return opened === undefined ? undefined : (JSON.parse(opened) as GrantTokens)
}

/** Deletes a grant. Telling the provider is the caller's. */
export function deleteGrant(deps: Pick<Deps, 'store'>, key: string): Promise<void> {
  return deps.store.delete(key)
}

/** Lets the grant of a connection that lives on live on too: with less than `lifeSeconds` left it gets twice that. */
export function keepGrant(deps: GrantDeps, key: string, lifeSeconds: number): Promise<void> {
  return changeGrant(deps, key, (current) => extend(current, lifeSeconds * 1000, deps.clock()))
}

/**
 * Lets the grant machine change a record. A grant that no secret of the ring opens reads as absent: its user must sign in again, and a new authorization
 * writes over it.
 */
export function changeGrant<A>(
  deps: Pick<Deps, 'store' | 'keys'>,
  key: string,
  decide: (current: OpenGrant | undefined) => Change<OpenGrant, A>,
  known?: Stored<Grant>,
): Promise<A> {
  const onSealed = (current: Grant | undefined): Change<Grant, A> => {
    const change = decide(current && openGrant(deps, key, current))
    return change.do === 'write' ? { ...change, next: sealGrant(deps, key, change.next) } : change
  }
  return changeRecord<Grant, A>(deps.store, 'grant', key, onSealed, known)
}

/**
 * Seals a grant under the first key of the ring, unless that sealed it already.
 *
 * @returns how it was before; `unreadable`: no key of the ring opens it, so it stays as it is
 */
export function resealGrant(deps: Pick<Deps, 'store' | 'keys' | 'clock'>, key: string): Promise<'current' | 'older' | 'unreadable' | 'absent'> {
  return changeRecord<Grant, 'current' | 'older' | 'unreadable' | 'absent'>(deps.store, 'grant', key, (grant) => {
    if (!grant) return { do: 'keep', answer: 'absent' }
    const sealed = deps.keys.reseal(grant.sealed, key)
    if (sealed === undefined) return { do: 'keep', answer: 'unreadable' }
    if (sealed === grant.sealed) return { do: 'keep', answer: 'current' }
    return { do: 'write', next: { ...grant, sealed }, ttlMs: Math.max(1, Math.ceil(grant.expiresAt - deps.clock())), answer: 'older' }
  })
}

function openGrant(deps: Pick<Deps, 'keys'>, key: string, grant: Grant): OpenGrant | undefined {
  const { sealed: _sealed, ...rest } = grant
  const tokens = readGrantTokens(deps, key, grant)
  return tokens && { ...rest, tokens }
}

function sealGrant(deps: Pick<Deps, 'keys'>, key: string, grant: OpenGrant): Grant {
  const { tokens, ...rest } = grant
  return { ...rest, sealed: deps.keys.seal(JSON.stringify(tokens), key) }
}
