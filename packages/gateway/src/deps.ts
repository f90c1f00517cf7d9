import type { Config } from './config.ts'
import type { GuardedFetch } from './http/guarded-fetch.ts'
import type { KeyRing } from './keys/key-ring.ts'
import type { Log } from './log/logger.ts'
import type { Store } from './store/store.ts'

/**
 * What domain code may ask for. A function takes the fields it uses (`Pick<Deps, 'store' | 'clock'>`), so a test passes two fields. Time, randomness and
 * outgoing requests always come from here.
 */
export interface Deps {
  config: Config
  store: Store
  keys: KeyRing
  /** Milliseconds since the epoch. */
  clock: () => number
  /** `bytes` random bytes, base64url. */
  random: (bytes: number) => string
  /** Outgoing requests to hosts that others name (CIMD documents, JWKS): guarded against private addresses, no redirects, bounded. */
  guardedFetch: GuardedFetch
  log: Log
}

export type { GuardedFetch, GuardedResponse } from './http/guarded-fetch.ts'
