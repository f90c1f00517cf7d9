/*
 * Wrong arguments are mistakes in our code, not outages: they reject with a RangeError. A life of 0 or NaN must not reach a backend, where it may mean
 * "for ever" (Keyv 6).
 */

/**
 * Checks a time to live.
 *
 * @throws RangeError unless `ttlMs` is a positive integer of milliseconds
 */
export function checkTtl(ttlMs: number): void {
  if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0) throw new RangeError(`a time to live must be a positive integer of milliseconds, not ${ttlMs}`)
}

/**
 * Checks the arguments of a `spend`.
 *
 * @throws RangeError unless `cost` and `limit` are integers and `ttlMs` is a positive one
 */
export function checkSpend(cost: number, limit: number, ttlMs: number): void {
  if (!Number.isSafeInteger(cost)) throw new RangeError(`a cost must be an integer, not ${cost}`)
  if (!Number.isSafeInteger(limit)) throw new RangeError(`a limit must be an integer, not ${limit}`)
  checkTtl(ttlMs)
}
