import type { Deps } from '../deps.ts'
import { GatewayError, ProviderUnavailable, StoreUnavailable } from '../errors/errors.ts'
import { subjectKey } from '../lib/subject-key.ts'
import { inBackground } from '../log/background.ts'
import type { GrantEvent } from '../log/events.ts'
import type { Stored } from '../store/records.ts'
import { type Downstream, DownstreamRefused, type RefreshedTokens } from './downstream.ts'
import type { Grant } from './grant.ts'
import { failed, type Lease, refreshed, refused, want } from './grant-machine.ts'
import { changeGrant, keepGrant } from './grants.ts'

export type UsableDeps = Pick<Deps, 'store' | 'keys' | 'clock' | 'random' | 'config' | 'log'> & { downstream: Downstream }

/** A downstream access token that is good for a call now. */
export interface UsableToken {
  accessToken: string
  version: number
}

/** No call waits longer than this for a refresh. */
const longestWaitMs = 10_000
/** Clock difference allowed between replicas. */
const skewMs = 5_000
/** After a failure that may pass: soon, as a time-out leaves it unknown whether the provider rotated, and most providers give some leeway. */
const retryMs = 2_000
/** How often another's refresh is looked for. */
const lookPausesMs = [50, 100, 200, 400, 800]
/** How often an answer of the provider is tried to be stored: it may carry the only refresh token that is still good. */
const storePausesMs = [100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800]

/** Refreshes under way in this process, so that callers here wait for the answer itself instead of looking for it. */
const underWay = new WeakMap<Deps['store'], Map<string, Promise<void>>>()

/**
 * Gives a downstream access token that can be used now, refreshing it when it is due (TK-16, AZ-15). Over all replicas one caller at a time refreshes; while the
 * old token is still good nobody waits for that.
 *
 * @param stored the grant as it was just read; undefined: it is read here
 * @param options `refused`: the access token that the runtime answered 401 to; another one is given, by one refresh when need be
 * @throws GatewayError `grant_dead` when only a new authorization helps
 * @throws ProviderUnavailable when the provider cannot be reached and the old token is not usable; after 10 s at most
 * @throws StoreUnavailable
 */
export async function usableToken(
  deps: UsableDeps,
  key: string,
  stored: Stored<Grant> | undefined,
  options: { refused?: string | undefined } = {},
): Promise<UsableToken> {
  const { provider } = deps.downstream
  const asked = {
    holder: deps.random(9),
    leaseMs: leaseMs(deps),
    aheadMs: provider.refreshAheadSeconds * 1000,
    jitter: jitterOf(key),
    refused: options.refused,
  }
  const startedAt = performance.now()
  const left = () => longestWaitMs - (performance.now() - startedAt)
  let known = stored
  let sinceVersion: number | undefined
  for (let turn = 0; ; turn++) {
    const event = { ...asked, sinceVersion }
    const answer = await changeGrant(deps, key, (current) => want(current, event, deps.clock()), known)
    known = undefined
    switch (answer.is) {
      case 'use':
        if (stored) keepAlive(deps, key, stored.value)
        return { accessToken: answer.accessToken, version: answer.version }
      case 'dead':
        if (answer.news) log(deps, 'grant.needs_reconnect', answer.news, { reason: 'the access token is over and there is no refresh token' })
        throw new GatewayError('grant_dead', { reason: 'the grant needs a new authorization' })
      case 'unavailable':
        throw new ProviderUnavailable('a refresh failed a moment ago')
      case 'refresh': {
        const work = startRefresh(deps, key, answer.lease)
        if (answer.meanwhile !== undefined) return { accessToken: answer.meanwhile, version: answer.lease.version }
        sinceVersion ??= answer.lease.version
        await atMost(left(), work)
        break
      }
      case 'wait':
        sinceVersion ??= answer.version
        await atMost(left(), inThisProcess(deps).get(key) ?? pause(lookPausesMs[turn] ?? 1_000))
    }
    if (left() <= 0) throw new ProviderUnavailable('a refresh took longer than a call waits')
  }
}

/** Three times the provider's time-out; for short ones long enough that a request never outlives its lease on a replica whose clock is ahead. */
function leaseMs(deps: UsableDeps): number {
  const timeoutMs = deps.downstream.provider.timeoutSeconds * 1000
  return Math.max(3 * timeoutMs, timeoutMs + 2 * skewMs)
}

