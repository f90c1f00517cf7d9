import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import type { TestServer } from '../servers/program.ts'
import { startRedis, startValkey } from '../servers/redis.ts'
import { startMariadb, startPostgres } from '../servers/sql.ts'
import { startDeafProxy } from './deaf-proxy.ts'
import { type Kind, openBackend, openKind } from './open-backend.ts'

const deadlineMs = 1_000
const backends: [Kind, () => Promise<TestServer>][] = [
  ['redis, keyv 6', startRedis],
  ['valkey, keyv 6', startValkey],
  ['postgres, keyv 6', startPostgres],
  ['postgres, own pool', startPostgres],
  ['mariadb, keyv 6', startMariadb],
]

// node-redis was seen to answer nothing after a reconnect although the server was up; a firewall that forgets a connection does the same to anything.
describe.each(backends)('%s, when open connections answer nothing while the server is up', (kind, start) => {
  let server: TestServer
  beforeAll(async () => {
    server = await start()
  }, 120_000)
  afterAll(() => server.remove())

  it('rejects in time, gives them up for new ones, and works again', async () => {
    const first = openBackend(kind, [server.port], 20_000)
    await first.set('kept', 'value', 60_000)
    await first.close()
    const proxy = await startDeafProxy(server.port)
    const store = openBackend(kind, [proxy.port], deadlineMs)
    // As many at once as fill a pool, so that each of its connections is met.
    const read = () => Promise.all(Array.from({ length: 8 }, () => store.get('kept').catch((error: unknown) => error)))
    try {
      await read()
      proxy.deafen()
      const began = performance.now()
      let refused = 0
      for (let answers: unknown[] = []; !answers.every((answer) => answer === 'value') || answers.length === 0; ) {
        const called = performance.now()
        answers = await read()
        expect(performance.now() - called).toBeLessThan(deadlineMs + 500)
        for (const answer of answers) if (answer !== 'value') expect(answer).toBeInstanceOf(StoreUnavailable)
        refused += answers.filter((answer) => answer !== 'value').length
        expect(performance.now() - began).toBeLessThan(8 * deadlineMs)
      }
      expect(refused).toBeGreaterThan(0)
    } finally {
      await proxy.close()
      await store.close()
    }
  }, 60_000)
})

// What of a store is the gateway's own to close: a Keyv or pool stays the team's.
const ownConnections: [Kind, () => Promise<TestServer>][] = [
  ['redis, address', startRedis],
  ['postgres, address', startPostgres],
  ['mariadb, keyv 6', startMariadb],
]

describe.each(ownConnections)('%s, closing', (kind, start) => {
  it.each([
    ['answer nothing', false],
    ['break as they are left', true],
  ])(
    'ends in time where its connections %s',
    async (_, breakThem) => {
      const server = await start()
      const proxy = await startDeafProxy(server.port)
      try {
        const store = openKind(kind, [proxy.port], deadlineMs)
        await store.set('kept', 'value', 60_000)
        proxy.deafen()
        const began = performance.now()
        const closed = store.close()
        if (breakThem) proxy.breakAll()
        await closed
        expect(performance.now() - began).toBeLessThan(deadlineMs + 500)
      } finally {
        await proxy.close()
        await server.remove()
      }
    },
    120_000,
  )
})
