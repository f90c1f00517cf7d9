import assert from 'node:assert/strict'
import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { extname } from 'node:path'
import type { Store } from './store.ts'
import type { StoreCheck } from './store-check.ts'

/** Several processes at once on one store. */
export interface StoreProcesses {
  /** URL of a module whose export `open` opens the store in a new process: `file:///…`. */
  module: string
  /** Processes; 5 when left out. */
  count?: number
  /** Callers in each process; 10 when left out. */
  callers?: number
  /** Rounds of each check; 50 when left out. */
  rounds?: number
}

/** What each caller of each process is told to do. */
export type Order =
  | { do: 'take'; key: string }
  | { do: 'compareAndSet'; key: string; expected: string | undefined }
  | { do: 'spend'; key: string; cost: number; limit: number }

/** What the parent sends: every one of `callers` gives the order at the same time. */
export interface Round {
  order: Order
  callers: number
}

/** What a process answers: each caller's result, or why there is none. */
export type Report = { results: unknown[] } | { failed: string }

interface Crew {
  /** Lets all callers of all processes do the same at once; their results. */
  all<T>(order: Order): Promise<T[]>
}

const minute = 60_000

/** The checks that need several processes. */
export function processChecks(name: string, open: () => Store | Promise<Store>, processes: StoreProcesses): StoreCheck[] {
  const { rounds = 50, callers = 10, count = 5 } = processes
  const check = (title: string, run: (store: Store, crew: Crew) => Promise<void>): StoreCheck => ({
    name: `${name}: ${count} processes × ${callers} callers: ${title}`,
    async run() {
      const store = await open()
      const children = Array.from({ length: count }, () => fork(workerPath(), [processes.module], { serialization: 'advanced' }))
      try {
        await Promise.all(children.map(nextReport))
        const all = async <T>(order: Order): Promise<T[]> => {
          const reports = Promise.all(children.map(nextReport))
          for (const child of children) child.send({ order, callers } satisfies Round)
          return (await reports).flat() as T[]
        }
        for (let round = 0; round < rounds; round++) await run(store, { all })
      } finally {
        for (const child of children) child.kill()
        await store.close()
      }
    },
  })
  return [
    check('take has one winner', async (store, crew) => {
      const key = `check:${randomUUID()}`
      await store.set(key, 'once', minute)
      const taken = await crew.all<string | undefined>({ do: 'take', key })
      assert.deepEqual(
        taken.filter((value) => value !== undefined),
        ['once'],
      )
    }),
    check('compareAndSet has one winner, of an absent key and of a present one', async (store, crew) => {
      const key = `check:${randomUUID()}`
      for (const expected of [undefined, 'first']) {
        if (expected !== undefined) await store.set(key, expected, minute)
        const won = await crew.all<boolean>({ do: 'compareAndSet', key, expected })
        assert.equal(won.filter(Boolean).length, 1)
      }
    }),
    check('spend admits exactly what fits, and what refused calls left can still be spent', async (store, crew) => {
      const key = `check:${randomUUID()}`
      const limit = 100
      const cost = 3
      const spent = await crew.all<{ allowed: boolean; used: number }>({ do: 'spend', key, cost, limit })
      const fits = Math.min(spent.length, Math.floor(limit / cost))
      assert.equal(spent.filter((each) => each.allowed).length, fits)
      const left = limit - fits * cost
      assert.deepEqual(await store.spend(key, left, limit, minute), { allowed: true, used: limit })
      assert.deepEqual(await store.spend(key, 1, limit, minute), { allowed: false, used: limit })
    }),
  ]
}

/** The worker stands beside this file, as source or as built. */
function workerPath(): URL {
  return new URL(`./contract-worker${extname(import.meta.url)}`, import.meta.url)
}

/** A process answers once when its store is open, and once a round. */
async function nextReport(child: ChildProcess): Promise<unknown[]> {
  const ended = new AbortController()
  try {
    const exit = once(child, 'exit', { signal: ended.signal }).then(([code]) => {
      throw new Error(`a process of the store contract ended with ${code}`)
    })
    const [report] = (await Promise.race([once(child, 'message', { signal: ended.signal }), exit])) as [Report]
    if ('failed' in report) throw new Error(report.failed)
    return report.results
  } finally {
    ended.abort()
  }
}
