import { StoreUnavailable } from '../errors/errors.ts'
import { checkSpend, checkTtl } from './arguments.ts'
import type { Store } from './store.ts'

/** Options of {@link memoryStore}. */
export interface MemoryStoreOptions {
  /** Milliseconds since the epoch; the system's clock when left out. */
  clock?: () => number
}

interface Entry {
  value: string | number
  expires: number
}

/** How many entries each write looks at for expiry: more than one, so that removal outruns growth. */
const sweptByWrite = 4

/**
 * A store in the memory of this process: for development and tests, and for one process whose users may sign in again after a restart. Every operation
 * runs to its end without a pause, which makes it atomic.
 */
export function memoryStore(options: MemoryStoreOptions = {}): Store {
  const clock = options.clock ?? Date.now
  const entries = new Map<string, Entry>()
  let cursor = entries.entries()
  let closed = false

  const live = (key: string): Entry | undefined => {
    if (closed) throw new StoreUnavailable('the memory store is closed')
    const entry = entries.get(key)
    if (entry === undefined || entry.expires > clock()) return entry
    entries.delete(key)
    return undefined
  }
  const write = (key: string, value: string | number, ttlMs: number): void => {
    sweep()
    entries.set(key, { value, expires: clock() + ttlMs })
  }
  // Entries that nobody reads again must go too. A cursor walks round the map, a few steps a write: no timer, no long pause.
  const sweep = (): void => {
    for (let step = 0; step < sweptByWrite; step++) {
      const next = cursor.next()
      if (next.done) {
        cursor = entries.entries()
        return
      }
      const [key, entry] = next.value
      if (entry.expires <= clock()) entries.delete(key)
    }
  }

  return {
    name: 'memory',
    atomicAcrossProcesses: false,
    async get(key) {
      return textOf(live(key))
    },
    async set(key, value, ttlMs) {
      checkTtl(ttlMs)
      live(key)
      write(key, value, ttlMs)
    },
    async delete(key) {
      live(key)
      entries.delete(key)
    },
    async take(key) {
      const entry = live(key)
      entries.delete(key)
      return textOf(entry)
    },
    async compareAndSet(key, expected, next, ttlMs) {
      checkTtl(ttlMs)
      if (textOf(live(key)) !== expected) return false
      write(key, next, ttlMs)
      return true
    },
    async spend(key, cost, limit, ttlMs) {
      checkSpend(cost, limit, ttlMs)
      const entry = live(key)
      if (typeof entry?.value === 'string') throw new TypeError(`${key} holds a value, not a counter`)
      const used = entry?.value ?? 0
      if (cost >= 0 && used + cost > limit) return { allowed: false, used }
      if (cost < 0 && entry && entry.expires > clock() + ttlMs) return { allowed: true, used }
      const after = Math.max(0, used + cost)
      if (entry) entry.value = after
      else if (cost > 0) write(key, after, ttlMs)
      return { allowed: true, used: after }
    },
    async close() {
      closed = true
      entries.clear()
    },
  }
}

function textOf(entry: Entry | undefined): string | undefined {
  return entry === undefined ? undefined : String(entry.value)
}
