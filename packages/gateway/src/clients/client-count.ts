import type { Deps } from '../deps.ts'
import { createKeyLock, type InTurn } from '../store/key-lock.ts'
import { changeRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'

/** How many registered clients are live: by the time, in milliseconds since the epoch, by which those of a slot have expired. */
interface ClientCount {
  v: 1
  slots: Record<string, number>
}

type CountDeps = Pick<Deps, 'store' | 'clock'>

// A slot is this part of a client's life: fine enough to forget expired clients soon, and few enough to stay one small record.
const slotsOfLife = 32

const turns = new WeakMap<CountDeps['store'], InTurn>()

/**
 * Counts a new client, unless there are `most` already (CR-21). Expired clients stop counting by themselves, as their slot passes.
 *
 * @returns the slot, to be kept with the client; undefined when it is one too many
 * @throws StoreUnavailable
 */
export function countClient(deps: CountDeps, lifeMs: number, most: number): Promise<string | undefined> {
  const slot = slotOf(deps, lifeMs)
  return change(deps, lifeMs, (slots) => {
    const live = Object.values(slots).reduce((sum, count) => sum + count, 0)
    if (live >= most) return undefined
    slots[slot] = (slots[slot] ?? 0) + 1
    return slot
  })
}

/** Counts a client whose life was renewed in its new slot. */
export async function recountClient(deps: CountDeps, lifeMs: number, from: string): Promise<string> {
  const slot = slotOf(deps, lifeMs)
  if (slot !== from) {
    await change(deps, lifeMs, (slots) => {
      takeOut(slots, from)
      slots[slot] = (slots[slot] ?? 0) + 1
      return slot
    })
  }
  return slot
}

/** Counts a client no more that was deleted. */
export async function uncountClient(deps: CountDeps, lifeMs: number, slot: string): Promise<void> {
  await change(deps, lifeMs, (slots) => takeOut(slots, slot))
}

function takeOut(slots: Record<string, number>, slot: string): true {
  if (slots[slot] !== undefined) slots[slot] = Math.max(0, slots[slot] - 1)
  return true
}

function slotOf(deps: CountDeps, lifeMs: number): string {
  const width = Math.max(1, Math.floor(lifeMs / slotsOfLife))
  return String(Math.ceil((deps.clock() + lifeMs) / width) * width)
}

/** In turn within this process: a burst of registrations would come into its own way otherwise. */
function change<T>(deps: CountDeps, lifeMs: number, edit: (slots: Record<string, number>) => T): Promise<T> {
  const key = recordKey('clientCount', 'all')
  const inTurn = turns.get(deps.store) ?? createKeyLock()
  turns.set(deps.store, inTurn)
  return inTurn(key, () =>
    changeRecord<ClientCount, T>(deps.store, 'clientCount', key, (current) => {
      const now = deps.clock()
      const slots = Object.fromEntries(Object.entries(current?.slots ?? {}).filter(([until, count]) => Number(until) > now && count > 0))
      const answer = edit(slots)
      if (answer === undefined) return { do: 'keep', answer }
      return { do: 'write', next: { v: 1, slots }, ttlMs: 2 * lifeMs, answer }
    }),
  )
}
