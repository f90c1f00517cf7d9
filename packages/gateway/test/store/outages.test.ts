import { afterAll, beforeAll, describe, it } from '@jest/globals'
import type { TestServer } from '../servers/program.ts'
import { startRedis, startRedisCluster, startValkey } from '../servers/redis.ts'
import { startMariadb, startPostgres } from '../servers/sql.ts'
import type { Kind } from './open-backend.ts'
import { Caller, refuses, works } from './outage-caller.ts'

const backends: [server: string, start: () => Promise<TestServer[]>, kinds: Kind[]][] = [
  ['redis', async () => [await startRedis()], ['redis, keyv 6', 'redis, keyv 5', 'redis, address']],
  ['a redis cluster', startRedisCluster, ['redis cluster, keyv 6', 'redis cluster, keyv 5']],
  ['valkey', async () => [await startValkey()], ['valkey, keyv 6', 'valkey, keyv 5']],
  ['postgres', async () => [await startPostgres()], ['postgres, keyv 6', 'postgres, keyv 5', 'postgres, own pool', 'postgres, address']],
  ['mariadb', async () => [await startMariadb()], ['mariadb, keyv 6', 'mariadb, keyv 5']],
]

for (const [name, start, kinds] of backends) {
  describe(`outages of ${name}`, () => {
    let servers: TestServer[] = []
    const callers: Caller[] = []
    beforeAll(async () => {
      servers = await start()
      const ports = servers.map(({ port }) => port)
      callers.push(...kinds.map((kind) => new Caller(kind, ports)))
      await Promise.all(callers.map((caller) => caller.ready()))
    }, 120_000)
    afterAll(async () => {
      for (const { child } of callers) child.kill('SIGKILL')
      await Promise.all(servers.map((server) => server.remove()))
    })

    const ridesOut = async (bringDown: () => Promise<unknown>, bringUp: () => Promise<unknown>) => {
      await Promise.all(callers.map((caller) => caller.until((seen) => seen.every(works), 10_000)))
      await bringDown()
      await Promise.all(callers.map((caller) => caller.until((seen) => seen.every(refuses), 10_000)))
      await bringUp()
      await Promise.all(callers.map((caller) => caller.until((seen) => seen.every(works), 15_000)))
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
      for (const caller of callers) await caller.end()
    }, 30_000)
  })
}
