import { GatewayError, StoreUnavailable } from '../errors/errors.ts'
import { checkSpend, checkTtl } from './arguments.ts'
import type { Store } from './store.ts'

/**
 * The same store, with every operation bounded in time and every failure told as StoreUnavailable: a hanging or broken backend refuses, and never
 * reads as "absent". An operation that is given up may still take effect later, as with any network.
 *
 * @param ms longest time of one operation, in milliseconds
 */
export function withDeadline(store: Store, ms: number): Store {
  const bounded = async <T>(operation: string, run: () => Promise<T>): Promise<T> => {
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new StoreUnavailable(`${store.name}: ${operation} took longer than ${ms} ms`)), ms)
    })
    try {
      return await Promise.race([run(), late])
    } catch (error) {
      if (error instanceof GatewayError) throw error
      throw new StoreUnavailable(`${store.name}: ${operation} failed: ${error instanceof Error ? error.message : String(error)}`, error)
    } finally {
      clearTimeout(timer)
    }
  }
  return {
    name: store.name,
    atomicAcrossProcesses: store.atomicAcrossProcesses,
    get: (key) => bounded('get', () => store.get(key)),
    async set(key, value, ttlMs) {
      checkTtl(ttlMs)
      await bounded('set', () => store.set(key, value, ttlMs))
    },
    delete: (key) => bounded('delete', () => store.delete(key)),
    take: (key) => bounded('take', () => store.take(key)),
    async compareAndSet(key, expected, next, ttlMs) {
      checkTtl(ttlMs)
      return bounded('compareAndSet', () => store.compareAndSet(key, expected, next, ttlMs))
    },
    async spend(key, cost, limit, ttlMs) {
      checkSpend(cost, limit, ttlMs)
      return bounded('spend', () => store.spend(key, cost, limit, ttlMs))
    },
    close: () => store.close(),
  }
}
