import { setTimeout as pause } from 'node:timers/promises'
import { StoreUnavailable } from '../errors/errors.ts'
import { isBusy } from './sqlite-busy.ts'

/** Runs statements of one SQLite connection; those that meet another process's lock wait in line, without blocking. */
export interface WriteQueue {
  /** A statement that needs the write lock. */
  run<T>(statement: () => T): Promise<T>
  /** A statement that needs none: never waits behind the writers. */
  read<T>(statement: () => T): Promise<T>
  /** Every later statement, and every waiting one, rejects with `reason`. */
  close(reason: StoreUnavailable): void
}

/**
 * Makes the queue of one connection. Only its head asks for the lock again: a hundred waiting callers must not block the process a hundred times.
 *
 * @param waitMs how long a statement may wait for the lock, in milliseconds; then it rejects with StoreUnavailable, and has not run
 */
export function createWriteQueue(waitMs: number): WriteQueue {
  let tail: Promise<unknown> = Promise.resolve()
  let waiting = 0
  let closed: StoreUnavailable | undefined

  const attempt = <T>(statement: () => T): { result: T } | undefined => {
    if (closed) throw closed
    try {
      return { result: statement() }
    } catch (error) {
      if (isBusy(error)) return undefined
      throw new StoreUnavailable(`sqlite: ${(error as Error).message}`, error)
    }
  }
  const untilDone = async <T>(statement: () => T, deadline: number): Promise<T> => {
    for (;;) {
      if (performance.now() >= deadline) throw new StoreUnavailable(`sqlite: another process held the lock for ${waitMs} ms`)
      const done = attempt(statement)
      if (done) return done.result
      // No event tells that another process released its lock. Random, so that several processes do not ask in step.
      await pause(1 + Math.random() * 4)
    }
  }

  return {
    async run<T>(statement: () => T): Promise<T> {
      const deadline = performance.now() + waitMs
      if (waiting === 0) {
        const done = attempt(statement)
        if (done) return done.result
      }
      waiting++
      const turn = tail.then(() => untilDone(statement, deadline)).finally(() => waiting--)
      tail = turn.catch(() => undefined)
      return turn
    },
    async read<T>(statement: () => T): Promise<T> {
      const done = attempt(statement)
      return done ? done.result : untilDone(statement, performance.now() + waitMs)
    },
    close(reason) {
      closed = reason
    },
  }
}
