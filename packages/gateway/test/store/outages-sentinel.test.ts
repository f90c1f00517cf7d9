import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { TestServer } from '../servers/program.ts'
import { type SentinelGroup, startSentinelGroup } from '../servers/redis-sentinel.ts'
import { Caller, works } from './outage-caller.ts'

describe('Redis behind three sentinels', () => {
  let group: SentinelGroup
  let caller: Caller
  beforeAll(async () => {
    group = await startSentinelGroup()
    const ports = group.sentinels.map(({ port }) => port)
    caller = new Caller('redis behind sentinels, @keyv/valkey', ports)
    await caller.ready()
  }, 120_000)
  afterAll(async () => {
    caller?.child.kill('SIGKILL')
    await group?.remove()
  })
  const untilItWorks = () => caller.until((seen) => seen.every(works), 30_000)

  it.each<[string, (master: TestServer) => unknown, (master: TestServer) => unknown]>([
    ['dies', (master) => master.kill(), (master) => master.start()],
    ['hangs', (master) => master.hang(), (master) => master.goOn()],
  ])(
    'follows the master when it %s: until the other one is master every call is "unavailable", in time, and then all is as before',
    async (_, bringDown, bringUp) => {
      await group.whole()
      await untilItWorks()
      const before = (await group.master()) as TestServer
      await bringDown(before)
      await caller.until((seen) => seen.every(({ unavailable }) => unavailable > 0), 10_000)
      await untilItWorks()
      expect((await group.master())?.port).not.toBe(before.port)
      // The old one comes back and is made a replica: nothing is read there, and nothing written.
      await bringUp(before)
      await group.whole()
      await untilItWorks()
    },
    180_000,
  )

  it('works on while a sentinel is gone and another hangs', async () => {
    const [gone, hanging] = group.sentinels as [TestServer, TestServer]
    await gone.kill()
    hanging.hang()
    const other = new Caller(
      'redis behind sentinels, @keyv/valkey',
      group.sentinels.map(({ port }) => port),
    )
    await other.ready()
    await Promise.all([untilItWorks(), other.until((seen) => seen.every(works), 30_000)])
    hanging.goOn()
    await gone.start()
    await other.end()
  }, 60_000)

  it('no process has ended of it, and it ends well', () => caller.end(), 30_000)
})
