import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { ClientTokens } from './hammered-connection.ts'
import { type Replicas, startReplicas } from './replicas.ts'
import { grantVersions, hammer } from './run.ts'

/*
 * Two replicas refresh the grants of 200 users at a provider that takes each refresh token once and ends the whole family on its reuse.
 */

const connectionCount = 200
/** Longer than the lease of a refresh, which lasts 12 s with a provider's time-out of 2 s (usable-grant.ts). */
const standstillMs = 14_000

describe.each(['redis', 'postgres'] as const)('two replicas on %s', (kind) => {
  let world: Replicas
  let connections: ClientTokens[]
  beforeEach(async () => {
    world = await startReplicas(kind, { tokens: { accessTokenSeconds: 20 }, downstreamSeconds: 6, clockOffsetsMs: [-1_500, 1_500] })
    connections = await world.signIn(connectionCount)
  }, 180_000)
  afterEach(() => world?.close(), 30_000)

  it('TK-16: refresh each grant once, with clocks 3 s apart and standstills longer than a lease, and nobody loses a connection', async () => {
    const { tally, lost } = await hammer(world, connections, {
      seconds: 60,
      callsPerSecond: 120,
      deeds: [
        [8, () => world.gateways[0].standStill(standstillMs)],
        [32, () => world.gateways[1].standStill(standstillMs)],
      ],
    })
    const counts = await world.counts()
    const versions = await grantVersions(world.storeUrl, connections)
    const refreshes = Object.values(counts.refreshes).reduce((sum, each) => sum + each, 0)
    console.log(
      `two replicas on ${kind}, standstills: ${tally.calls} calls, ${tally.right} right, ${tally.refreshes} refreshes by clients (${tally.parallelRefreshes} of them in parallel), ` +
        `${refreshes} downstream refreshes, ${counts.reuses.length} reuses, ${tally.unreachable.length} "unreachable", ${tally.expired.length} expired meanwhile, longest answer ${tally.longestMs} ms, ${lost.length} connections lost`,
    )
    expect(counts.reuses).toEqual([])
    const ends = world.gateways
      .flatMap((gateway) => gateway.events())
      .filter((event) => [event.event, event.error].some((name) => ['grant.needs_reconnect', 'authorization.replay', 'grant_dead'].includes(String(name))))
    expect(ends).toEqual([])
    expect(counts.refusals).toEqual([])
    expect(tally.wrong).toEqual([])
    expect(tally.broken).toEqual([])
    expect(lost).toEqual([])
    for (const { user } of connections) expect([user, versions.get(user)]).toEqual([user, 1 + (counts.refreshes[user] ?? 0)])
  }, 240_000)
})
