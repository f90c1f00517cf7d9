import { foundIn, type SqlDialect } from './sql-dialect.ts'
import type { RunSql } from './sql-driver.ts'

/** Where the databases that know `INSERT … ON CONFLICT … RETURNING` differ. */
interface Differences {
  name: string
  table: string
  /** Milliseconds since the epoch, the same throughout a statement, so that its conditions agree and the index on `exp` serves. */
  now: string
  bytes: string
  greatest: string
  /** Placeholder of value 1, 2, …; one value may stand in several places. */
  place: (index: number) => string
  /** Condition for the rows that a query finds, by their place: by key, PostgreSQL may join them with a scan of the whole table. */
  among: (query: string) => string
  setUp(run: RunSql): Promise<void>
}

/**
 * PostgreSQL.
 *
 * @param schema of the table; the first of the search path when left out
 */
export function postgresDialect(schema?: string): SqlDialect {
  const table = schema === undefined ? 'emcy_gateway' : `${quoted(schema)}.emcy_gateway`
  return returningDialect({
    name: 'postgres',
    table,
    now: '(extract(epoch from statement_timestamp()) * 1000)::bigint',
    bytes: 'BYTEA',
    greatest: 'GREATEST',
    place: (index) => `$${index}`,
    // Removals of several processes pass each other by.
    among: (query) => `ctid = ANY(ARRAY(SELECT ctid ${query} FOR UPDATE SKIP LOCKED))`,
    async setUp(run) {
      // CREATE … IF NOT EXISTS asks for rights that a running service need not have, so it is left out where the table is there.
      const { rows } = await run('SELECT to_regclass($1) IS NOT NULL AS there', [table])
      if (rows[0]?.there === true) return
      if (schema !== undefined) await run(`CREATE SCHEMA IF NOT EXISTS ${quoted(schema)}`)
      await run(`CREATE TABLE IF NOT EXISTS ${table} (k VARCHAR(255) PRIMARY KEY, v BYTEA, n BIGINT NOT NULL, exp BIGINT NOT NULL)`)
      await run(`CREATE INDEX IF NOT EXISTS emcy_gateway_exp ON ${table} (exp)`)
    },
  })
}

/** SQLite behind `@keyv/sqlite`. */
export function sqliteDialect(busyMs: number): SqlDialect {
  return returningDialect({
    name: 'sqlite (@keyv/sqlite)',
    table: 'emcy_gateway',
    now: "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)",
    bytes: 'BLOB',
    greatest: 'MAX',
    place: (index) => `?${index}`,
    among: (query) => `rowid IN (SELECT rowid ${query})`,
    async setUp(run) {
      await run(`PRAGMA busy_timeout = ${busyMs}`)
      // Readers must not stop a writer, and a commit counts when it is on disk.
      await run('PRAGMA journal_mode = WAL')
      await run('PRAGMA synchronous = FULL')
      await run('CREATE TABLE IF NOT EXISTS emcy_gateway (k VARCHAR(255) PRIMARY KEY NOT NULL, v BLOB, n INTEGER NOT NULL, exp INTEGER NOT NULL)')
      await run('CREATE INDEX IF NOT EXISTS emcy_gateway_exp ON emcy_gateway (exp)')
    },
  })
}

function returningDialect({ name, table, now, bytes, greatest, place, among, setUp }: Differences): SqlDialect {
  const number = (index: number) => `CAST(${place(index)} AS BIGINT)`
  const blob = (index: number) => `CAST(${place(index)} AS ${bytes})`
  const upsert = `INSERT INTO ${table} AS e (k, v, n, exp) VALUES (${place(1)}, ${blob(2)}, 0, ${now} + ${number(3)})
    ON CONFLICT (k) DO UPDATE SET v = excluded.v, n = 0, exp = excluded.exp`
  const sql = {
    get: `SELECT v, n FROM ${table} WHERE k = ${place(1)} AND exp > ${now}`,
    delete: `DELETE FROM ${table} WHERE k = ${place(1)}`,
    take: `DELETE FROM ${table} WHERE k = ${place(1)} RETURNING v, n, exp > ${now} AS live`,
    create: `${upsert} WHERE e.exp <= ${now} RETURNING k`,
    replace: `UPDATE ${table} SET v = ${blob(3)}, exp = ${now} + ${number(4)} WHERE k = ${place(1)} AND v = ${blob(2)} AND exp > ${now} RETURNING k`,
    spend: `INSERT INTO ${table} AS e (k, v, n, exp) VALUES (${place(1)}, NULL, ${number(2)}, ${now} + ${number(4)})
      ON CONFLICT (k) DO UPDATE SET
        v = NULL,
        n = CASE WHEN e.exp > ${now} THEN e.n ELSE 0 END + excluded.n,
        exp = CASE WHEN e.exp > ${now} THEN e.exp ELSE excluded.exp END
      WHERE e.exp <= ${now} OR (e.v IS NULL AND e.n + excluded.n <= ${number(3)})
      RETURNING n`,
    refund: `UPDATE ${table} SET n = ${greatest}(0, n - ${number(2)}) WHERE k = ${place(1)} AND v IS NULL AND exp > ${now} AND exp <= ${now} + ${number(3)}
      RETURNING n`,
    removeExpired: `DELETE FROM ${table} WHERE ${among(`FROM ${table} WHERE exp <= ${now} ORDER BY exp LIMIT ${number(1)}`)} RETURNING k`,
  }
  const units = (rows: Record<string, unknown>[]): number | undefined => (rows[0] ? Number(rows[0].n) : undefined)
  return {
    name,
    setUp,
    get: async (run, key) => foundIn((await run(sql.get, [key])).rows[0]),
    set: async (run, key, value, ttlMs) => void (await run(upsert, [key, value, ttlMs])),
    delete: async (run, key) => void (await run(sql.delete, [key])),
    async take(run, key) {
      const [row] = (await run(sql.take, [key])).rows
      // An expired row is removed too, and was not there.
      return row?.live ? foundIn(row) : undefined
    },
    create: async (run, key, value, ttlMs) => (await run(sql.create, [key, value, ttlMs])).rows.length === 1,
    replace: async (run, key, expected, next, ttlMs) => (await run(sql.replace, [key, expected, next, ttlMs])).rows.length === 1,
    spend: async (run, key, cost, limit, ttlMs) => units((await run(sql.spend, [key, cost, limit, ttlMs])).rows),
    refund: async (run, key, back, ttlMs) => units((await run(sql.refund, [key, back, ttlMs])).rows),
    removeExpired: async (run, atMost) => (await run(sql.removeExpired, [atMost])).rows.length,
  }
}

function quoted(identifier: string): string {
  return `"${identifier.replaceAll('"', '""')}"`
}
