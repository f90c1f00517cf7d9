import { randomUUID } from 'node:crypto'
import { foundIn, type SqlDialect } from './sql-dialect.ts'
import type { RunSql } from './sql-driver.ts'

/** From UTC, because a local time of the hour in which summer time ends means two moments. */
const now = "(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(3)) DIV 1000)"

/** How long a taken row may wait to be read by its taker, in milliseconds. */
const takenLifeMs = 10_000

const duplicateKey = 1062
const noSuchTable = 1146

const sql = {
  create: `CREATE TABLE IF NOT EXISTS emcy_gateway (
    k VARBINARY(255) NOT NULL PRIMARY KEY, v LONGBLOB, n BIGINT NOT NULL, exp BIGINT NOT NULL, KEY emcy_gateway_exp (exp)) ENGINE = InnoDB`,
  get: `SELECT v, n FROM emcy_gateway WHERE k = ? AND exp > ${now}`,
  set: `INSERT INTO emcy_gateway (k, v, n, exp) VALUES (?, ?, 0, ${now} + ?)
    ON DUPLICATE KEY UPDATE v = VALUES(v), n = 0, exp = VALUES(exp)`,
  delete: 'DELETE FROM emcy_gateway WHERE k = ?',
  take: `UPDATE emcy_gateway SET k = ?, exp = LEAST(exp, ${now} + ${takenLifeMs}) WHERE k = ? AND exp > ${now}`,
  readTaken: 'SELECT v, n FROM emcy_gateway WHERE k = ?',
  insert: `INSERT INTO emcy_gateway (k, v, n, exp) VALUES (?, ?, ?, ${now} + ?)`,
  deleteExpired: `DELETE FROM emcy_gateway WHERE k = ? AND exp <= ${now}`,
  replace: `UPDATE emcy_gateway SET v = ?, exp = ${now} + ?, n = n + 1 WHERE k = ? AND v = ? AND exp > ${now}`,
  spend: `UPDATE emcy_gateway SET n = LAST_INSERT_ID(n + ?) WHERE k = ? AND v IS NULL AND exp > ${now} AND n + ? <= ?`,
  refund: `UPDATE emcy_gateway SET n = LAST_INSERT_ID(GREATEST(0, n - ?)) WHERE k = ? AND v IS NULL AND exp > ${now} AND exp <= ${now} + ?`,
  removeExpired: `DELETE FROM emcy_gateway WHERE exp <= ${now} ORDER BY exp LIMIT ?`,
}

/**
 * MySQL 8 and MariaDB, which have no RETURNING on an update. What an update wrote comes back as its `LAST_INSERT_ID(…)`, in the answer to the statement itself.
 * Counts of affected rows are only relied on where the row surely changes: under the driver's default flag an insert and a refused update both count 1.
 */
export function mysqlDialect(): SqlDialect {
  return {
    name: 'mysql',
    async setUp(run) {
      try {
        await run('SELECT 1 FROM emcy_gateway LIMIT 0')
      } catch (error) {
        // CREATE TABLE asks for rights that a running service need not have, so it is left out where the table is there.
        if ((error as { errno?: unknown }).errno !== noSuchTable) throw error
        await run(sql.create)
      }
    },
    get: async (run, key) => foundIn((await run(sql.get, [bytes(key)])).rows[0]),
    set: async (run, key, value, ttlMs) => void (await run(sql.set, [bytes(key), value, ttlMs])),
    delete: async (run, key) => void (await run(sql.delete, [bytes(key)])),
    async take(run, key) {
      // Moved away under a name that only its taker knows: that is the claim, the key is free at once, and what is left behind expires.
      const taken = bytes(`taken:${randomUUID()}`)
      const { affected } = await run(sql.take, [taken, bytes(key)])
      if (affected !== 1) return undefined
      const found = foundIn((await run(sql.readTaken, [taken])).rows[0])
      if (!found) throw new Error('a taken row was gone before it could be read')
      return found
    },
    create: (run, key, value, ttlMs) => insert(run, key, value, 0, ttlMs),
    async replace(run, key, expected, next, ttlMs) {
      const { affected } = await run(sql.replace, [next, ttlMs, bytes(key), expected])
      return affected === 1
    },
    async spend(run, key, cost, limit, ttlMs) {
      for (;;) {
        const { affected, insertId } = await run(sql.spend, [cost, bytes(key), cost, limit])
        if (affected === 1) return insertId
        const found = foundIn((await run(sql.get, [bytes(key)])).rows[0])
        if (!found) {
          if (await insert(run, key, null, cost, ttlMs)) return cost
        } else if (found.value !== null || found.units + cost > limit) return undefined
        // Otherwise another created it, or gave back, in between: once more.
      }
    },
    async refund(run, key, units, ttlMs) {
      const { affected, insertId } = await run(sql.refund, [units, bytes(key), ttlMs])
      return affected === 1 ? insertId : undefined
    },
    removeExpired: async (run, atMost) => (await run(sql.removeExpired, [atMost])).affected,
  }
}

/** Exactly one of any number of callers inserts; a row that has expired gives way first. */
async function insert(run: RunSql, key: string, value: Uint8Array | null, units: number, ttlMs: number): Promise<boolean> {
  for (;;) {
    try {
      await run(sql.insert, [bytes(key), value, units, ttlMs])
      return true
    } catch (error) {
      if ((error as { errno?: unknown }).errno !== duplicateKey) throw error
    }
    const { affected } = await run(sql.deleteExpired, [bytes(key)])
    if (affected === 0) return false
  }
}

/** Bytes are compared as they are: text of a column has a collation, in which `a` may equal `A`. */
function bytes(text: string): Buffer {
  return Buffer.from(text)
}
