import { GatewayError, ProviderUnavailable, StoreUnavailable } from '../errors/errors.ts'
import { clockSkewMs } from '../lib/clock-skew.ts'
import { inBackground } from '../log/background.ts'
import type { Stored } from '../store/records.ts'
import type { Grant } from './grant.ts'
import { failed, type Lease, type Wanted, type WantedAnswer, want } from './grant-machine.ts'
import { changeGrant, keepGrant } from './grants.ts'
import { logGrant, pause, persist, refreshHere, startRefresh, type UsableDeps } from './refresh-grant.ts'

export type { UsableDeps } from './refresh-grant.ts'

/** A downstream access token that is good for a call now. */
export interface UsableToken {
  accessToken: string
  version: number
  /** It was fetched while this call waited for it. */
  isFresh: boolean
}

/** No call waits longer than this for a refresh, however patient the provider's option is. */
const longestWaitMs = 10_000
/** Beyond the provider's time, so that whoever refreshes can say first that it is over. */
const graceMs = 200
/** How often another's refresh is looked for. */
const lookPausesMs = [50, 100, 200, 400, 800]

/**
 * Gives a downstream access token that can be used now, refreshing it when it is due (TK-16, AZ-15). Over all replicas one caller at a time refreshes; while the
 * old token is still good nobody waits for that.
 *
 * @param stored the grant as it was just read; undefined: it is read here
 * @param options `refused`: the access token that the runtime answered 401 to; another one is given, by one refresh when need be
 * @throws GatewayError `grant_dead` when only a new authorization helps
 * @throws ProviderUnavailable when the provider cannot be reached and the old token is not usable; after the provider's
 * `timeoutSeconds`, and after 10 s at most, also where the one who refreshes has died
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
  const waitMs = Math.min(longestWaitMs, provider.timeoutSeconds * 1000 + graceMs)
  const left = () => waitMs - (performance.now() - startedAt)
  let known = stored
  let sinceVersion: number | undefined
  for (let turn = 0; ; turn++) {
    const answer = await wanted(deps, key, { ...asked, sinceVersion }, known)
    known = undefined
    switch (answer.is) {
      case 'use':
        if (stored) keepAlive(deps, key, stored.value)
        return { accessToken: answer.accessToken, version: answer.version, isFresh: sinceVersion !== undefined }
      case 'dead':
        if (answer.news) logGrant(deps, 'grant.needs_reconnect', answer.news, { reason: 'the access token is over and there is no refresh token' })
        throw new GatewayError('grant_dead', { reason: 'the grant needs a new authorization' })
      case 'unavailable':
        throw new ProviderUnavailable('a refresh failed a moment ago, or takes longer than a call waits')
      case 'refresh': {
        const work = startRefresh(deps, key, answer.lease)
        if (answer.meanwhile !== undefined) return { accessToken: answer.meanwhile, version: answer.lease.version, isFresh: false }
        sinceVersion ??= answer.lease.version
        await atMost(left(), work)
        break
      }
      case 'wait':
        sinceVersion ??= answer.version
        await atMost(left(), refreshHere(deps, key) ?? pause(lookPausesMs[turn] ?? 800))
    }
    if (left() <= 0) throw new ProviderUnavailable('a refresh took longer than a call waits')
  }
}

/** What the call is to do. An outage may have hidden that it got the lease: then that is given back, so that nobody waits for a refresh that nobody makes. */
async function wanted(deps: UsableDeps, key: string, event: Wanted, known: Stored<Grant> | undefined): Promise<WantedAnswer> {
  let tried: Lease | undefined
  try {
    return await changeGrant(
      deps,
      key,
      (current) => {
        const change = want(current, event, deps.clock())
        tried = change.answer.is === 'refresh' ? change.answer.lease : undefined
        return change
      },
      known,
    )
  } catch (error) {
    const lease = tried
    if (lease && error instanceof StoreUnavailable) {
      const back = persist(() => changeGrant(deps, key, (current) => failed(current, { lease, retryMs: 0 }, deps.clock())))
      inBackground(deps.log, 'giving back the lease of a refresh', back)
    }
    throw error
  }
}

/** Three times the provider's time-out; for short ones long enough that a request never outlives its lease on a replica whose clock is ahead. */
function leaseMs(deps: UsableDeps): number {
  const timeoutMs = deps.downstream.provider.timeoutSeconds * 1000
  return Math.max(3 * timeoutMs, timeoutMs + 2 * clockSkewMs)
}

/** The same for everyone who asks for one grant, so that the earliest caller does not set the time for all. */
function jitterOf(key: string): number {
  let hash = 0
  for (const character of key) hash = (Math.imul(hash, 31) + (character.codePointAt(0) as number)) >>> 0
  return (hash % 1_000) / 1_000
}

function keepAlive(deps: UsableDeps, key: string, grant: Grant): void {
  const { refreshTokenSeconds } = deps.config.tokens
  if (grant.expiresAt - deps.clock() >= refreshTokenSeconds * 1000) return
  inBackground(deps.log, 'prolonging a grant', keepGrant(deps, key, refreshTokenSeconds))
}

/**
 * Waits for the work or the time, whichever ends first.
 *
 * @throws StoreUnavailable when the work meets a store that is down; what else it fails of is logged elsewhere
 */
async function atMost(milliseconds: number, work: Promise<void>): Promise<void> {
  if (milliseconds <= 0) return
  let timer: NodeJS.Timeout | undefined
  const time = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds)
  })
  const failure = await Promise.race([work.catch((error: unknown) => error), time])
  clearTimeout(timer)
  if (failure instanceof StoreUnavailable) throw failure
}
