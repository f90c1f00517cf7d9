import { setTimeout as pause } from 'node:timers/promises'
import { StoreUnavailable } from '../errors/errors.ts'
import { checkSpend, checkTtl } from './arguments.ts'
import type { SqlDialect, SqlFound } from './sql-dialect.ts'
import { type RunSql, type SqlDriver, untilDeadline } from './sql-driver.ts'
import type { Store } from './store.ts'

/** Expired rows removed at a time: the statement is short, and one write adds one row at most, so removal outruns growth. */
const removedAtOnce = 100
const removalEveryMs = 1_000

/** Longest key of the table. */
const keyBytes = 255

/**
 * A store in the table `emcy_gateway` of a SQL database; atomic across processes, as each operation decides in one statement.
 *
 * @param prefix of every key
 * @param waitMs how long an operation may take, in milliseconds
 */
export function sqlStore(driver: SqlDriver, dialect: SqlDialect, prefix: string, waitMs: number): Store {
  let ready: Promise<void> | undefined
  let removal: Promise<void> | undefined
  let nextRemoval = 0
  let closed = false

  const runUntil = (deadline: number): RunSql => {
    return async (sql, values = []) => {
      for (;;) {
        if (closed) throw new StoreUnavailable(`the ${dialect.name} store is closed`)
        try {
          return await driver.run(sql, values, deadline)
        } catch (error) {
          if (!driver.isConflict(error) || performance.now() > deadline) throw error
        }
        await pause(1 + Math.random() * 9)
      }
    }
  }
  const operation = async <T>(task: (run: RunSql) => Promise<T>): Promise<T> => {
    const run = runUntil(performance.now() + waitMs)
    try {
      ready ??= dialect.setUp(run)
      await ready
      return await task(run)
    } catch (error) {
      // Also after a failed operation: the database may have come back without its table.
      ready = undefined
      throw error instanceof StoreUnavailable ? error : new StoreUnavailable(`${dialect.name}: ${(error as Error).message}`, error)
    }
  }
  const write = async <T>(task: (run: RunSql) => Promise<T>): Promise<T> => {
    const result = await operation(task)
    removeSomeExpired()
    return result
  }
  const removeSomeExpired = (): void => {
    if (closed || removal || performance.now() < nextRemoval) return
    nextRemoval = performance.now() + removalEveryMs
    removal = operation((run) => dialect.removeExpired(run, removedAtOnce))
      .then(
        (removed) => {
          if (removed === removedAtOnce) nextRemoval = 0
        },
        // Nobody sees an expired row, so a later write tries again.
        () => undefined,
      )
      .finally(() => {
        removal = undefined
      })
  }
  const nameOf = (key: string): string => {
    const name = `${prefix}${key}`
    if (Buffer.byteLength(name) > keyBytes) throw new RangeError(`a key must not be longer than ${keyBytes} bytes with its namespace`)
    return name
  }
  const usedOf = async (run: RunSql, key: string): Promise<number> => {
    const found = await dialect.get(run, key)
    if (found?.value) throw new TypeError(`${key} holds a value, not a counter`)
    return found?.units ?? 0
  }

  return {
    name: dialect.name,
    atomicAcrossProcesses: true,
    async get(key) {
      const name = nameOf(key)
      return textOf(await operation((run) => dialect.get(run, name)))
    },
    async set(key, value, ttlMs) {
      checkTtl(ttlMs)
      const name = nameOf(key)
      await write((run) => dialect.set(run, name, Buffer.from(value), ttlMs))
    },
    async delete(key) {
      const name = nameOf(key)
      await write((run) => dialect.delete(run, name))
    },
    async take(key) {
      const name = nameOf(key)
      return textOf(await write((run) => dialect.take(run, name)))
    },
    async compareAndSet(key, expected, next, ttlMs) {
      checkTtl(ttlMs)
      const name = nameOf(key)
      const bytes = Buffer.from(next)
      return write((run) =>
        expected === undefined ? dialect.create(run, name, bytes, ttlMs) : dialect.replace(run, name, Buffer.from(expected), bytes, ttlMs),
      )
    },
    async spend(key, cost, limit, ttlMs) {
      checkSpend(cost, limit, ttlMs)
      const name = nameOf(key)
      return write(async (run) => {
        if (cost < 0) return { allowed: true, used: (await dialect.refund(run, name, -cost, ttlMs)) ?? (await usedOf(run, name)) }
        const spent = cost > 0 && cost <= limit ? await dialect.spend(run, name, cost, limit, ttlMs) : undefined
        if (spent !== undefined) return { allowed: true, used: spent }
        const used = await usedOf(run, name)
        return { allowed: cost === 0 && used <= limit, used }
      })
    },
    async close() {
      if (closed) return
      closed = true
      await removal
      // A connection that breaks while it says goodbye is as closed as was asked, and one that answers nothing must not hold up who leaves.
      await untilDeadline(driver.end(), performance.now() + waitMs).catch(() => undefined)
    },
  }
}

function textOf(found: SqlFound | undefined): string | undefined {
  if (!found) return undefined
  return found.value === null ? String(found.units) : Buffer.from(found.value).toString('utf8')
}
