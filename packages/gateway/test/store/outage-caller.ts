import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { expect } from '@jest/globals'
import type { Kind } from './open-backend.ts'
import type { Seen } from './outage-worker.ts'

/** Deadline of each operation of a caller, in milliseconds. */
const deadlineMs = 1_000

/** A process on a store, and what it saw since it was last asked. */
export class Caller {
  readonly child: ChildProcess
  readonly ended: Promise<number | null>

  /**
   * @param ports of the servers
   * @param groups beginnings of keys, without a comma; what is seen is told for each
   */
  constructor(kind: Kind, ports: number[], groups: string[] = ['']) {
    this.child = fork(new URL('./outage-worker.ts', import.meta.url), [kind, ports.join(','), groups.join(',')], { execArgv: [] })
    this.ended = once(this.child, 'exit').then(([code]) => code as number | null)
  }

  /** Resolves when it calls. */
  async ready(): Promise<void> {
    await once(this.child, 'message')
  }

  /** What it saw, by group. */
  async seen(word = 'seen'): Promise<Seen[]> {
    const answer = once(this.child, 'message')
    this.child.send(word)
    return (await answer)[0] as Seen[]
  }

  /** Asks until an answer meets the condition; none may show a wrong result, or one that came late. Gives what was seen by group until then. */
  async until(met: (seen: Seen[]) => boolean, limitMs: number): Promise<Seen[]> {
    const end = performance.now() + limitMs
    let all: Seen[] = []
    for (;;) {
      await pause(100)
      const seen = await this.seen()
      all = seen.map((one, group) => together(one, all[group]))
      for (const { wrong, longestMs } of seen) {
        expect(wrong).toEqual([])
        expect(longestMs).toBeLessThan(deadlineMs + 500)
      }
      if (met(seen)) return all
      if (performance.now() > end) throw new Error(`not met within ${limitMs} ms: ${JSON.stringify(seen).slice(0, 500)}`)
    }
  }

  /** Ends it; it must still be there, and end well. */
  async end(): Promise<void> {
    expect(this.child.exitCode).toBeNull()
    for (const { wrong } of await this.seen('end')) expect(wrong).toEqual([])
    expect(await this.ended).toBe(0)
  }
}

function together(one: Seen, other: Seen | undefined): Seen {
  return { ...one, right: one.right + (other?.right ?? 0), unavailable: one.unavailable + (other?.unavailable ?? 0) }
}

/** Whether calls succeed, and all of them do. */
export const works = (seen: Seen) => seen.right > 0 && seen.unavailable === 0

/** Whether every call is refused as "unavailable". */
export const refuses = (seen: Seen) => seen.unavailable > 0 && seen.right === 0
