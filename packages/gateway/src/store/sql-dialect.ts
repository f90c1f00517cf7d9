import type { RunSql } from './sql-driver.ts'

/** What a live row holds: the bytes of a value, or the units of a counter. */
export interface SqlFound {
  value: Uint8Array | null
  units: number
}

/**
 * The operations of a store in the SQL of one kind of database, on the table `emcy_gateway`: `k` the key, `v` the bytes of a value (NULL in a counter), `n`
 * the units of a counter, `exp` the end of its life in milliseconds since the epoch. Time is the database's own, so replicas need not agree on it.
 * Values are bytes, because text has collations, and forbids NUL in PostgreSQL.
 *
 * Each operation decides in one statement, which is atomic by itself; no transaction spans two. None sees an expired row.
 */
export interface SqlDialect {
  name: string
  /** Creates the table where it is missing; any number of processes may do so at once. */
  setUp(run: RunSql): Promise<void>
  get(run: RunSql, key: string): Promise<SqlFound | undefined>
  set(run: RunSql, key: string, value: Uint8Array, ttlMs: number): Promise<void>
  delete(run: RunSql, key: string): Promise<void>
  take(run: RunSql, key: string): Promise<SqlFound | undefined>
  create(run: RunSql, key: string, value: Uint8Array, ttlMs: number): Promise<boolean>
  replace(run: RunSql, key: string, expected: Uint8Array, next: Uint8Array, ttlMs: number): Promise<boolean>
  /** Adds `cost`, which is positive and within `limit`; the units after it, or undefined when they did not fit. */
  spend(run: RunSql, key: string, cost: number, limit: number, ttlMs: number): Promise<number | undefined>
  /** Takes units off a counter that has `ttlMs` to live at the most, not below 0; what is left, or undefined when there is no such counter. */
  refund(run: RunSql, key: string, units: number, ttlMs: number): Promise<number | undefined>
  /** Removes expired rows, found by the index; says how many. */
  removeExpired(run: RunSql, atMost: number): Promise<number>
}

/** Reads a row of the columns `v` and `n`. */
export function foundIn(row: Record<string, unknown> | undefined): SqlFound | undefined {
  return row && { value: row.v as Uint8Array | null, units: Number(row.n) }
}