/** The same for everyone who asks for one grant, so that the earliest caller does not set the time for all. */
function jitterOf(key: string): number {
  let hash = 0
  for (const character of key) hash = (Math.imul(hash, 31) + (character.codePointAt(0) as number)) >>> 0
  return (hash % 1_000) / 1_000
}

function startRefresh(deps: UsableDeps, key: string, lease: Lease): Promise<void> {
  const here = inThisProcess(deps)
  const work = refreshUnderLease(deps, key, lease).finally(() => {
    if (here.get(key) === work) here.delete(key)
  })
  here.set(key, work)
  inBackground(deps.log, 'storing what a refresh brought', work)
  return work
}

async function refreshUnderLease(deps: UsableDeps, key: string, lease: Lease): Promise<void> {
  const startedAt = deps.clock()
  let isLate = false
  // Once more right before the request leaves: a process that was paused must not present a refresh token that another has spent by now.
  const beforeSend = () => {
    isLate = deps.clock() > lease.deadline - deps.downstream.provider.timeoutSeconds * 1000 - skewMs
    if (isLate) throw new Error('the lease is nearly over')
  }
  let tokens: RefreshedTokens
  try {
    tokens = await deps.downstream.refresh(lease.refreshToken, { beforeSend })
  } catch (error) {
    await noteFailure(deps, key, lease, error, isLate ? 0 : retryMs)
    return
  }
  const { accessToken, refreshToken, scopes } = tokens
  const expiresInMs = tokens.expiresIn === undefined ? undefined : tokens.expiresIn * 1000
  const event = { lease, accessToken, refreshToken, expiresInMs, obtainedAt: startedAt, scopes }
  const outcome = await persist(() => changeGrant(deps, key, (current) => refreshed(current, event, deps.clock())))
  if (outcome === 'stored') log(deps, 'grant.refreshed', lease, { ms: deps.clock() - startedAt })
}

async function noteFailure(deps: UsableDeps, key: string, lease: Lease, error: unknown, pauseMs: number): Promise<void> {
  if (error instanceof DownstreamRefused) {
    const dead = await persist(() => changeGrant(deps, key, (current) => refused(current, lease, deps.clock())))
    if (dead) log(deps, 'grant.needs_reconnect', dead, { reason: error.reason })
    return
  }
  const reason = (error instanceof ProviderUnavailable ? error.reason : undefined) ?? String(error)
  log(deps, 'grant.refresh_failed', lease, { reason })
  await persist(() => changeGrant(deps, key, (current) => failed(current, { lease, retryMs: pauseMs }, deps.clock())))
}

async function persist<T>(write: () => Promise<T>): Promise<T> {
  for (const milliseconds of storePausesMs) {
    try {
      return await write()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      await pause(milliseconds)
    }
  }
  return write()
}

function keepAlive(deps: UsableDeps, key: string, grant: Grant): void {
  const { refreshTokenSeconds } = deps.config.tokens
  if (grant.expiresAt - deps.clock() >= refreshTokenSeconds * 1000) return
  inBackground(deps.log, 'prolonging a grant', keepGrant(deps, key, refreshTokenSeconds))
}

function log(deps: UsableDeps, event: GrantEvent['event'], { identity }: Pick<Grant, 'identity'>, more: { reason: string } | { ms: number }): void {
  const level = event === 'grant.refreshed' ? 'info' : 'warn'
  deps.log.write({ event, level, provider: deps.downstream.provider.id, subject: subjectKey(identity), ...more })
}

function inThisProcess(deps: Pick<Deps, 'store'>): Map<string, Promise<void>> {
  const here = underWay.get(deps.store) ?? new Map<string, Promise<void>>()
  underWay.set(deps.store, here)
  return here
}

/** Waits for the work or the time, whichever ends first; what the work failed of is logged elsewhere. */
async function atMost(milliseconds: number, work: Promise<void>): Promise<void> {
  if (milliseconds <= 0) return
  let timer: NodeJS.Timeout | undefined
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  await Promise.race([work.catch(() => undefined), time])
  clearTimeout(timer)
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
