import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import KeyvRedis, { createClient, createCluster } from '@keyv/redis'
import KeyvValkey from '@keyv/valkey'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import { keyvStore } from '../../src/store/keyv-store.ts'
import { openStore } from '../../src/store/open-store.ts'
import { loadPeer } from '../../src/store/peer.ts'
import type { Store } from '../../src/store/store.ts'
import { output, type TestServer } from '../servers/program.ts'
import { startRedis, startRedisCluster } from '../servers/redis.ts'

const minute = 60_000
const blobString = 36

/** What every operation answers; `prefix` begins its keys. */
async function holds(store: Store, prefix: string): Promise<void> {
  expect(await store.get(`${prefix}:v`)).toBeUndefined()
  expect(await store.take(`${prefix}:v`)).toBeUndefined()
  expect(await store.compareAndSet(`${prefix}:v`, undefined, 'ä', minute)).toBe(true)
  expect(await store.compareAndSet(`${prefix}:v`, undefined, 'ä', minute)).toBe(false)
  expect(await store.compareAndSet(`${prefix}:v`, 'ä', '😀', minute)).toBe(true)
  expect(await store.get(`${prefix}:v`)).toBe('😀')
  expect(await store.take(`${prefix}:v`)).toBe('😀')
  await store.set(`${prefix}:v`, '', minute)
  expect(await store.get(`${prefix}:v`)).toBe('')
  await store.delete(`${prefix}:v`)
  expect(await store.spend(`${prefix}:n`, 3, 5, minute)).toEqual({ allowed: true, used: 3 })
  expect(await store.spend(`${prefix}:n`, 3, 5, minute)).toEqual({ allowed: false, used: 3 })
  expect(await store.spend(`${prefix}:n`, -1, 5, minute)).toEqual({ allowed: true, used: 2 })
}

