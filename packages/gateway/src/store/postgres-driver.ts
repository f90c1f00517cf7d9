import { loadPeer } from './peer.ts'
import { checkTime, type SqlDriver, untilDeadline } from './sql-driver.ts'

/** What the gateway uses of a `pg.Pool`, version 8: known by its structure. */
export interface PgPoolLike {
  readonly options?: { connectionTimeoutMillis?: number | undefined }
  readonly totalCount: number
  connect(): Promise<PgClientLike>
  on(event: 'error', listener: (error: Error) => void): unknown
  end(): Promise<void>
}

interface PgClientLike {
  query(sql: string, values: readonly unknown[]): Promise<{ rows: Record<string, unknown>[]; rowCount: number | null }>
  release(error?: Error): void
  on(event: 'error', listener: (error: Error) => void): unknown
}

/** Serialization failure, deadlock: PostgreSQL undid the statement. */
const conflicts = new Set(['40001', '40P01'])
/** Two sessions that create one table at the same time, in spite of IF NOT EXISTS. */
const creationRaces = new Set(['23505', '42P07', '42710'])

/** Whether a value is a `pg.Pool`. */
export function isPgPool(value: unknown): value is PgPoolLike {
  if (typeof value !== 'object' || value === null || !('totalCount' in value) || !('idleCount' in value)) return false
  return ['connect', 'query', 'on', 'end'].every((method) => typeof (value as Record<string, unknown>)[method] === 'function')
}

/**
 * Opens a pool of the gateway's own.
 *
 * @param settings of `pg.Pool`
 * @param waitMs how long a connection may take, in milliseconds, unless the settings say so
 * @throws ConfigError when the package `pg` is missing
 */
export function openPgPool(settings: { connectionTimeoutMillis?: number; connectionString?: string }, waitMs: number): PgPoolLike {
  const { Pool } = loadPeer<{ Pool: new (settings: object) => PgPoolLike }>('pg', '@keyv/postgres')
  return new Pool({ keepAlive: true, ...settings, connectionTimeoutMillis: settings.connectionTimeoutMillis || waitMs })
}

/**
 * PostgreSQL through a pool.
 *
 * @param owned whether the pool is the gateway's own, to be ended with the store
 */
export function postgresDriver(pool: PgPoolLike, owned: boolean, waitMs: number): SqlDriver {
  // A pool without a listener ends the process when an idle connection breaks.
  pool.on('error', () => undefined)
  // Without a bound, connections that hang would fill a pool for ever.
  if (pool.options && !pool.options.connectionTimeoutMillis) pool.options.connectionTimeoutMillis = waitMs
  const heard = new WeakSet<PgClientLike>()
  return {
    async run(sql, values, deadline) {
      const client = await pool.connect()
      // Nor does the pool listen to a client that is out of it; what breaks is told by the query.
      if (!heard.has(client)) client.on('error', () => undefined)
      heard.add(client)
      let failure: Error | undefined
      try {
        checkTime(deadline)
        const { rows, rowCount } = await untilDeadline(client.query(sql, values), deadline)
        return { rows, affected: rowCount ?? 0, insertId: 0 }
      } catch (error) {
        failure = error as Error
        throw error
      } finally {
        // A connection whose statement failed is given up: it may hang, or still be at work on what nobody waits for.
        client.release(failure)
      }
    },
    isConflict(error) {
      const code = String((error as { code?: unknown }).code)
      return conflicts.has(code) || creationRaces.has(code)
    },
    end: async () => (owned ? pool.end() : undefined),
  }
}

/**
 * Takes the connection that `@keyv/postgres` opens at its creation out of its pool again. Nobody listens to that pool, and cannot: were that connection to
 * break, the process would end. A query that fails is what makes the pool let go of a connection.
 */
export function emptyPoolOf(adapter: { query(sql: unknown): Promise<unknown> }): void {
  const letGo = {
    // The pool sets it, and waits for it.
    callback: undefined as ((error: Error) => void) | undefined,
    submit: () => new Error('the gateway uses connections of its own'),
    handleError: (error: Error): void => letGo.callback?.(error),
  }
  adapter.query(letGo).catch(() => undefined)
}
