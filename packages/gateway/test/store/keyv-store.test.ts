import { describe, expect, it } from '@jest/globals'
import { Keyv } from 'keyv'
import { Keyv as Keyv5 } from 'keyv5'
import { ConfigError, StoreUnavailable } from '../../src/errors/errors.ts'
import { withDeadline } from '../../src/store/deadline.ts'
import type { KeyvLike } from '../../src/store/keyv-like.ts'
import { keyvStore } from '../../src/store/keyv-store.ts'
import type { Store } from '../../src/store/store.ts'
import { Keyv6Adapter, type Mood, NamespacedAdapter, ThirdPartyAdapter } from './third-party-adapter.ts'

const minute = 60_000
const lines: [string, (adapter: ThirdPartyAdapter) => KeyvLike][] = [
  ['keyv 6', (adapter) => new Keyv({ store: adapter })],
  ['keyv 5', (adapter) => new Keyv5({ store: adapter })],
  ['keyv 6 with an adapter of its own', (adapter) => new Keyv({ store: Object.assign(adapter, { capabilities: { expires: true } }) })],
]
const outages: Mood[] = ['rejects', 'hangs', 'lies with an event', 'lies in silence']

const operations: Record<string, (store: Store, key: string) => Promise<unknown>> = {
  get: (store, key) => store.get(key),
  set: (store, key) => store.set(key, 'new', minute),
  delete: (store, key) => store.delete(key),
  take: (store, key) => store.take(key),
  'compareAndSet of an absent key': (store, key) => store.compareAndSet(key, undefined, 'new', minute),
  'compareAndSet of a present one': (store, key) => store.compareAndSet(key, 'old', 'new', minute),
  spend: (store, key) => store.spend(key, 1, 10, minute),
  refund: (store, key) => store.spend(key, -1, 10, minute),
}

function uncaught(): { errors: unknown[]; stop: () => void } {
  const errors: unknown[] = []
  const note = (error: unknown) => errors.push(error)
  process.on('uncaughtException', note)
  process.on('unhandledRejection', note)
  return {
    errors,
    stop: () => {
      process.off('uncaughtException', note)
      process.off('unhandledRejection', note)
    },
  }
}

