import { ConfigError, createGateway, keyvStore, type Store, StoreUnavailable } from '@emcy/gateway'
import { storeContract } from '@emcy/gateway/testing'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import KeyvRedis, { createSentinel } from '@keyv/redis'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import type { TestServer } from '../servers/program.ts'
import { startRedis } from '../servers/redis.ts'
import { ThirdPartyAdapter } from './third-party-adapter.ts'

let server: TestServer
beforeAll(async () => {
  server = await startRedis()
}, 60_000)
afterAll(() => server.remove())
const redis = () => new KeyvRedis(`redis://127.0.0.1:${server.port}`)

const gatewayOn = (store: Keyv | Store) =>
  createGateway({
    publicUrl: 'http://127.0.0.1:3000',
    identify: () => ({ sub: 'you' }),
    servers: { hello: { path: '/mcp', runtime: 'http://127.0.0.1:1/mcp', workerSecret: 'a-secret-of-this-test', grants: 'none' } },
    store: store as never,
    secrets: ['a-secret-of-this-test-long-enough-to-seal'],
    replicas: 'many',
    log: false,
  })

describe('keyvStore, as the package exports it', () => {
  const opened: Store[] = []
  afterAll(() => Promise.all(opened.map((store) => store.close())))
  const open = () => {
    const store = keyvStore(new Keyv({ store: redis() as never, namespace: `contract-${opened.length}` }))
    opened.push(store)
    return store
  }
  for (const check of storeContract({ name: 'keyvStore over @keyv/redis', open })) it(check.name, check.run, 60_000)

  it.each([
    ['a Keyv 6 over @keyv/redis', () => new Keyv({ store: redis() as never }), { name: 'redis', atomicAcrossProcesses: true }],
    ['a Keyv 5 over @keyv/redis', () => new Keyv5(redis()), { name: 'redis', atomicAcrossProcesses: true }],
    ['a Keyv in memory', () => new Keyv(), { name: 'keyv (memory)', atomicAcrossProcesses: false }],
    ['another adapter', () => new Keyv({ store: new ThirdPartyAdapter() }), { name: 'keyv (ThirdPartyAdapter)', atomicAcrossProcesses: false }],
  ])('over %s says on what it stands, and for how many processes', async (_, keyv, said) => {
    const store = keyvStore(keyv())
    expect(store).toMatchObject(said)
    await store.close()
    await expect(store.get('a')).rejects.toBeInstanceOf(StoreUnavailable)
  })

  it('gives a store that can be wrapped, and then be the option of a gateway of many processes', async () => {
    const store = keyvStore(new Keyv({ store: redis() as never }))
    let closed = 0
    const gateway = gatewayOn({
      ...store,
      close: async () => {
        closed++
        await store.close()
      },
    })
    await gateway.close()
    expect(closed).toBe(1)
  })

  it.each([
    ['no Keyv', () => keyvStore(redis() as never)],
    ['a time of nothing', () => keyvStore(new Keyv(), { waitMs: 0 })],
    ['a time that is no number', () => keyvStore(new Keyv(), { waitMs: Number.NaN })],
  ])('refuses %s at once', (_, make) => {
    expect(make).toThrow(ConfigError)
  })

  it("refuses node-redis' client of Sentinel at start-up, and says what to take", async () => {
    const sentinel = { name: 'mymaster', sentinelRootNodes: [{ host: '127.0.0.1', port: 26379 }] }
    for (const keyv of [
      new Keyv({ store: new KeyvRedis(sentinel as never) as never }),
      new Keyv({ store: new KeyvRedis(createSentinel(sentinel) as never) as never }),
    ]) {
      for (const make of [() => keyvStore(keyv), () => gatewayOn(keyv)]) {
        expect(make).toThrow(ConfigError)
        expect(make).toThrow(/use @keyv\/valkey with iovalkey's new Redis\(\{ sentinels/)
      }
    }
  })
})
