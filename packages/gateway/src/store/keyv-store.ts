import { ConfigError, StoreUnavailable } from '../errors/errors.ts'
import { checkSpend, checkTtl } from './arguments.ts'
import { createKeyLock, type InTurn } from './key-lock.ts'
import { atomicStoreOf } from './keyv-backend.ts'
import { isKeyv, isMapBacked, type KeyvLike, layersOf, prepareKeyv } from './keyv-like.ts'
import { type Watched, watchKeyv } from './keyv-outage.ts'
import { type KeyvEntry, type KeyvRecord, keyvRecord } from './keyv-record.ts'
import { createRemoval } from './removal.ts'
import type { Store } from './store.ts'

/** Options of {@link keyvStore}. */
export interface KeyvStoreOptions {
  /** How long an operation may take, its turn among others of its key included, before its next step is no longer begun, in milliseconds; 1000 when left out. */
  waitMs?: number
}

/** One lock for all that rests on the same adapter or Map in this process, whatever Keyv it comes through. */
const locks = new WeakMap<object, InTurn>()

/**
 * A store over any Keyv, 5 or 6: what the gateway makes of a Keyv that is its option `store`, for whoever wants to hold it against the store contract, or to
 * wrap it. Over `@keyv/redis`, `@keyv/valkey`, `@keyv/postgres`, `@keyv/mysql` and `@keyv/sqlite` it is atomic across processes, by connections of its own
 * with the adapter's settings. Over any other adapter it serves one process only, and says so by `atomicAcrossProcesses`. The Keyv stays the caller's: `close`
 * does not disconnect it.
 *
 * @param keyv made with `new Keyv(…)`
 * @returns the store. Its operations reject with StoreUnavailable when the database fails; given to the gateway they also get its deadline
 * @throws ConfigError when the value is no Keyv, the Keyv would mix up keys, its client cannot be kept from sending a command twice, or a driver is not installed
 */
export function keyvStore(keyv: KeyvLike, options: KeyvStoreOptions = {}): Store {
  if (!isKeyv(keyv)) throw new ConfigError('store', 'keyvStore takes a Keyv, version 5 or 6, for example new Keyv({ store: adapter })')
  const { waitMs = 1_000 } = options
  if (!Number.isInteger(waitMs) || waitMs < 1) throw new ConfigError('waitMs', 'must be a whole number of milliseconds from 1')
  prepareKeyv(keyv)
  const watched = watchKeyv(keyv)
  return atomicStoreOf(keyv, waitMs) ?? serialisedStore(keyv, watched, waitMs)
}

/**
 * Keyv has no compare-and-set, no increment and no get-and-delete, so operations on one key run one after the other in this process: atomic for one process,
 * and for one only. Keys begin with `emcy:`, whatever namespace the Keyv has.
 */
function serialisedStore(keyv: KeyvLike, watched: Watched, waitMs: number): Store {
  const inTurn = lockOf(keyv)
  let closed = false

  const run = async <T>(key: string, task: (record: KeyvRecord) => Promise<T>): Promise<T> => {
    const deadline = performance.now() + waitMs
    const call = async <R>(one: () => Promise<R>): Promise<R> => {
      if (closed) throw new StoreUnavailable('the keyv store is closed')
      // Whoever asked has been told "unavailable" by now: what they asked for must not happen after all.
      if (performance.now() > deadline) throw new StoreUnavailable(`keyv: given up after ${waitMs} ms`)
      return watched(one)
    }
    return inTurn(key, () => task(keyvRecord(keyv, key, call)))
  }
  // Keyv removes an expired entry of a Map only when it is read again. Other adapters have ways of their own.
  const removal = isMapBacked(keyv) ? createRemoval((key) => run(key, (record) => record.read())) : undefined
  const write = async (key: string, record: KeyvRecord, entry: KeyvEntry): Promise<void> => {
    await record.write(entry)
    removal?.written(key, entry.expires)
  }

  const remove = async (key: string, record: KeyvRecord): Promise<void> => {
    await record.remove()
    removal?.removed(key)
  }

  return {
    name: nameOf(keyv),
    atomicAcrossProcesses: false,
    get: (key) => run(key, async (record) => textOf(await record.read())),
    async set(key, value, ttlMs) {
      checkTtl(ttlMs)
      await run(key, (record) => write(key, record, { value, expires: Date.now() + ttlMs }))
    },
    delete: (key) => run(key, (record) => remove(key, record)),
    take: (key) =>
      run(key, async (record) => {
        const entry = await record.read()
        if (entry) await remove(key, record)
        return textOf(entry)
      }),
    async compareAndSet(key, expected, next, ttlMs) {
      checkTtl(ttlMs)
      return run(key, async (record) => {
        if (textOf(await record.read()) !== expected) return false
        await write(key, record, { value: next, expires: Date.now() + ttlMs })
        return true
      })
    },
    async spend(key, cost, limit, ttlMs) {
      checkSpend(cost, limit, ttlMs)
      return run(key, async (record) => {
        const entry = await record.read()
        if (typeof entry?.value === 'string') throw new TypeError(`${key} holds a value, not a counter`)
        const used = entry?.value ?? 0
        if (cost >= 0 && used + cost > limit) return { allowed: false, used }
        if (cost < 0 && entry && entry.expires > Date.now() + ttlMs) return { allowed: true, used }
        const after = Math.max(0, used + cost)
        if (after !== used) await write(key, record, { value: after, expires: entry?.expires ?? Date.now() + ttlMs })
        return { allowed: true, used: after }
      })
    },
    async close() {
      closed = true
    },
  }
}

function lockOf(keyv: KeyvLike): InTurn {
  const backing = layersOf(keyv).at(-1) ?? keyv
  const lock = locks.get(backing) ?? createKeyLock()
  locks.set(backing, lock)
  return lock
}

function nameOf(keyv: KeyvLike): string {
  return isMapBacked(keyv) ? 'keyv (memory)' : `keyv (${layersOf(keyv).at(-1)?.constructor?.name ?? 'adapter'})`
}

function textOf(entry: KeyvEntry | undefined): string | undefined {
  return entry === undefined ? undefined : String(entry.value)
}
