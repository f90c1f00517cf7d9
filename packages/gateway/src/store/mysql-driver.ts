import { loadPeer } from './peer.ts'
import { checkTime, type SqlDriver, untilDeadline } from './sql-driver.ts'

interface MysqlPool {
  getConnection(): Promise<MysqlConnection>
  end(): Promise<void>
}

interface MysqlConnection {
  query(sql: string, values: readonly unknown[]): Promise<[Record<string, unknown>[] | { affectedRows: number; insertId: number }, unknown]>
  release(): void
  destroy(): void
}

/** Lock wait time-out, deadlock, and (MariaDB 11) a record that changed under a snapshot: the statement was undone. */
const conflicts = new Set([1205, 1213, 1020])

/** Settings of `@keyv/mysql` that are not the driver's. */
const adapterOnly = [
  'adapter',
  'compression',
  'connect',
  'deserialize',
  'dialect',
  'intervalExpiration',
  'iterationLimit',
  'keySize',
  'namespace',
  'serialize',
  'table',
  'ttl',
  'uri',
]

/**
 * MySQL or MariaDB through a pool of the gateway's own, as only who holds a connection can give it up when it hangs.
 *
 * @param settings the options of a `@keyv/mysql` adapter: `uri`, and options of `mysql2`
 * @param waitMs how long a connection may take, in milliseconds, unless the settings say so
 * @throws ConfigError when the package `mysql2` is missing
 */
export function mysqlDriver(settings: Record<string, unknown>, waitMs: number): SqlDriver {
  const { createPool } = loadPeer<{ createPool(settings: object): MysqlPool }>('mysql2/promise', '@keyv/mysql')
  const own = Object.fromEntries(Object.entries(settings).filter(([name]) => !adapterOnly.includes(name)))
  // The shape of answers is what the statements below rely on, so it is not the team's to choose.
  const shape = { rowsAsArray: false, namedPlaceholders: false, typeCast: true, multipleStatements: false }
  const pool = createPool({ ...placeOf(String(settings.uri)), connectTimeout: waitMs, ...own, ...shape })
  return {
    async run(sql, values, deadline) {
      const connection = await inTime(pool, deadline)
      try {
        checkTime(deadline)
        const [answer] = await untilDeadline(connection.query(sql, values), deadline)
        connection.release()
        return Array.isArray(answer)
          ? { rows: answer, affected: -1, insertId: 0 }
          : { rows: [], affected: answer.affectedRows, insertId: Number(answer.insertId) }
      } catch (error) {
        // The server's word on a statement leaves its connection sound; anything else may hang.
        if (typeof (error as { sqlState?: unknown }).sqlState === 'string') connection.release()
        else connection.destroy()
        throw error
      }
    },
    isConflict: (error) => conflicts.has(Number((error as { errno?: unknown }).errno)),
    end: () => pool.end(),
  }
}

/** A connection that comes after the deadline goes straight back. */
async function inTime(pool: MysqlPool, deadline: number): Promise<MysqlConnection> {
  const connection = pool.getConnection()
  try {
    return await untilDeadline(connection, deadline)
  } catch (error) {
    connection.then(
      (late) => late.release(),
      () => undefined,
    )
    throw error
  }
}

/** As `@keyv/mysql` reads its address. */
function placeOf(uri: string): object {
  const { username, password, hostname, port, pathname } = new URL(uri.replaceAll('#', '%23'))
  return {
    host: hostname,
    user: decodeURIComponent(username),
    ...(password && { password: decodeURIComponent(password) }),
    ...(port && { port: Number(port) }),
    database: decodeURIComponent(pathname.slice(1)),
  }
}
