import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { TestServer } from '../servers/program.ts'
import { startRedis, startRedisCluster, startValkey } from '../servers/redis.ts'
import { startMariadb, startPostgres } from '../servers/sql.ts'
import type { Kind } from './open-backend.ts'
import type { Seen } from './outage-worker.ts'

const deadlineMs = 1_000
const backends: [server: string, start: () => Promise<TestServer[]>, kinds: Kind[]][] = [
  ['redis', async () => [await startRedis()], ['redis, keyv 6', 'redis, keyv 5', 'redis, address']],
  ['a redis cluster', startRedisCluster, ['redis cluster, keyv 6', 'redis cluster, keyv 5']],
  ['valkey', async () => [await startValkey()], ['valkey, keyv 6', 'valkey, keyv 5']],
  ['postgres', async () => [await startPostgres()], ['postgres, keyv 6', 'postgres, keyv 5', 'postgres, own pool', 'postgres, address']],
  ['mariadb', async () => [await startMariadb()], ['mariadb, keyv 6', 'mariadb, keyv 5']],
]

/** A process on the store, and what it saw since it was last asked. */
class Caller {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>
  constructor(kind: Kind, servers: TestServer[]) {
    this.child = fork(new URL('./outage-worker.ts', import.meta.url), [kind, servers.map(({ port }) => port).join(',')], { execArgv: [] })
    this.ended = once(this.child, 'exit').then(([code]) => code as number | null)
  }
  async seen(word = 'seen'): Promise<Seen> {
    const answer = once(this.child, 'message')
    this.child.send(word)
    return (await answer)[0] as Seen
  }
  /** Asks until an answer meets the condition, and gives all answers together. */
  async until(met: (seen: Seen) => boolean, limitMs: number): Promise<Seen> {
    const end = performance.now() + limitMs
    const all: Seen = { right: 0, unavailable: 0, wrong: [], longestMs: 0 }
    for (;;) {
      await pause(100)
      const seen = await this.seen()
      all.right += seen.right
      all.unavailable += seen.unavailable
      all.wrong.push(...seen.wrong)
      all.longestMs = Math.max(all.longestMs, seen.longestMs)
      if (met(seen)) return all
      if (performance.now() > end) throw new Error(`not met within ${limitMs} ms: ${JSON.stringify(seen).slice(0, 500)}`)
    }
  }
}

const works = (seen: Seen) => seen.right > 0 && seen.unavailable === 0
const refuses = (seen: Seen) => seen.unavailable > 0 && seen.right === 0

for (const [name, start, kinds] of backends) {
  describe(`outages of ${name}`, () => {
    let servers: TestServer[] = []
    const callers: Caller[] = []
    beforeAll(async () => {
      servers = await start()
      callers.push(...kinds.map((kind) => new Caller(kind, servers)))
      await Promise.all(callers.map(({ child }) => once(child, 'message')))
    }, 120_000)
    afterAll(async () => {
      for (const { child } of callers) child.kill('SIGKILL')
      await Promise.all(servers.map((server) => server.remove()))
    })

    const ridesOut = async (bringDown: () => Promise<unknown>, bringUp: () => Promise<unknown>) => {
      await Promise.all(callers.map((caller) => caller.until(works, 10_000)))
      await bringDown()
      const down = await Promise.all(callers.map((caller) => caller.until(refuses, 10_000)))
      await bringUp()
      const up = await Promise.all(callers.map((caller) => caller.until(works, 15_000)))
      for (const seen of [...down, ...up]) {
        expect(seen.wrong).toEqual([])
        expect(seen.longestMs).toBeLessThan(deadlineMs + 500)
      }
    }

    it.each([1, 2])(
      'a crash and a restart: every call is right or "unavailable", in time, and then all is as before (%i)',
      async () => {
        await ridesOut(
          () => Promise.all(servers.map((server) => server.kill())),
          () => Promise.all(servers.map((server) => server.start())),
        )
      },
      120_000,
    )

    it('a server that hangs: every call is "unavailable", in time, and then all is as before', async () => {
      await ridesOut(
        async () => {
          for (const server of servers) server.hang()
        },
        async () => {
          for (const server of servers) server.goOn()
        },
      )
    }, 120_000)

    it('no process has ended of it, and each ends well', async () => {
      for (const caller of callers) {
        expect(caller.child.exitCode).toBeNull()
        expect((await caller.seen('end')).wrong).toEqual([])
        expect(await caller.ended).toBe(0)
      }
    }, 30_000)
  })
}