describe.each(lines)('an outage under %s', (_, keyvOver) => {
  describe.each(outages)('where the adapter %s', (mood) => {
    it.each(Object.entries(operations))('rejects %s, and the same store works again after it', async (_name, operation) => {
      const watch = uncaught()
      const adapter = new ThirdPartyAdapter()
      const store = withDeadline(keyvStore(keyvOver(adapter), { waitMs: 160 }), 200)
      await store.set('value', 'old', minute)
      adapter.mood = mood
      await expect(operation(store, 'value')).rejects.toBeInstanceOf(StoreUnavailable)
      await expect(operation(store, 'absent')).rejects.toBeInstanceOf(StoreUnavailable)
      adapter.mood = 'well'
      expect(await store.get('another')).toBeUndefined()
      await store.set('another', 'new', minute)
      expect(await store.get('another')).toBe('new')
      watch.stop()
      expect(watch.errors).toEqual([])
    })
  })

  it.each(['drops writes in silence', 'refuses writes'] as Mood[])('where the adapter %s rejects what it did not do', async (mood) => {
    const adapter = new ThirdPartyAdapter()
    const store = keyvStore(keyvOver(adapter))
    await store.set('value', 'old', minute)
    await store.spend('counter', 1, 10, minute)
    adapter.mood = mood
    for (const name of ['set', 'delete', 'take', 'compareAndSet of a present one']) {
      await expect(operations[name]?.(store, 'value')).rejects.toBeInstanceOf(StoreUnavailable)
    }
    await expect(store.spend('counter', 1, 10, minute)).rejects.toBeInstanceOf(StoreUnavailable)
    await expect(store.spend('counter', -1, 10, minute)).rejects.toBeInstanceOf(StoreUnavailable)
    expect(await store.get('value')).toBe('old')
    adapter.mood = 'well'
    expect(await store.take('value')).toBe('old')
    expect(await store.spend('counter', 0, 10, minute)).toEqual({ allowed: true, used: 1 })
  })

  it('that is told by an event of no call fails what runs, and nothing later', async () => {
    const adapter = new ThirdPartyAdapter()
    const store = keyvStore(keyvOver(adapter))
    await store.set('value', 'old', minute)
    const running = store.get('value')
    // One turn later the read is on its way; the connection ends outside any call.
    await Promise.resolve()
    await new Promise((resolve) => process.nextTick(resolve))
    adapter.emit('error', new Error('socket closed'))
    await expect(running).rejects.toMatchObject({ code: 'store_unavailable', reason: 'keyv: socket closed' })
    expect(await store.get('value')).toBe('old')
    adapter.emit('error', new Error('nobody asked'))
    expect(await store.get('value')).toBe('old')
  })

  it('of one call leaves another that runs beside it alone', async () => {
    const adapter = new ThirdPartyAdapter()
    const store = keyvStore(keyvOver(adapter))
    await store.set('good', 'value', minute)
    await store.set('bad', 'value', minute)
    const sound = adapter.get.bind(adapter)
    adapter.get = async (key) => {
      if (key.endsWith('bad')) adapter.emit('error', new Error('one shard is down'))
      return sound(key)
    }
    const [good, bad] = await Promise.allSettled([store.get('good'), store.get('bad')])
    expect(good).toEqual({ status: 'fulfilled', value: 'value' })
    expect(bad).toMatchObject({ status: 'rejected', reason: { reason: 'keyv: one shard is down' } })
  })

  it('of one read alone, told by no event, is no absence', async () => {
    const adapter = new ThirdPartyAdapter()
    const store = keyvStore(keyvOver(adapter))
    await store.set('bad', 'value', minute)
    const sound = adapter.get.bind(adapter)
    adapter.get = async (key) => {
      if (key.endsWith('bad')) throw new Error('one shard timed out')
      return sound(key)
    }
    await expect(store.get('bad')).rejects.toMatchObject({ reason: 'keyv: one shard timed out' })
    await expect(store.compareAndSet('bad', undefined, 'new', minute)).rejects.toBeInstanceOf(StoreUnavailable)
    expect(await store.get('absent')).toBeUndefined()
  })

  it('does not let an operation happen after its caller was told that it did not', async () => {
    const adapter = new ThirdPartyAdapter()
    const store = withDeadline(keyvStore(keyvOver(adapter), { waitMs: 100 }), 125)
    await store.set('value', 'old', minute)
    let answer = (): void => undefined
    const sound = adapter.get.bind(adapter)
    adapter.get = async (key) => {
      await new Promise<void>((resolve) => {
        answer = resolve
      })
      return sound(key)
    }
    const results = await Promise.allSettled([store.take('value'), store.take('value'), store.spend('value', 1, 5, minute)])
    expect(results.map((result) => result.status)).toEqual(['rejected', 'rejected', 'rejected'])
    adapter.get = sound
    answer()
    expect(await store.get('value')).toBe('old')
  })

  it('of a record that another program wrote is no absence', async () => {
    const adapter = new ThirdPartyAdapter()
    const keyv = keyvOver(adapter)
    const store = keyvStore(keyv)
    await keyv.set('emcy:foreign', 'something else')
    await expect(store.get('foreign')).rejects.toMatchObject({ reason: 'keyv: a record was not written by this gateway' })
    const [row] = adapter.table.keys()
    adapter.table.set(String(row), { value: '{"broken', expires: undefined })
    await expect(store.get('foreign')).rejects.toBeInstanceOf(StoreUnavailable)
  })
})

