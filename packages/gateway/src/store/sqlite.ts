import { StoreUnavailable } from '../errors/errors.ts'
import { checkSpend, checkTtl } from './arguments.ts'
import { openSqliteFile } from './sqlite-file.ts'
import { prepareStatements, removedAtOnce } from './sqlite-statements.ts'
import type { Store } from './store.ts'
import { createWriteQueue } from './write-queue.ts'

/** Options of {@link sqliteStore}. */
export interface SqliteStoreOptions {
  /** Milliseconds since the epoch; the system's clock when left out. */
  clock?: () => number
  /** How long a write may stand in line for the write lock of another process, in milliseconds; 1000 when left out. It does not block the process. */
  waitMs?: number
}

/** `node:sqlite` is synchronous, so while SQLite itself waits for a lock nothing else runs here: a few milliseconds bridge most commits of others. */
const blockingMs = 4

/** While batches are full, every write removes one; else one look a second is enough. */
const removalEveryMs = 1_000

/**
 * A store in one SQLite file (`node:sqlite`): survives restarts, and is atomic across all processes of one machine, as each operation is one statement.
 * Not for network file systems, whose locks do not hold. A process that dies loses nothing; nor does a machine that loses power.
 *
 * @param path file path; created with mode 0600 when absent, its folder must exist
 * @throws ConfigError when the file cannot be opened
 */
export function sqliteStore(path: string, options: SqliteStoreOptions = {}): Store {
  const { clock = Date.now, waitMs = 1_000 } = options
  const { database, statements } = openSqliteFile(path, blockingMs, prepareStatements)
  const queue = createWriteQueue(waitMs)
  let nextRemoval = 0

  const read = (key: string): string | number | undefined => statements.get.get(key, clock())?.value as string | number | undefined
  const usedOf = async (key: string): Promise<number> => {
    const value = await queue.read(() => read(key))
    if (typeof value === 'string') throw new TypeError(`${key} holds a value, not a counter`)
    return value ?? 0
  }
  const write = async <T>(statement: () => T): Promise<T> => {
    const result = await queue.run(statement)
    removeSomeExpired()
    return result
  }
  const removeSomeExpired = (): void => {
    const now = clock()
    if (now < nextRemoval) return
    nextRemoval = now + removalEveryMs
    try {
      if (statements.removeExpired.run(now).changes === removedAtOnce) nextRemoval = now
    } catch {
      // Nobody sees an expired row, so whatever stood in the way (another writer, most likely), a later write tries again.
    }
  }

  return {
    name: 'sqlite',
    atomicAcrossProcesses: true,
    async get(key) {
      return textOf(await queue.read(() => read(key)))
    },
    async set(key, value, ttlMs) {
      checkTtl(ttlMs)
      await write(() => statements.set.run(key, value, clock() + ttlMs))
    },
    async delete(key) {
      await write(() => statements.delete.run(key))
    },
    async take(key) {
      const row = await write(() => only(statements.take.all(key)))
      return row !== undefined && Number(row.expires) > clock() ? textOf(row.value as string) : undefined
    },
    async compareAndSet(key, expected, next, ttlMs) {
      checkTtl(ttlMs)
      const done = await write(() => {
        const now = clock()
        return expected === undefined ? statements.create.run(key, next, now + ttlMs, now) : statements.replace.run(next, now + ttlMs, key, expected, now)
      })
      return done.changes === 1
    },
    async spend(key, cost, limit, ttlMs) {
      checkSpend(cost, limit, ttlMs)
      if (cost < 0) {
        const row = await write(() => only(statements.refund.all({ key, cost, now: clock(), ttl: ttlMs })))
        return { allowed: true, used: row ? Number(row.value) : await usedOf(key) }
      }
      if (cost > 0 && cost <= limit) {
        const row = await write(() => only(statements.spend.all({ key, cost, limit, now: clock(), ttl: ttlMs })))
        if (row) return { allowed: true, used: Number(row.value) }
      }
      const used = await usedOf(key)
      return { allowed: cost === 0 && used <= limit, used }
    },
    async close() {
      queue.close(new StoreUnavailable('the sqlite store is closed'))
      if (database.isOpen) database.close()
    },
  }
}

/**
 * The one row of a write that returns rows. Such a write is read to its end by `all`: it commits only there, and `get` stops before it and swallows the
 * error of a commit that fails (a full disk), so that a code would be handed out and still be there.
 */
function only<T>(rows: T[]): T | undefined {
  return rows[0]
}

function textOf(value: string | number | undefined): string | undefined {
  return value === undefined ? undefined : String(value)
}
