import { afterAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { memoryStore } from '../../src/store/memory.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'
import { scratchFolder } from './scratch.ts'

/*
 * Any sequence of operations, with time going on between them, answers as a model that is too simple to be wrong. A counter reads as its decimal digits; to
 * spend from a value is a mistake.
 */

type Step =
  | { do: 'get'; key: string }
  | { do: 'delete'; key: string }
  | { do: 'take'; key: string }
  | { do: 'set'; key: string; value: string; ttlMs: number }
  | { do: 'compareAndSet'; key: string; expected: string | undefined; value: string; ttlMs: number }
  | { do: 'spend'; key: string; cost: number; limit: number; ttlMs: number }
  | { do: 'wait'; ms: number }

const key = fc.constantFrom('a', 'b', 'n')
const value = fc.constantFrom('', '1', 'x', '2')
const ttlMs = fc.integer({ min: 1, max: 30 })
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('get' as const), key }),
  fc.record({ do: fc.constant('delete' as const), key }),
  fc.record({ do: fc.constant('take' as const), key }),
  fc.record({ do: fc.constant('set' as const), key, value, ttlMs }),
  fc.record({ do: fc.constant('compareAndSet' as const), key, expected: fc.option(value, { nil: undefined }), value, ttlMs }),
  fc.record({
    do: fc.constant('spend' as const),
    key: fc.constantFrom('n', 'm', 'b'),
    cost: fc.integer({ min: -6, max: 6 }),
    limit: fc.integer({ min: 0, max: 10 }),
    ttlMs,
  }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 20 }) }),
)

function model(clock: () => number): (step: Step) => unknown {
  const held = new Map<string, { value: string; counts: boolean; expires: number }>()
  const read = (name: string) => {
    const entry = held.get(name)
    return entry && entry.expires > clock() ? entry : undefined
  }
  return (step) => {
    if (step.do === 'wait') return undefined
    const entry = read(step.key)
    if (step.do === 'get') return entry?.value
    if (step.do === 'delete' || step.do === 'take') {
      held.delete(step.key)
      return step.do === 'take' ? entry?.value : undefined
    }
    const expires = clock() + step.ttlMs
    if (step.do === 'spend') {
      if (entry && !entry.counts) return 'a mistake'
      const used = Number(entry?.value ?? 0)
      if (step.cost >= 0 && used + step.cost > step.limit) return { allowed: false, used }
      if (step.cost < 0 && entry && entry.expires > expires) return { allowed: true, used }
      const after = Math.max(0, used + step.cost)
      if (entry || step.cost > 0) held.set(step.key, { value: String(after), counts: true, expires: entry?.expires ?? expires })
      return { allowed: true, used: after }
    }
    if (step.do === 'compareAndSet' && entry?.value !== step.expected) return false
    held.set(step.key, { value: step.value, counts: false, expires })
    return step.do === 'compareAndSet' ? true : undefined
  }
}

async function answer(store: Store, step: Step): Promise<unknown> {
  if (step.do === 'wait') return undefined
  if (step.do === 'set') return store.set(step.key, step.value, step.ttlMs)
  if (step.do === 'compareAndSet') return store.compareAndSet(step.key, step.expected, step.value, step.ttlMs)
  if (step.do === 'spend') return store.spend(step.key, step.cost, step.limit, step.ttlMs).catch(mistake)
  return store[step.do](step.key)
}

function mistake(error: unknown): string {
  if (error instanceof TypeError) return 'a mistake'
  throw error
}

async function agrees(open: (clock: () => number) => Store, steps: Step[]): Promise<void> {
  let now = 1_000
  const clock = () => now
  const store = open(clock)
  const expected = model(clock)
  try {
    for (const step of steps) {
      if (step.do === 'wait') now += step.ms
      expect([step, await answer(store, step)]).toEqual([step, expected(step)])
    }
  } finally {
    await store.close()
  }
}

describe('any sequence of operations', () => {
  const scratch = scratchFolder()
  afterAll(scratch.remove)
  const steps = fc.array(step, { minLength: 1, maxLength: 60, size: 'max' })

  it('answers as the model, in memory', async () => {
    await fc.assert(
      fc.asyncProperty(steps, (sequence) => agrees((clock) => memoryStore({ clock }), sequence)),
      { numRuns: 500 },
    )
  })

  it('answers as the model, in SQLite', async () => {
    let files = 0
    await fc.assert(
      fc.asyncProperty(steps, (sequence) => agrees((clock) => sqliteStore(scratch.path(`${files++}.db`), { clock }), sequence)),
      { numRuns: 300 },
    )
  }, 60_000)
})
