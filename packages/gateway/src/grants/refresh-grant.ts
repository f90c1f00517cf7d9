import type { Deps } from '../deps.ts'
import { ProviderUnavailable, StoreUnavailable } from '../errors/errors.ts'
import { clockSkewMs } from '../lib/clock-skew.ts'
import { patience } from '../lib/patience.ts'
import { subjectKey } from '../lib/subject-key.ts'
import { inBackground } from '../log/background.ts'
import type { GrantEvent } from '../log/events.ts'
import type { Change } from '../store/records.ts'
import { type Downstream, DownstreamRefused, type RefreshedTokens } from './downstream.ts'
import type { Grant } from './grant.ts'
import { failed, type Lease, late, type OpenGrant, refreshed, refused, spent } from './grant-machine.ts'
import { changeGrant } from './grants.ts'

export type UsableDeps = Pick<Deps, 'store' | 'keys' | 'clock' | 'random' | 'config' | 'log'> & { downstream: Downstream }

/** After a failure that may pass: soon, as a time-out leaves it unknown whether the provider rotated, and most providers give some leeway. */
const retryMs = 2_000
/** How often an answer of the provider is tried to be stored: it may carry the only refresh token that is still good, and calls wait for it. */
const storePausesMs = [100, 200, 400, ...Array<number>(120).fill(500)]

/** Calls wait through a shorter failure of the store than this. */
const hiccupMs = 300

/** What callers in this process wait for, by store and grant. */
const underWay = new WeakMap<Deps['store'], Map<string, Promise<void>>>()

/**
 * The refresh of a grant that is under way in this process, so that callers here wait for the answer itself instead of looking for it: until it is stored, or the provider's time-out is
 * over. Rejects with StoreUnavailable when the store fails; the storing goes on, but no call waits for a store that is down.
 */
export function refreshHere(deps: Pick<Deps, 'store'>, key: string): Promise<void> | undefined {
  return underWay.get(deps.store)?.get(key)
}

/** Refreshes under a lease that the caller has. What to wait for is as with {@link refreshHere}. */
export function startRefresh(deps: UsableDeps, key: string, lease: Lease): Promise<void> {
  const here = underWay.get(deps.store) ?? new Map<string, Promise<void>>()
  underWay.set(deps.store, here)
  let work: Promise<void> | undefined
  const forCallers = new Promise<void>((resolve, reject) => {
    work = refreshUnderLease({ deps, key, lease, letGo: resolve, storeFailed: reject }).finally(resolve)
  })
  // Whether anyone waits for it or not.
  forCallers.catch(() => undefined)
  here.set(key, forCallers)
  const end = work?.finally(() => {
    if (here.get(key) === forCallers) here.delete(key)
  })
  inBackground(deps.log, 'storing what a refresh brought', end as Promise<void>)
  return forCallers
}

interface Refresh {
  deps: UsableDeps
  key: string
  lease: Lease
  /** Lets callers look again: the provider has had its time. */
  letGo: () => void
  storeFailed: (error: StoreUnavailable) => void
}

