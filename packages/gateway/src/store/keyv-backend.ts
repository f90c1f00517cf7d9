import { ConfigError } from '../errors/errors.ts'
import { isIovalkey, openIovalkey } from './iovalkey.ts'
import { type KeyvLike, layersOf } from './keyv-like.ts'
import { mysqlDriver } from './mysql-driver.ts'
import { isNodeRedis, isNodeRedisCluster, isNodeRedisSentinel, openNodeRedis } from './node-redis.ts'
import { emptyPoolOf, openPgPool, postgresDriver } from './postgres-driver.ts'
import { redisStore } from './redis.ts'
import { redisLink } from './redis-link.ts'
import { sqlStore } from './sql.ts'
import { mysqlDialect } from './sql-mysql.ts'
import { postgresDialect, sqliteDialect } from './sql-returning.ts'
import { type SqliteAdapterLike, sqliteAdapterDriver } from './sqlite-driver.ts'
import type { Store } from './store.ts'

/** With it and the longest key of a record, a key stays below the 255 bytes of a SQL table. */
const longestNamespace = 50

/** A SQL adapter of Keyv. */
interface SqlAdapter {
  opts: Record<string, unknown> & { dialect: string }
  query(sql: unknown, ...values: unknown[]): Promise<unknown>
}

/**
 * The store with atomic operations for a Keyv whose adapter is known, by its structure; undefined for any other. It takes the adapter's settings for
 * connections of its own, which end with the store: the adapter's would hang in an outage, or end the process.
 *
 * @param waitMs how long an operation may take, in milliseconds
 * @throws ConfigError when the database's driver is not installed, the client is node-redis' of Sentinel, or the Keyv's namespace is too long
 */
export function atomicStoreOf(keyv: KeyvLike, waitMs: number): Store | undefined {
  const adapter = layersOf(keyv).at(-1) ?? {}
  const prefix = prefixOf(keyv)
  const { client, redis } = adapter
  if (isNodeRedisSentinel(client)) {
    throw new ConfigError(
      'store',
      "node-redis' client of Redis Sentinel sends a command again that may have been carried out, and keeps its settings to itself: use @keyv/valkey with " +
        "iovalkey's new Redis({ sentinels: [{ host, port }], name })",
    )
  }
  if (isNodeRedis(client)) {
    const name = isNodeRedisCluster(client) ? 'redis cluster' : 'redis'
    return redisStore(
      name,
      redisLink(name, () => openNodeRedis(client, waitMs), waitMs),
      prefix,
    )
  }
  if (isIovalkey(redis)) {
    const name = redis.isCluster ? 'valkey cluster' : 'valkey'
    return redisStore(
      name,
      redisLink(name, () => openIovalkey(redis, waitMs), waitMs),
      prefix,
    )
  }
  return isSqlAdapter(adapter) ? sqlStoreOf(adapter, prefix, waitMs) : undefined
}

function sqlStoreOf(adapter: SqlAdapter, prefix: string, waitMs: number): Store | undefined {
  const { opts } = adapter
  switch (opts.dialect) {
    case 'postgres': {
      const pool = openPgPool({ connectionString: String(opts.uri), ...opts }, waitMs)
      emptyPoolOf(adapter)
      return sqlStore(postgresDriver(pool, true, waitMs), postgresDialect(String(opts.schema ?? 'public')), prefix, waitMs)
    }
    case 'mysql': {
      const driver = mysqlDriver(opts, waitMs)
      // An adapter whose database is down at its creation rejects a promise that nobody else waits for.
      adapter.query('SELECT 1').catch(() => undefined)
      return sqlStore(driver, mysqlDialect(), prefix, waitMs)
    }
    case 'sqlite':
      return sqlStore(sqliteAdapterDriver(adapter as SqliteAdapterLike), sqliteDialect(waitMs), prefix, waitMs)
    default:
      return undefined
  }
}

function isSqlAdapter(adapter: Record<string, unknown>): adapter is Record<string, unknown> & SqlAdapter {
  const { opts } = adapter as { opts?: { dialect?: unknown } }
  return typeof adapter.query === 'function' && typeof opts?.dialect === 'string'
}

/**
 * Keys of two Keyvs stay apart where the team named them apart. `keyv` is what Keyv 5 says when the team said nothing.
 *
 * @throws ConfigError when the namespace is too long
 */
function prefixOf(keyv: KeyvLike): string {
  const { namespace } = keyv as { namespace?: unknown }
  if (typeof namespace === 'string' && Buffer.byteLength(namespace) > longestNamespace) {
    throw new ConfigError('store', `the namespace of the Keyv must not be longer than ${longestNamespace} bytes, so that keys fit every database`)
  }
  return typeof namespace === 'string' && namespace !== '' && namespace !== 'keyv' ? `${namespace}:emcy:` : 'emcy:'
}
