import { ConfigError } from '../errors/errors.ts'
import { withDeadline } from './deadline.ts'
import { isKeyv, type KeyvLike } from './keyv-like.ts'
import { keyvStore } from './keyv-store.ts'
import { memoryStore } from './memory.ts'
import { sqliteStore } from './sqlite.ts'
import type { Store } from './store.ts'

/**
 * Opens the store that the option `store` names.
 *
 * @param option a Keyv 5 or 6, a store, `sqlite:path`, `memory:`; undefined is memory
 * @param ms deadline of each operation, in milliseconds; then it rejects with StoreUnavailable
 * @param clock for tests, of the stores that the gateway opens itself; the system's when left out
 * @throws ConfigError when the option is none of these, or the store cannot be opened
 */
export function openStore(option: KeyvLike | Store | string | undefined, ms: number, clock?: () => number): Store {
  // Below the deadline, so that an operation still in line is given up, and surely not done, before its caller hears so.
  const waitMs = Math.ceil(ms * 0.8)
  if (option === undefined) return withDeadline(storeNamed('memory:', waitMs, clock), ms)
  if (typeof option === 'string') return withDeadline(storeNamed(option, waitMs, clock), ms)
  if (isStore(option)) return withDeadline(option, ms)
  if (isKeyv(option)) return withDeadline(keyvStore(option, { waitMs }), ms)
  throw new ConfigError('store', 'must be a Keyv (new Keyv({ store: adapter }), version 5 or 6), a string such as sqlite:./gateway.db, or a store')
}

function storeNamed(name: string, waitMs: number, clock: (() => number) | undefined): Store {
  const timing = clock ? { clock } : {}
  const [, scheme, rest = ''] = /^([a-z]+):(.*)$/s.exec(name) ?? []
  if (scheme === 'memory' && rest === '') return memoryStore(timing)
  if (scheme === 'sqlite') {
    const path = rest.replace(/^\/\//, '')
    if (path === '' || path === ':memory:') throw new ConfigError('store', 'sqlite: needs the path of a file; for memory write memory:')
    return sqliteStore(path, { waitMs, ...timing })
  }
  // The address may hold a password, so the message names its scheme alone.
  const known = { redis: 'redis', rediss: 'redis', valkey: 'valkey', postgres: 'postgres', postgresql: 'postgres' }[scheme ?? '']
  if (known)
    throw new ConfigError('store', `${scheme}: addresses are not opened by the gateway yet; pass new Keyv({ store: … }) with the adapter @keyv/${known}`)
  throw new ConfigError('store', 'must begin with sqlite: or memory:')
}

function isStore(option: unknown): option is Store {
  if (typeof option !== 'object' || option === null) return false
  return ['get', 'set', 'delete', 'take', 'compareAndSet', 'spend', 'close'].every((name) => typeof (option as Record<string, unknown>)[name] === 'function')
}