describe('Redis', () => {
  let server: TestServer
  beforeAll(async () => {
    server = await startRedis()
  }, 60_000)
  afterAll(() => server.remove())
  const url = () => `redis://127.0.0.1:${server.port}`
  const cli = (...args: string[]) => output('redis-cli', ['-p', String(server.port), ...args])

  it.each([
    ['RESP 3', { RESP: 3 as const }],
    ['text mapped to Buffers', { commandOptions: { typeMapping: { [blobString]: Buffer } } }],
    ['RESP 3 with numbers and text mapped', { RESP: 3 as const, commandOptions: { typeMapping: { [blobString]: Buffer, 58: String } } }],
    ['an offline queue and no reconnecting', { disableOfflineQueue: false, socket: { reconnectStrategy: false as const } }],
    ['another database', { database: 3 }],
  ])('answers the same to a client of the team with %s', async (name, options) => {
    const store = keyvStore(new Keyv5(new KeyvRedis(createClient({ url: url(), ...options } as never) as never)))
    await holds(store, name.replaceAll(' ', '-'))
    await store.close()
  })

  it('keeps the keys of two namespaces apart, and of two majors of Keyv together', async () => {
    const stores = [
      keyvStore(new Keyv({ store: new KeyvRedis(url()) as never, namespace: 'one' })),
      keyvStore(new Keyv({ store: new KeyvRedis(url()) as never, namespace: 'two' })),
      keyvStore(new Keyv({ store: new KeyvRedis(url()) as never })),
      keyvStore(new Keyv5(new KeyvRedis(url()))),
      openStore(url(), 1_000),
    ] as const
    await stores[0].set('key', 'of one', minute)
    await stores[1].set('key', 'of two', minute)
    await stores[2].set('key', 'of none', minute)
    expect(await Promise.all(stores.map((store) => store.get('key')))).toEqual(['of one', 'of two', 'of none', 'of none', 'of none'])
    expect((await cli('KEYS', '*emcy:key')).trim().split('\n').sort()).toEqual(['emcy:key', 'one:emcy:key', 'two:emcy:key'])
    await Promise.all(stores.map((store) => store.close()))
  })

  it('never leaves a key without an end', async () => {
    const store = openStore(url(), 1_000)
    await holds(store, 'ending')
    await store.spend('ending:again', 1, 5, minute)
    await store.spend('ending:again', 1, 5, minute)
    for (const key of (await cli('KEYS', 'emcy:*')).trim().split('\n')) expect(Number(await cli('PTTL', key))).toBeGreaterThan(0)
    await store.close()
  })

  it('that refuses a write says so, and admits nothing', async () => {
    const store = openStore(url(), 1_000)
    await store.set('full', 'value', minute)
    await cli('CONFIG', 'SET', 'maxmemory', '1')
    await expect(store.set('full', 'other', minute)).rejects.toBeInstanceOf(StoreUnavailable)
    await expect(store.compareAndSet('more', undefined, 'value', minute)).rejects.toBeInstanceOf(StoreUnavailable)
    await expect(store.spend('count', 1, 5, minute)).rejects.toBeInstanceOf(StoreUnavailable)
    expect(await store.get('full')).toBe('value')
    await cli('CONFIG', 'SET', 'maxmemory', '0')
    expect(await store.get('more')).toBeUndefined()
    expect(await store.spend('count', 0, 5, minute)).toEqual({ allowed: true, used: 0 })
    await store.close()
  })

  it('closes its own client and leaves that of the team', async () => {
    const client = createClient({ url: url() })
    await client.connect()
    const store = keyvStore(new Keyv5(new KeyvRedis(client as never)))
    await store.set('key', 'value', minute)
    const own = async () => Number((await cli('CLIENT', 'LIST')).trim().split('\n').length)
    const open = await own()
    await store.close()
    await expect(store.get('key')).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(await client.ping()).toBe('PONG')
    for (let left = open; left !== open - 1; left = await own()) await new Promise((resolve) => setTimeout(resolve, 20))
    await client.close()
  })

  it.each(['redis://:wrong@', 'redis://nobody:wrong@'])('that refuses the password of %s is an outage, in time, not "absent"', async (start) => {
    const store = openStore(`${start}127.0.0.1:${server.port}`, 500)
    await expect(store.get('key')).rejects.toBeInstanceOf(StoreUnavailable)
    await store.close()
  })
})

describe('a Redis Cluster', () => {
  let nodes: TestServer[]
  beforeAll(async () => {
    nodes = await startRedisCluster()
  }, 60_000)
  afterAll(() => Promise.all(nodes.map((node) => node.remove())))

  const clients: [string, () => Keyv5][] = [
    ['node-redis', () => new Keyv5(new KeyvRedis(createCluster({ rootNodes: nodes.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` })) }) as never))],
    [
      'node-redis that knows one node',
      () => new Keyv5(new KeyvRedis(createCluster({ rootNodes: [{ url: `redis://127.0.0.1:${nodes[1]?.port}` }], RESP: 3 }) as never)),
    ],
    [
      'iovalkey',
      () => {
        const { Cluster } = loadPeer<{ Cluster: new (...options: unknown[]) => never }>('iovalkey', '@keyv/valkey')
        return new Keyv5(
          new KeyvValkey(
            new Cluster(
              nodes.map(({ port }) => ({ host: '127.0.0.1', port })),
              { lazyConnect: true },
            ),
          ) as never,
        )
      },
    ],
  ]
  it.each(clients)('serves %s, over all nodes', async (name, keyvOver) => {
    const store = keyvStore(keyvOver())
    for (let index = 0; index < 30; index++) await holds(store, `${name.replaceAll(' ', '-')}:${index}`)
    const counts = await Promise.all(nodes.map(({ port }) => output('redis-cli', ['-p', String(port), 'DBSIZE'])))
    for (const count of counts) expect(Number(count)).toBeGreaterThan(0)
    await store.close()
  })
})
