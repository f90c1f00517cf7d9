import type { Log } from './logger.ts'

/**
 * Lets work run beside a request that need not wait for it. A failure goes to the log and nowhere else, so such work must be tried again at the next
 * occasion.
 *
 * @param what names the work in the log: "writing …", "removing …"
 */
export function inBackground(log: Log, what: string, work: Promise<unknown>): void {
  work.catch((error: unknown) => {
    const reason = error instanceof Error ? ((error as { reason?: string }).reason ?? error.message) : String(error)
    log.write({ event: 'gateway.warning', level: 'warn', message: `${what} failed`, reason })
  })
}