async function refreshUnderLease(refresh: Refresh): Promise<void> {
  const { deps, lease } = refresh
  const { timeoutSeconds } = deps.downstream.provider
  const timeoutMs = timeoutSeconds * 1000
  let startedAt = deps.clock()
  let isLate = false
  // Once more right before the request leaves: a process that was paused must not present a refresh token that another has spent by now.
  const beforeSend = () => {
    startedAt = deps.clock()
    isLate = startedAt > lease.deadline - timeoutMs - clockSkewMs
    if (isLate) throw new Error('the lease is nearly over')
  }
  if (lease.inDoubt && (await mustWait(refresh))) return
  // A call waits for the provider's time-out. The answer is listened for as long as nobody else may ask: it carries the only refresh token that is still good.
  const listening = patience(Math.max(timeoutMs, lease.deadline - clockSkewMs - deps.clock()))
  const overdue = setTimeout(() => {
    logGrant(deps, 'grant.refresh_failed', lease, { reason: `no answer within ${timeoutSeconds} s; it is still listened for` })
    inBackground(deps.log, 'noting that a provider is slow', noteLate(refresh))
  }, timeoutMs)
  let tokens: RefreshedTokens
  try {
    tokens = await deps.downstream.refresh(lease.refreshToken, { beforeSend, signal: listening.signal })
  } catch (error) {
    return await noteFailure(refresh, error, isLate ? 0 : retryMs)
  } finally {
    listening.end()
    clearTimeout(overdue)
  }
  const { accessToken, refreshToken, scopes } = tokens
  const expiresInMs = tokens.expiresIn === undefined ? undefined : tokens.expiresIn * 1000
  const event = { lease, accessToken, refreshToken, expiresInMs, obtainedAt: startedAt, scopes }
  const outcome = await change(refresh, (current) => refreshed(current, event, deps.clock()))
  if (outcome === 'stored') logGrant(deps, 'grant.refreshed', lease, { ms: deps.clock() - startedAt })
}

/**
 * Whether the refresh token of a lease in doubt must not be presented now: it is spent, or nobody knows. The one before stood still or died, between its request and the storing of the
 * answer; in the first case it still has the answer.
 */
async function mustWait(refresh: Refresh): Promise<boolean> {
  const { deps, lease } = refresh
  const answer = await deps.downstream.isSpent(lease.refreshToken).catch((error: unknown) => reasonOf(error))
  if (answer === false) return false
  const reason = answer === true ? 'the refresh token is spent, and whoever presented it has not stored the answer yet' : answer
  logGrant(deps, 'grant.refresh_failed', lease, { reason })
  if (answer === true) await change(refresh, (current) => spent(current, lease, deps.clock()))
  // The doubt stays with the lease, for the next one to ask again.
  else await noteLate(refresh)
  return true
}

async function noteLate(refresh: Refresh): Promise<void> {
  await change(refresh, (current) => late(current, refresh.lease, refresh.deps.clock()))
  refresh.letGo()
}

async function noteFailure(refresh: Refresh, error: unknown, pauseMs: number): Promise<void> {
  const { deps, lease } = refresh
  if (error instanceof DownstreamRefused) {
    const dead = await change(refresh, (current) => refused(current, lease, deps.clock()))
    if (dead) logGrant(deps, 'grant.needs_reconnect', dead, { reason: error.reason })
    return
  }
  logGrant(deps, 'grant.refresh_failed', lease, { reason: reasonOf(error) })
  await change(refresh, (current) => failed(current, { lease, retryMs: pauseMs }, deps.clock()))
}

function change<A>({ deps, key, storeFailed }: Refresh, decide: (current: OpenGrant | undefined) => Change<OpenGrant, A>): Promise<A> {
  return persist(() => changeGrant(deps, key, decide), storeFailed)
}

/**
 * Tries to write until the store takes it, for a minute.
 *
 * @param onFailure hears of each failure but those of the first moment
 */
export async function persist<T>(write: () => Promise<T>, onFailure: (error: StoreUnavailable) => void = () => undefined): Promise<T> {
  const startedAt = performance.now()
  for (const milliseconds of storePausesMs) {
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      if (performance.now() - startedAt >= hiccupMs) onFailure(error)
      await pause(milliseconds)
    }
  }
  return write()
}

/** Writes what happened to a grant to the log. */
export function logGrant(deps: UsableDeps, event: GrantEvent['event'], { identity }: Pick<Grant, 'identity'>, more: { reason: string } | { ms: number }): void {
  const level = event === 'grant.refreshed' ? 'info' : 'warn'
  deps.log.write({ event, level, provider: deps.downstream.provider.id, subject: subjectKey(identity), ...more })
}

function reasonOf(error: unknown): string {
  return (error instanceof ProviderUnavailable ? error.reason : undefined) ?? String(error)
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
