import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import { processChecks, type StoreProcesses } from './contract-processes.ts'
import type { Store } from './store.ts'
import type { StoreCheck } from './store-check.ts'

/** What {@link storeContract} needs. */
export interface StoreContractOptions {
  /** Stands before each check's name. */
  name: string
  /** Opens the store. Called once a check; a check closes what it opened, and uses keys that no other check uses. */
  open: () => Store | Promise<Store>
  /** Adds the checks with several processes at once; for a store with `atomicAcrossProcesses`. */
  processes?: StoreProcesses
}

type Check = (store: Store, key: string) => Promise<void>

const minute = 60_000
const callers = 50

/**
 * The contract of a {@link Store} as checks: what every backend of the gateway passes, and an adopter's own store must pass before it holds tokens.
 */
export function storeContract(options: StoreContractOptions): StoreCheck[] {
  const inOneProcess = Object.entries(checks).map(([name, check]) => ({
    name: `${options.name}: ${name}`,
    async run() {
      const store = await options.open()
      try {
        await check(store, `check:${randomUUID()}`)
      } finally {
        await store.close()
      }
    },
  }))
  return options.processes ? [...inOneProcess, ...processChecks(options.name, options.open, options.processes)] : inOneProcess
}

const checks: Record<string, Check> = {
  'an absent key reads as undefined': async (store, key) => {
    assert.equal(await store.get(key), undefined)
    assert.equal(await store.take(key), undefined)
    await store.delete(key)
  },
  'a value comes back to the character': async (store, key) => {
    const values = ['', ' ', 'ä→😀', ':escaped', '"quoted"', '{"a":1}', '1', 'null', '0x1f', '1e3', 'line\nline\0', 'x'.repeat(100_000)]
    for (const [index, value] of values.entries()) await store.set(`${key}:${index}`, value, minute)
    for (const [index, value] of values.entries()) assert.equal(await store.get(`${key}:${index}`), value)
    for (const [index, value] of values.entries()) assert.equal(await store.compareAndSet(`${key}:${index}`, value, `${value}.`, minute), true)
    for (const [index, value] of values.entries()) assert.equal(await store.take(`${key}:${index}`), `${value}.`)
  },
  'set overwrites, delete removes': async (store, key) => {
    await store.set(key, 'a', minute)
    await store.set(key, 'b', minute)
    assert.equal(await store.get(key), 'b')
    await store.delete(key)
    assert.equal(await store.get(key), undefined)
  },
  'similar keys are different keys': async (store, key) => {
    const keys = [
      key,
      `${key}:`,
      `${key} `,
      `${key}a`,
      `${key}A`,
      `${key}%`,
      `${key}_`,
      `${key}--a`,
      `${key}-a`,
      `keyv:${key}`,
      `emcy:${key}`,
      `${key}:${'k'.repeat(150)}`,
    ]
    for (const each of keys) await store.set(each, `of ${each}`, minute)
    for (const each of keys) assert.equal(await store.get(each), `of ${each}`)
    await store.delete(`${key}%`)
    await store.delete(`${key}_`)
    assert.equal(await store.get(`${key}a`), `of ${key}a`)
  },
  'a life ends, for every operation': async (store, key) => {
    const life = 40
    for (const use of ['get', 'take', 'create', 'replace', 'delete']) await store.set(`${key}:${use}`, 'old', life)
    await store.spend(`${key}:spend`, 3, 3, life)
    await pause(life + 20)
    assert.equal(await store.get(`${key}:get`), undefined)
    assert.equal(await store.take(`${key}:take`), undefined)
    assert.equal(await store.compareAndSet(`${key}:replace`, 'old', 'new', minute), false)
    assert.equal(await store.compareAndSet(`${key}:create`, undefined, 'new', minute), true)
    assert.equal(await store.get(`${key}:create`), 'new')
    await store.delete(`${key}:delete`)
    assert.deepEqual(await store.spend(`${key}:spend`, 2, 3, minute), { allowed: true, used: 2 })
  },
  'writing anew starts the life anew': async (store, key) => {
    const life = 40
    await store.set(`${key}:set`, 'a', life)
    await store.set(`${key}:set`, 'b', minute)
    await store.set(`${key}:swap`, 'a', life)
    assert.equal(await store.compareAndSet(`${key}:swap`, 'a', 'b', minute), true)
    await pause(life + 20)
    assert.equal(await store.get(`${key}:set`), 'b')
    assert.equal(await store.get(`${key}:swap`), 'b')
  },
  'a life of a year lasts': async (store, key) => {
    const year = 366 * 86_400_000
    await store.set(key, 'a', year)
    assert.equal(await store.compareAndSet(key, 'a', 'b', year), true)
    assert.deepEqual(await store.spend(`${key}:spend`, 1, 2, year), { allowed: true, used: 1 })
    await pause(5)
    assert.equal(await store.get(key), 'b')
    assert.deepEqual(await store.spend(`${key}:spend`, 1, 2, year), { allowed: true, used: 2 })
  },
  'take gives the value to exactly one of many callers': async (store, key) => {
    await store.set(key, 'once', minute)
    const taken = await Promise.all(many(() => store.take(key)))
    assert.deepEqual(
      taken.filter((value) => value !== undefined),
      ['once'],
    )
    assert.equal(await store.get(key), undefined)
  },
  'compareAndSet creates for exactly one of many callers': async (store, key) => {
    const won = await Promise.all(many((caller) => store.compareAndSet(key, undefined, `by ${caller}`, minute)))
    assert.equal(won.filter(Boolean).length, 1)
    assert.equal(await store.get(key), `by ${won.indexOf(true)}`)
  },
  'compareAndSet replaces for exactly one of many callers': async (store, key) => {
    await store.set(key, 'old', minute)
    const won = await Promise.all(many((caller) => store.compareAndSet(key, 'old', `by ${caller}`, minute)))
    assert.equal(won.filter(Boolean).length, 1)
    assert.equal(await store.get(key), `by ${won.indexOf(true)}`)
  },
  'compareAndSet leaves alone what it did not expect': async (store, key) => {
    assert.equal(await store.compareAndSet(key, 'a', 'b', minute), false)
    assert.equal(await store.get(key), undefined)
    await store.set(key, 'a', minute)
    assert.equal(await store.compareAndSet(key, undefined, 'b', minute), false)
    assert.equal(await store.compareAndSet(key, 'A', 'b', minute), false)
    assert.equal(await store.compareAndSet(key, '', 'b', minute), false)
    assert.equal(await store.get(key), 'a')
  },
  'no change by read and compareAndSet is lost': async (store, key) => {
    const changes = 8
    await store.set(key, '0', minute)
    const change = async (): Promise<void> => {
      for (;;) {
        const read = await store.get(key)
        if (await store.compareAndSet(key, read, String(Number(read) + 1), minute)) return
      }
    }
    await Promise.all(Array.from({ length: changes }, change))
    assert.equal(await store.get(key), String(changes))
  },
  'spend admits exactly what fits': async (store, key) => {
    const spent = await Promise.all(many(() => store.spend(key, 3, 100, minute)))
    const allowed = spent.filter((each) => each.allowed)
    assert.equal(allowed.length, 33)
    assert.deepEqual(
      allowed.map((each) => each.used).sort((a, b) => a - b),
      Array.from({ length: 33 }, (_, index) => 3 * (index + 1)),
    )
    for (const refused of spent.filter((each) => !each.allowed)) assert.equal(refused.used, 99)
    assert.deepEqual(await store.spend(key, 2, 100, minute), { allowed: false, used: 99 })
    assert.deepEqual(await store.spend(key, 1, 100, minute), { allowed: true, used: 100 })
    assert.deepEqual(await store.spend(key, 1, 100, minute), { allowed: false, used: 100 })
  },
  'a spend above the limit is refused and creates nothing': async (store, key) => {
    assert.deepEqual(await store.spend(key, 6, 5, minute), { allowed: false, used: 0 })
    assert.deepEqual(await store.spend(key, 1, 0, minute), { allowed: false, used: 0 })
    assert.equal(await store.get(key), undefined)
  },
  'a limit may change between spends': async (store, key) => {
    await store.spend(key, 5, 5, minute)
    assert.deepEqual(await store.spend(key, 1, 3, minute), { allowed: false, used: 5 })
    assert.deepEqual(await store.spend(key, 0, 3, minute), { allowed: false, used: 5 })
    assert.deepEqual(await store.spend(key, 1, 6, minute), { allowed: true, used: 6 })
  },
  'a spend of nothing tells the count and creates nothing': async (store, key) => {
    assert.deepEqual(await store.spend(key, 0, 5, minute), { allowed: true, used: 0 })
    assert.equal(await store.get(key), undefined)
    await store.spend(key, 2, 5, minute)
    assert.deepEqual(await store.spend(key, 0, 5, minute), { allowed: true, used: 2 })
  },
  'a refund gives back, is always allowed, never goes below nothing and creates nothing': async (store, key) => {
    assert.deepEqual(await store.spend(key, -2, 5, minute), { allowed: true, used: 0 })
    assert.equal(await store.get(key), undefined)
    await store.spend(key, 5, 5, minute)
    assert.deepEqual(await store.spend(key, -2, 1, minute), { allowed: true, used: 3 })
    assert.deepEqual(await store.spend(key, 2, 5, minute), { allowed: true, used: 5 })
    assert.deepEqual(await store.spend(key, -9, 5, minute), { allowed: true, used: 0 })
    assert.deepEqual(await store.spend(key, 5, 5, minute), { allowed: true, used: 5 })
  },
  'a refund meant for an earlier counter leaves a later one as it is': async (store, key) => {
    await store.spend(key, 3, 5, minute)
    assert.deepEqual(await store.spend(key, -1, 5, minute / 2), { allowed: true, used: 3 })
    assert.deepEqual(await store.spend(key, -1, 5, minute), { allowed: true, used: 2 })
  },
  "a counter's life starts with its first unit, and nothing prolongs it": async (store, key) => {
    const life = 60
    await store.spend(key, 0, 5, minute)
    await store.spend(key, -1, 5, minute)
    await store.spend(key, 2, 5, life)
    const ends = Date.now() + life
    await store.spend(key, 1, 5, minute)
    await store.spend(key, -1, 5, minute)
    await store.spend(key, 9, 5, minute)
    await pause(ends - Date.now() + 20)
    assert.deepEqual(await store.spend(key, 5, 5, minute), { allowed: true, used: 5 })
  },
  'big counts stay exact': async (store, key) => {
    const limit = Number.MAX_SAFE_INTEGER
    assert.deepEqual(await store.spend(key, limit - 1, limit, minute), { allowed: true, used: limit - 1 })
    assert.deepEqual(await store.spend(key, 2, limit, minute), { allowed: false, used: limit - 1 })
    assert.deepEqual(await store.spend(key, 1, limit, minute), { allowed: true, used: limit })
    assert.deepEqual(await store.spend(key, limit, limit, minute), { allowed: false, used: limit })
  },
  'a wrong life, cost or limit is a mistake of the caller and changes nothing': async (store, key) => {
    for (const ttlMs of [0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(store.set(key, 'a', ttlMs), RangeError)
      await assert.rejects(store.compareAndSet(key, undefined, 'a', ttlMs), RangeError)
      await assert.rejects(store.spend(key, 1, 5, ttlMs), RangeError)
    }
    for (const units of [1.5, Number.NaN, Number.POSITIVE_INFINITY]) {
      await assert.rejects(store.spend(key, units, 5, minute), RangeError)
      await assert.rejects(store.spend(key, 1, units, minute), RangeError)
    }
    assert.equal(await store.get(key), undefined)
  },
  'a closed store rejects, and never answers "absent"': async (store, key) => {
    await store.close()
    const closed = { code: 'store_unavailable' }
    await assert.rejects(store.get(key), closed)
    await assert.rejects(store.set(key, 'a', minute), closed)
    await assert.rejects(store.delete(key), closed)
    await assert.rejects(store.take(key), closed)
    await assert.rejects(store.compareAndSet(key, undefined, 'a', minute), closed)
    await assert.rejects(store.spend(key, 1, 5, minute), closed)
  },
}

function many<T>(call: (caller: number) => Promise<T>): Promise<T>[] {
  return Array.from({ length: callers }, (_, caller) => call(caller))
}
