import type { LogEvent } from './events.ts'

/** Where events go. Writing never throws and never waits: a slow or failing sink loses events, which are counted. */
export interface Log {
  write(event: LogEvent): void
  /** Events lost to a slow or failing sink since the start. */
  readonly dropped: number
}
