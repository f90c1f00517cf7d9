import { setTimeout as wait } from 'node:timers/promises'
import type { Connection } from '../connections/connection.ts'
import { listStored, progressOf, resealConnection } from '../connections/connections.ts'
import type { Deps } from '../deps.ts'
import { StoreUnavailable } from '../errors/errors.ts'
import { resealGrant } from '../grants/grants.ts'
import type { Stored } from '../store/records.ts'

/** How far a rotation is. */
export interface RotationProgress {
  /** From 0 to 1. */
  done: number
  /** Connections looked at. */
  connections: number
  /** Values that were sealed under an older secret and are under the first now. */
  resealed: number
  /** Values that no secret of the ring opens: their secret left too early, or they were changed. Their users sign in again. */
  unreadable: number
}

/** What a rotation came to. */
export interface Rotation extends Omit<RotationProgress, 'done'> {
  /** Every secret but the first, by its place in `secrets` (the second is 2), and until when tokens that it signed live: milliseconds since the epoch; undefined: none lives. */
  older: { place: number; neededUntil: number | undefined }[]
}

type RotationDeps = Pick<Deps, 'store' | 'keys' | 'clock'>

const pageSize = 500
const atOnce = 32
const pausesMs = [200, 400, 800, 1_600, 3_200]

/**
 * Seals every stored value anew that another secret than the first of the ring sealed, while traffic runs. Each record changes by compare-and-set, so nothing that traffic
 * writes meanwhile is lost. Run again, it looks at everything and changes what is left: after a failure, and after the last process with the old ring has stopped.
 * What lives ten minutes (an authorization under way) and what a browser keeps (who signed in there) is left to expire.
 *
 * @param options `onProgress` is called after every 500 connections
 * @throws StoreUnavailable when the store stays away for more than six seconds
 */
export async function rotateKeys(deps: RotationDeps, options: { onProgress?: (progress: RotationProgress) => void } = {}): Promise<Rotation> {
  const counts = { connections: 0, resealed: 0, unreadable: 0 }
  const needed = new Map<string, number>()
  let cursor: string | undefined
  do {
    const page = await patiently(() => listStored(deps, { cursor, limit: pageSize }))
    await inParallel(page.stored, async (stored) => {
      noteSigners(deps, stored.value, needed)
      for (const was of await resealRecords(deps, stored)) {
        if (was === 'older') counts.resealed++
        if (was === 'unreadable') counts.unreadable++
      }
      counts.connections++
    })
    cursor = page.next
    options.onProgress?.({ done: progressOf(cursor), ...counts })
  } while (cursor !== undefined)
  const older = deps.keys.ids.slice(1).map((id, index) => ({ place: index + 2, neededUntil: needed.get(id) }))
  return { ...counts, older }
}

/** The connection's own sealed values and those of its grant. */
function resealRecords(deps: RotationDeps, stored: Stored<Connection>): Promise<string[]> {
  const { grantKey } = stored.value
  const grant = async () => (grantKey === undefined ? 'absent' : resealGrant(deps, grantKey))
  return Promise.all([patiently(() => resealConnection(deps, stored)), patiently(grant)])
}

function noteSigners({ keys, clock }: RotationDeps, { signedUntil, expiresAt }: Connection, needed: Map<string, number>): void {
  const now = clock()
  for (const id of keys.ids) {
    // A record that does not say who signed its tokens may hold tokens of any.
    const until = signedUntil === undefined ? expiresAt : signedUntil[id]
    if (until !== undefined && now < until) needed.set(id, Math.max(until, needed.get(id) ?? 0))
  }
}

async function patiently<T>(work: () => Promise<T>): Promise<T> {
  for (const pause of pausesMs) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error
      await wait(pause)
    }
  }
  return work()
}

async function inParallel<T>(items: T[], work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const worker = async () => {
    for (const item of queue) await work(item)
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
}
