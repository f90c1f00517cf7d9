import type { SqlDriver } from './sql-driver.ts'

/** What the gateway uses of a `@keyv/sqlite` adapter. */
export interface SqliteAdapterLike {
  query(sql: string, ...values: unknown[]): Promise<Record<string, unknown>[]>
}

/** SQLite through the one connection of a `@keyv/sqlite` adapter. It is the adapter's, so it stays open. */
export function sqliteAdapterDriver(adapter: SqliteAdapterLike): SqlDriver {
  return {
    async run(sql, values) {
      return { rows: await adapter.query(sql, values), affected: -1, insertId: 0 }
    },
    isConflict: (error) => (error as { code?: unknown }).code === 'SQLITE_BUSY',
    end: async () => undefined,
  }
}
