import { setTimeout as pause } from 'node:timers/promises'
import { type Part, type PartSettings, startPart } from '../todo/part.ts'
import type { Front } from './front.ts'

/** Before another try, when a process could not be started. */
const RETRY_AFTER_MS = 1_000

/** A gateway process that is started again whenever it ends, and takes part only while it runs. */
export interface Replica {
  /** Ends it for good. */
  stop(): Promise<void>
}

/** A process that takes part. */
interface Joined {
  part: Part
  leave(): void
}

/**
 * Starts a process and lets it take part.
 *
 * @param print gets a line when it starts and when it ends
 * @throws Error when its very first start fails
 */
export async function keepReplica(settings: PartSettings, front: Front, print: (line: string) => void): Promise<Replica> {
  const stopped = new AbortController()
  const join = async (): Promise<Joined> => {
    const part = await startPart(settings)
    const leave = front.add(String(part.url))
    print(`${settings.name.padEnd(22)}${part.url}  process ${part.pid}`)
    return { part, leave }
  }
  /** Tries until it works or is no longer wanted. */
  const rejoin = async (): Promise<Joined | undefined> => {
    while (!stopped.signal.aborted) {
      const joined = await join().catch((error: Error) => print(error.message))
      if (joined) return joined
      await pause(RETRY_AFTER_MS, undefined, { signal: stopped.signal }).catch(() => undefined)
    }
    return undefined
  }

  let current: Joined | undefined = await join()
  const watching = (async () => {
    while (current) {
      const how = await current.part.ended
      current.leave()
      if (!stopped.signal.aborted) print(`${settings.name} ended (${how}); another one starts in its place`)
      current = await rejoin()
      if (stopped.signal.aborted) await current?.part.stop()
    }
  })()
  return {
    async stop() {
      stopped.abort()
      await current?.part.stop()
      await watching
    },
  }
}
