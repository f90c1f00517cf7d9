/** What a `spend` did. */
export interface Spent {
  allowed: boolean
  /** Units used in the window after this call; a refused spend leaves it as it was. */
  used: number
}

/**
 * The six operations that all of the gateway's storage rests on. Each touches exactly one key, so Redis Cluster and a sharded SQL table work unchanged.
 * Values are strings (the records above serialise themselves); `ttlMs` is always a positive integer of milliseconds. Every operation either tells the
 * truth or rejects with `StoreUnavailable`, within its deadline: an outage never reads as "absent".
 */
export interface Store {
  /** What stands behind it, for the start-up line: `memory`, `sqlite`, `keyv (…)`. */
  readonly name: string
  /** Whether `take`, `compareAndSet` and `spend` are atomic across processes. Without it `replicas: 'many'` is refused. */
  readonly atomicAcrossProcesses: boolean
  get(key: string): Promise<string | undefined>
  set(key: string, value: string, ttlMs: number): Promise<void>
  delete(key: string): Promise<void>
  /** Reads and deletes in one step: of any number of callers exactly one gets the value. */
  take(key: string): Promise<string | undefined>
  /** Writes `next` when the key holds exactly `expected` (`undefined`: when it is absent); says whether it did. */
  compareAndSet(key: string, expected: string | undefined, next: string, ttlMs: number): Promise<boolean>
  /**
   * Adds `cost` to a counter unless that would exceed `limit`; the counter's life of `ttlMs` starts with its first unit. A refused spend costs nothing.
   * A negative `cost` refunds and is always allowed; the counter never goes below 0, and a refund never creates one. `ttlMs` then is the longest life that the
   * charged counter can still have: one with more is a later counter, which these units are not in, and stays as it is.
   */
  spend(key: string, cost: number, limit: number, ttlMs: number): Promise<Spent>
  close(): Promise<void>
}
