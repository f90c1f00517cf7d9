import { ConfigError } from '../errors/errors.ts'
import { withDeadline } from './deadline.ts'
import { isKeyv, type KeyvLike } from './keyv-like.ts'
import { keyvStore } from './keyv-store.ts'
import { memoryStore } from './memory.ts'
import { type NodeRedisClient, openNodeRedis } from './node-redis.ts'
import { loadPeer } from './peer.ts'
import { isPgPool, openPgPool, type PgPoolLike, postgresDriver } from './postgres-driver.ts'
import { redisStore } from './redis.ts'
import { redisLink } from './redis-link.ts'
import { sqlStore } from './sql.ts'
import { postgresDialect } from './sql-returning.ts'
import { sqliteStore } from './sqlite.ts'
import type { Store } from './store.ts'

/** What a store may be opened from. */
export type StoreOption = KeyvLike | PgPoolLike | Store | string

/** Keys in a database that others may use too. */
const prefix = 'emcy:'

/**
 * Opens the store that the option `store` names.
 *
 * @param option a Keyv 5 or 6, a `pg.Pool`, a store, `sqlite:path`, `redis://…`, `rediss://…`, `valkey://…`, `valkeys://…`, `postgres://…`, `memory:`;
 *   undefined is memory
 * @param ms deadline of each operation, in milliseconds; then it rejects with StoreUnavailable
 * @param clock for tests, of the stores that the gateway opens itself in this process; the system's when left out
 * @throws ConfigError when the option is none of these, the store cannot be opened, or a package that it needs is not installed
 */
export function openStore(option: StoreOption | undefined, ms: number, clock?: () => number): Store {
  // Below the deadline, so that an operation still in line is given up, and surely not done, before its caller hears so.
  const waitMs = Math.ceil(ms * 0.8)
  if (option === undefined) return withDeadline(storeNamed('memory:', waitMs, clock), ms)
  if (typeof option === 'string') return withDeadline(storeNamed(option, waitMs, clock), ms)
  if (isStore(option)) return withDeadline(option, ms)
  if (isKeyv(option)) return withDeadline(keyvStore(option, { waitMs }), ms)
  if (isPgPool(option)) return withDeadline(sqlStore(postgresDriver(option, false, waitMs), postgresDialect(), prefix, waitMs), ms)
  throw new ConfigError(
    'store',
    'must be a Keyv (new Keyv({ store: adapter }), version 5 or 6), a pg.Pool, a string such as sqlite:./gateway.db or redis://localhost:6379, or a store',
  )
}

function storeNamed(name: string, waitMs: number, clock: (() => number) | undefined): Store {
  const timing = clock ? { clock } : {}
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/s.exec(name) ?? []
  switch (scheme) {
    case 'memory':
      if (rest === '') return memoryStore(timing)
      break
    case 'sqlite': {
      const path = rest.replace(/^\/\//, '')
      if (path === '' || path === ':memory:') throw new ConfigError('store', 'sqlite: needs the path of a file; for memory write memory:')
      return sqliteStore(path, { waitMs, ...timing })
    }
    case 'redis':
    case 'rediss':
    case 'valkey':
    case 'valkeys':
      return redisAt(addressIn(name), waitMs)
    case 'postgres':
    case 'postgresql': {
      const pool = openPgPool({ connectionString: addressIn(name).href }, waitMs)
      return sqlStore(postgresDriver(pool, true, waitMs), postgresDialect(), prefix, waitMs)
    }
  }
  throw new ConfigError('store', 'must begin with sqlite:, redis://, rediss://, valkey://, valkeys://, postgres:// or memory:')
}

/** Valkey speaks the protocol of Redis. */
function redisAt(address: URL, waitMs: number): Store {
  const { createClient } = loadPeer<{ createClient(options: { url: string }): NodeRedisClient }>('@keyv/redis')
  const name = address.protocol.startsWith('valkey') ? 'valkey' : 'redis'
  const url = address.href.replace(/^valkey/, 'redis')
  let like: NodeRedisClient
  try {
    like = createClient({ url })
  } catch (error) {
    throw new ConfigError('store', `${address.protocol}//… cannot be used: ${(error as Error).message}`)
  }
  return redisStore(
    name,
    redisLink(name, () => openNodeRedis(like, waitMs), waitMs),
    prefix,
  )
}

/** The address may hold a password, so the message does not repeat it. */
function addressIn(name: string): URL {
  const [scheme = ''] = name.split(':')
  const address = URL.canParse(name) ? new URL(name) : undefined
  if (!address?.hostname || !name.startsWith(`${scheme}://`))
    throw new ConfigError('store', `${scheme}: needs an address such as ${scheme}://user:password@host`)
  return address
}

function isStore(option: unknown): option is Store {
  if (typeof option !== 'object' || option === null) return false
  return ['get', 'set', 'delete', 'take', 'compareAndSet', 'spend', 'close'].every((name) => typeof (option as Record<string, unknown>)[name] === 'function')
}
