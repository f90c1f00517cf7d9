import { AsyncLocalStorage } from 'node:async_hooks'
import { StoreUnavailable } from '../errors/errors.ts'
import { type KeyvLike, namespacesUnder } from './keyv-like.ts'

interface Call {
  error?: unknown
}

/** Runs one call of a Keyv, and rejects with StoreUnavailable when anything says that it failed. */
export type Watched = <T>(call: () => Promise<T>) => Promise<T>

const current = new AsyncLocalStorage<Call>()
const runningCalls = new WeakMap<KeyvLike, Set<Call>>()

/**
 * Makes failures of a Keyv visible. Both lines of Keyv swallow errors (a read answers undefined, a write even true) and tell of them in an `error` event
 * at most. The event belongs to the call in whose asynchronous context it is raised; one of no running call (a lost connection) fails all that run.
 */
export function watchKeyv(keyv: KeyvLike): Watched {
  const running = runningCalls.get(keyv) ?? listen(keyv)
  const namespaces = namespacesUnder(keyv)
  return async (run) => {
    if (namespacesUnder(keyv) !== namespaces) throw new StoreUnavailable("keyv: another Keyv has set its namespace on this Keyv's adapter")
    const call: Call = {}
    running.add(call)
    try {
      const result = await current.run(call, run)
      if ('error' in call) throw call.error
      return result
    } catch (error) {
      throw error instanceof StoreUnavailable ? error : new StoreUnavailable(`keyv: ${error instanceof Error ? error.message : String(error)}`, error)
    } finally {
      running.delete(call)
    }
  }
}

/** The listener stays for good: without one, Keyv 6 turns an outage into an uncaught exception. */
function listen(keyv: KeyvLike): Set<Call> {
  const running = new Set<Call>()
  runningCalls.set(keyv, running)
  keyv.on('error', (error) => {
    const call = current.getStore()
    if (call && running.has(call)) call.error ??= error
    else for (const each of running) each.error ??= error
  })
  return running
}
