import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import type { ClientTokens } from './hammered-connection.ts'
import { type ClientStory, startClients } from './mcp-clients-through.ts'
import { type Replicas, startReplicas } from './replicas.ts'
import { grantVersions, hammer } from './run.ts'
import type { Incident } from './tally.ts'

/*
 * The store is killed three times and one of two replicas three times, once both together, while 200 scripted clients and five real ones call through both.
 */

const connectionCount = 200
/** Where a replica dies as it refreshes a grant, calls of that user wait for it: no longer than this, and no later than a lease (12 s) and the clocks' 3 s after its death. */
const [longestWaitMs, leaseMs] = [10_500, 15_000]
/** A right answer that waited for its user's refresh has the provider's deadline (`timeoutSeconds`, 2 s) and 500 ms. */
const providerMs = 2_500
const pause = (ms: number) => new Promise((next) => setTimeout(next, ms))

describe.each(['redis', 'postgres'] as const)('two replicas on %s', (kind) => {
  let world: Replicas
  let connections: ClientTokens[]
  beforeEach(async () => {
    // The real clients refresh when the test says so: fastmcp forgets its tokens when a refresh is answered with anything but 200 (mcp/client/auth/oauth2.py), so it must not refresh in an outage.
    world = await startReplicas(kind, { tokens: { accessTokenSeconds: 600 }, downstreamSeconds: 8, clockOffsetsMs: [-1_500, 1_500] })
    connections = await world.signIn(connectionCount)
  }, 180_000)
  afterEach(() => world?.close(), 30_000)

  const storeOutage = async (downMs: number) => {
    await world.store.kill()
    await pause(downMs)
    await world.store.start()
  }

  it('answer rightly or "unreachable", in time, while the store and one of them are killed three times, and lose no session', async () => {
    const [survivor, victim] = world.gateways
    const { pid } = survivor
    const clients = await startClients(world.mcpUrl)
    const { tally, lost } = await hammer(world, connections, {
      seconds: 60,
      callsPerSecond: 120,
      refreshAfterSeconds: 15,
      deeds: [
        [6, () => storeOutage(1_500)],
        [15, () => victim.crash(500)],
        [24, () => storeOutage(2_500)],
        [33, () => victim.crash(500)],
        [42, () => Promise.all([storeOutage(2_500), victim.crash(500)])],
      ],
    })
    const stories = await clients.end()
    const counts = await world.counts()
    const refreshes = Object.values(counts.refreshes).reduce((sum, each) => sum + each, 0)
    console.log(
      `two replicas on ${kind}, store and one replica killed three times: ${tally.calls} calls, ${tally.right} right answers, ${tally.refreshes} refreshes by clients, ${refreshes} downstream refreshes, ` +
        `${tally.unreachable.length} "unreachable", ${tally.broken.length} broken connections to the killed replica, longest answer ${tally.longestMs} ms ` +
        `(${tally.slow.length} above 1.5 s, which waited for a refresh), ${lost.length} of ${connectionCount} grants lost with an answer that a kill cut off\n` +
        stories.map(({ name, right, failed }) => `${name}: ${right} calls right, ${failed.length} failed`).join(', '),
    )
    // The documented exception: the provider had answered, and the replica died before it had stored the answer.
    const exceptions = counts.reuses.filter(({ at }) => victim.gone.some(({ from }) => from <= at)).map(({ user }) => user)
    expect(counts.reuses.map(({ user }) => user)).toEqual(exceptions)
    expect(lost.filter(({ user }) => !exceptions.includes(user))).toEqual([])
    expect(tally.wrong.filter(({ user }) => !exceptions.includes(user))).toEqual([])

    expect(tally.broken.filter((incident) => !isOfDeath(incident, victim.gone))).toEqual([])
    expect(tally.unreachable.filter(({ what }) => !/^unreachable (-31003|503)/.test(what))).toEqual([])
    expect(tally.slow.filter((incident) => !waitedForTheProvider(incident) && !waitedForTheDead(incident, victim.gone))).toEqual([])
    expect(tally.expired).toEqual([])

    expect(survivor.ended()).toBeUndefined()
    expect(survivor.pid).toBe(pid)
    expect(victim.gone).toHaveLength(3)
    const versions = await grantVersions(world.storeUrl, connections)
    for (const { user } of connections) if (!exceptions.includes(user)) expect([user, versions.get(user)]).toEqual([user, 1 + (counts.refreshes[user] ?? 0)])
    for (const story of stories) if (!exceptions.includes(story.user)) expectUnharmed(story)
  }, 300_000)
})

/** A connection that broke because its replica died, or that was refused while it was gone. */
function isOfDeath({ gateway, at, until, ms }: Incident, gone: { from: number; to: number }[]): boolean {
  return gateway === 1 && gone.some(({ from, to }) => until >= from && at <= to + 500 + (until - at - ms))
}

function waitedForTheProvider({ ms, what }: Incident): boolean {
  return what === 'right' && ms <= providerMs
}

/** Such a call may be cut off by the next death, which is judged as a broken connection. */
function waitedForTheDead({ at, until, ms, what }: Incident, gone: { from: number }[]): boolean {
  return ms <= longestWaitMs && /^(right|unreachable -31003|E[A-Z]+$)/.test(what) && gone.some(({ from }) => until >= from && at <= from + leaseMs)
}

function expectUnharmed(story: ClientStory): void {
  expect(story).toMatchObject({ lastly: story.user, askedAgain: false })
  expect(story.right).toBeGreaterThan(10)
  expect(story.sessions).toHaveLength(story.isLegacySdk ? 1 : 0)
}
