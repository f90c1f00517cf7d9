import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { storeContract } from '../../src/store/contract.ts'
import type { TestServer } from '../servers/program.ts'
import { startRedis, startRedisCluster, startValkey } from '../servers/redis.ts'
import { startMariadb, startPostgres } from '../servers/sql.ts'
import { type Kind, kinds, openBackend } from './open-backend.ts'

const servers = {
  'redis cluster': startRedisCluster,
  redis: async () => [await startRedis()],
  valkey: async () => [await startValkey()],
  postgres: async () => [await startPostgres()],
  mariadb: async () => [await startMariadb()],
}

// 50 callers in 5 processes, 200 rounds of each race, on each backend and both majors of Keyv.
for (const [name, start] of Object.entries(servers)) {
  describe(`the store contract on a real ${name}`, () => {
    let started: TestServer[] = []
    beforeAll(async () => {
      started = await start()
    }, 120_000)
    afterAll(() => Promise.all(started.map((server) => server.remove())))

    for (const kind of Object.keys(kinds).filter((one) => one === name || one.startsWith(`${name},`)) as Kind[]) {
      // The port is known only when the server runs, and the checks are named before.
      const ports = () => started.map(({ port }) => port)
      const module = () => `${new URL('./open-backend.ts', import.meta.url)}?kind=${encodeURIComponent(kind)}&ports=${ports().join(',')}`
      const processes = {
        get module() {
          return module()
        },
        rounds: kind.includes('keyv') || kind === 'redis cluster' ? 200 : 50,
      }
      const checks = storeContract({ name: kind, open: () => openBackend(kind, ports(), 20_000), processes })
      for (const check of checks) it(check.name, check.run, 120_000)
      it(`${kind}: is atomic across processes, and says so`, async () => {
        const store = openBackend(kind, ports(), 1_000)
        expect(store.atomicAcrossProcesses).toBe(true)
        await store.close()
      })
    }
  })
}