describe('namespaces', () => {
  it('keyv 6: a Keyv without a namespace is renamed by a second one too, which is seen', async () => {
    const adapter = new NamespacedAdapter()
    const store = keyvStore(new Keyv({ store: adapter }))
    await store.set('value', 'old', minute)
    expect(new Keyv({ store: adapter, namespace: 'two' }).namespace).toBe('two')
    await expect(store.get('value')).rejects.toMatchObject({ reason: expect.stringContaining('another Keyv') })
  })

  it.each([
    ['keyv 6, an older adapter', (namespace: string, adapter: NamespacedAdapter): KeyvLike => new Keyv({ store: adapter, namespace }), NamespacedAdapter],
    ['keyv 6, an adapter of its own', (namespace: string, adapter: NamespacedAdapter): KeyvLike => new Keyv({ store: adapter, namespace }), Keyv6Adapter],
    ['keyv 5', (namespace: string, adapter: NamespacedAdapter): KeyvLike => new Keyv5({ store: adapter, namespace }), NamespacedAdapter],
  ])('%s: a second Keyv on the adapter is seen, before and after', async (_, keyvOver, Adapter) => {
    const adapter = new Adapter()
    const first = keyvOver('one', adapter)
    const store = keyvStore(first)
    await store.set('value', 'old', minute)
    const second = keyvOver('two', adapter)
    // What happens without the check: the record is there and reads as absent.
    expect(await first.get('emcy:value')).toBeUndefined()
    await expect(store.get('value')).rejects.toMatchObject({ code: 'store_unavailable', reason: expect.stringContaining('another Keyv') })
    await expect(store.compareAndSet('value', undefined, 'new', minute)).rejects.toMatchObject({ code: 'store_unavailable' })
    expect(() => keyvStore(first)).toThrow(ConfigError)
    expect(await keyvStore(second).get('value')).toBeUndefined()
  })

  it('keyv 6: an adapter without a namespace is given keys that differ', async () => {
    const adapter = new ThirdPartyAdapter()
    const [one, two] = [keyvStore(new Keyv({ store: adapter, namespace: 'one' })), keyvStore(new Keyv({ store: adapter, namespace: 'two' }))]
    await one.set('value', 'of one', minute)
    await two.set('value', 'of two', minute)
    expect([await one.get('value'), await two.get('value')]).toEqual(['of one', 'of two'])
  })

  it.each([
    ['keyv 6', (map: Map<string, unknown>, namespace: string): KeyvLike => new Keyv({ store: map, namespace })],
    ['keyv 5', (map: Map<string, unknown>, namespace: string): KeyvLike => new Keyv5(map as Map<string, string>, { namespace })],
  ])('%s: two Keyvs on one Map keep to themselves', async (_, keyvOn) => {
    const map = new Map<string, unknown>()
    const [one, two] = [keyvStore(keyvOn(map, 'one')), keyvStore(keyvOn(map, 'two'))]
    await one.set('value', 'of one', minute)
    await two.set('value', 'of two', minute)
    expect([await one.get('value'), await two.get('value')]).toEqual(['of one', 'of two'])
  })

  it('keyv 5: a key that begins with the namespace does not meet the one without', async () => {
    const store = keyvStore(new Keyv5({ namespace: 'grant' }))
    await store.set('grant:a', 'long', minute)
    await store.set('a', 'short', minute)
    expect([await store.get('grant:a'), await store.get('a')]).toEqual(['long', 'short'])
  })

  it('keyv 6: key sanitizing, which can make two keys one, is refused', () => {
    expect(() => keyvStore(new Keyv({ sanitize: { keys: true } }))).toThrow(/sanitize/)
    expect(() => keyvStore(new Keyv({ sanitize: { namespace: true } }))).not.toThrow()
  })
})

describe('one process', () => {
  it.each([
    ['a Map', () => new Map<string, unknown>()],
    ['an adapter', () => new ThirdPartyAdapter()],
  ])('two stores over two Keyvs on %s still have one winner', async (_, backing) => {
    const holder = backing()
    const stores = [keyvStore(new Keyv({ store: holder })), keyvStore(new Keyv({ store: holder }))]
    for (let round = 0; round < 20; round++) {
      const key = `take:${round}`
      await stores[0]?.set(key, 'once', minute)
      const taken = await Promise.all(Array.from({ length: 20 }, (_each, caller) => stores[caller % 2]?.take(key)))
      expect(taken.filter((value) => value !== undefined)).toEqual(['once'])
    }
  })

  it('data of one store is there for the next on the same Keyv, and close leaves the Keyv alone', async () => {
    const keyv = new Keyv()
    const first = keyvStore(keyv)
    await first.set('value', 'kept', minute)
    await first.close()
    await expect(first.get('value')).rejects.toBeInstanceOf(StoreUnavailable)
    expect(await keyvStore(keyv).get('value')).toBe('kept')
  })

  it('entries that expired leave a Map though nobody reads them', async () => {
    const map = new Map<string, unknown>()
    const store = keyvStore(new Keyv({ store: map }))
    for (let index = 0; index < 100; index++) await store.set(`short:${index}`, 'a', 5)
    await store.delete('short:0')
    await new Promise((resolve) => setTimeout(resolve, 20))
    for (let index = 0; index < 60; index++) await store.set(`long:${index}`, 'a', minute)
    await new Promise((resolve) => setImmediate(resolve))
    expect(map.size).toBe(60)
  })

  it('says what it stands on, and that other processes are not seen', () => {
    expect(keyvStore(new Keyv())).toMatchObject({ name: 'keyv (memory)', atomicAcrossProcesses: false })
    expect(keyvStore(new Keyv5())).toMatchObject({ name: 'keyv (memory)', atomicAcrossProcesses: false })
    expect(keyvStore(new Keyv({ store: new ThirdPartyAdapter() }))).toMatchObject({ name: 'keyv (ThirdPartyAdapter)', atomicAcrossProcesses: false })
    expect(keyvStore(new Keyv5({ store: new ThirdPartyAdapter() }))).toMatchObject({ name: 'keyv (ThirdPartyAdapter)', atomicAcrossProcesses: false })
  })
})
