import { createCleaner } from './clean.ts'
import type { LogEvent } from './events.ts'
import { type LogOption, outletOf } from './sink.ts'

/** Where events go. Writing never throws and never waits: a slow or failing sink loses events, which are counted. */
export interface Log {
  write(event: LogEvent): void
  /** Events lost to a slow or failing sink since the start. */
  readonly dropped: number
}

/** A log that can be brought to an end. */
export interface ClosableLog extends Log {
  /** Resolves when everything written so far has left, or after `timeoutMs`; what is left then is dropped. */
  flush(timeoutMs: number): Promise<void>
}

const queueLength = 2000
const inFlight = 16

/**
 * Creates the log. Events are cleaned at once and handed to the sink after the current turn, up to 16 at a time and in order; 2,000 may wait, more are dropped
 * and counted. When a sink takes events again after a loss, a `gateway.warning` says how many were lost.
 *
 * @param option as in `GatewayOptions.log`
 * @param clock milliseconds since the epoch
 * @param secrets values that must never be written, whatever quotes them
 */
export function createLog(option: LogOption, clock: () => number, secrets: readonly string[] = []): ClosableLog {
  const outlet = outletOf(option)
  const clean = createCleaner(secrets)
  const queue: LogEvent[] = []
  const idle: (() => void)[] = []
  let running = 0
  let scheduled = false
  let dropped = 0
  let reported = 0

  const drain = () => {
    scheduled = false
    while (running < inFlight && queue.length > 0) deliver(queue.shift() as LogEvent)
    if (running === 0 && queue.length === 0) for (const resolve of idle.splice(0)) resolve()
  }
  const deliver = (event: LogEvent) => {
    running++
    const ended = (delivered: boolean) => {
      running--
      if (!delivered) dropped++
      else if (dropped > reported) reportLoss()
      schedule()
    }
    new Promise((resolve) => resolve(outlet?.take(event))).then(
      () => ended(true),
      () => ended(false),
    )
  }
  const reportLoss = () => {
    const message = `${dropped - reported} log events were lost: the sink was too slow or failed`
    reported = dropped
    queue.push(clean({ event: 'gateway.warning', level: 'warn', message }, clock()))
  }
  const schedule = () => {
    if (scheduled) return
    scheduled = true
    setImmediate(drain)
  }
  return {
    write(event) {
      if (!outlet?.wants(event)) return
      if (queue.length >= queueLength) dropped++
      else queue.push(clean(event, clock()))
      schedule()
    },
    get dropped() {
      return dropped
    },
    async flush(timeoutMs) {
      if (running === 0 && queue.length === 0) return
      await new Promise<void>((resolve) => {
        const timer = setTimeout(() => {
          dropped += queue.splice(0).length
          resolve()
        }, timeoutMs)
        idle.push(() => {
          clearTimeout(timer)
          resolve()
        })
        schedule()
      })
    },
  }
}
