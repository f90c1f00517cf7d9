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

  const storeOutage = async (downMs: number, atItsBegin: () => void = () => undefined) => {
    await world.store.kill()
    atItsBegin()
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
      // The SDK clients refresh in quiet times and while the store is down, but not as a replica dies: a refresh that no OAuth server answers sends SDK v1 and v2 to sign in again.
      deeds: [
        [6, () => storeOutage(1_500, clients.refresh)],
        [11, async () => clients.refresh()],
        [15, () => victim.crash(500)],
        [20, async () => clients.refresh()],
        [24, () => storeOutage(2_500, clients.refresh)],
        [29, async () => clients.refresh()],
        [33, () => victim.crash(500)],
        [38, async () => clients.refresh()],
        [42, () => Promise.all([storeOutage(2_500), victim.crash(500)])],
        [50, async () => clients.refresh()],
      ],
    })
    const stories = await clients.end()
    const counts = await world.counts()
    const refreshes = Object.values(counts.refreshes).reduce((sum, each) => sum + each, 0)
    console.log(
      `two replicas on ${kind}, store and one replica killed three times: ${tally.calls} calls, ${tally.right} right answers, ${tally.refreshes} refreshes by clients, ${refreshes} downstream refreshes, ` +
        `${tally.unreachable.length} "unreachable", ${tally.broken.length} broken connections to the killed replica, longest answer ${tally.longestMs} ms, ` +
        `${lost.length} of ${connectionCount} grants lost with an answer that a kill cut off\n` +
        stories.map(({ name, right, failed }) => `${name}: ${right} calls right, ${failed.length} failed`).join(', '),
    )
    // The documented exception: the provider had answered, and the replica died before it had stored the answer.
    const exceptions = counts.reuses.filter(({ at }) => victim.gone.some(({ from }) => from <= at)).map(({ user }) => user)
    expect(counts.reuses.map(({ user }) => user)).toEqual(exceptions)
    expect(lost.filter(({ user }) => !exceptions.includes(user))).toEqual([])
    expect(tally.wrong.filter(({ user }) => !exceptions.includes(user))).toEqual([])

    expect(tally.broken.filter((incident) => !isOfDeath(incident, victim.gone))).toEqual([])
    expect(tally.unreachable.filter(({ what }) => !/^unreachable (-31003|503)/.test(what))).toEqual([])
    expect(tally.slow).toEqual([])
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

function expectUnharmed(story: ClientStory): void {
  expect(story).toMatchObject({ lastly: story.user, askedAgain: false })
  expect(story.right).toBeGreaterThan(10)
  expect(story.sessions).toHaveLength(story.isLegacySdk ? 1 : 0)
}
