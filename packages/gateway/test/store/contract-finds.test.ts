import { describe, expect, it } from '@jest/globals'
import { storeContract } from '../../src/store/contract.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'

/** Names of the checks that a store fails. */
async function failures(open: () => Store): Promise<string[]> {
  const failed: string[] = []
  for (const check of storeContract({ name: 'naive', open })) {
    await check.run().catch(() => failed.push(check.name.replace('naive: ', '')))
  }
  return failed
}

/** A store built as one would at first: from get, set and delete of a backend that answers a tick later. */
function naiveStore(): Store {
  const sound = memoryStore()
  const later = async <T>(result: Promise<T>): Promise<T> => {
    const [value] = await Promise.all([result, new Promise((resolve) => setImmediate(resolve))])
    return value
  }
  return {
    ...sound,
    name: 'naive',
    async take(key) {
      const value = await later(sound.get(key))
      await sound.delete(key)
      return value
    },
    async compareAndSet(key, expected, next, ttlMs) {
      if ((await later(sound.get(key))) !== expected) return false
      await sound.set(key, next, ttlMs)
      return true
    },
    async spend(key, cost, limit, ttlMs) {
      const used = Number((await later(sound.get(key))) ?? 0)
      if (used + cost > limit) return { allowed: false, used: used + cost }
      await sound.set(key, String(used + cost), ttlMs)
      return { allowed: true, used: used + cost }
    },
  }
}

describe('the contract suite finds', () => {
  it('nothing in a sound store', async () => {
    expect(await failures(() => memoryStore())).toEqual([])
  })

  it('races, lost changes and wrong counts in a naive one', async () => {
    const failed = await failures(naiveStore)
    expect(failed).toEqual(
      expect.arrayContaining([
        'take gives the value to exactly one of many callers',
        'compareAndSet creates for exactly one of many callers',
        'compareAndSet replaces for exactly one of many callers',
        'no change by read and compareAndSet is lost',
        'spend admits exactly what fits',
        'a spend above the limit is refused and creates nothing',
        'a spend of nothing tells the count and creates nothing',
        'a refund gives back, is always allowed, never goes below nothing and creates nothing',
        "a counter's life starts with its first unit, and nothing prolongs it",
      ]),
    )
  })

  it('that a store which each process has for itself is not shared', async () => {
    const module = String(new URL('./open-memory.ts', import.meta.url))
    const checks = storeContract({ name: 'alone', open: () => memoryStore(), processes: { module, count: 2, callers: 2, rounds: 1 } })
    const several = checks.filter((check) => check.name.includes('2 processes × 2 callers'))
    expect(several).toHaveLength(3)
    for (const check of several) await expect(check.run()).rejects.toThrow(/deeply equal|strictly equal|Expected/)
  })

  it('that the store of a process cannot be opened', async () => {
    const module = String(new URL('./no-such-module.ts', import.meta.url))
    const [check] = storeContract({ name: 'absent', open: () => memoryStore(), processes: { module, count: 1, rounds: 1 } }).slice(-1)
    await expect(check?.run()).rejects.toThrow(/Cannot find module .*no-such-module/)
  })
})
