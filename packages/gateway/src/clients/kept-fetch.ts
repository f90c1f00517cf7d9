import type { Deps } from '../deps.ts'
import { recordKey } from '../store/schema.ts'

/** What is fetched because a client names it. */
export type FetchedKind = 'document' | 'keys' | 'logo'

const kibPerDay = 64 * 1024
const dayMs = 86_400_000

/**
 * Keeps what was fetched for a client's sake. Anybody can name any number of clients, so there is room for 64 MiB of new records of each kind a day; beyond it nothing new is kept, and is
 * fetched whenever it is needed, within the bounds on fetches. A record that is there already is renewed without being counted: a flood takes nothing from clients that are in use.
 *
 * @param key of a `document` record
 * @param record as JSON
 * @throws StoreUnavailable
 */
export async function keepFetched(deps: Pick<Deps, 'store'>, kind: FetchedKind, key: string, record: string, lifeMs: number): Promise<void> {
  const isNew = (await deps.store.get(key)) === undefined
  if (isNew && !(await deps.store.spend(recordKey('spend', 'kept', kind), Math.ceil(record.length / 1024), kibPerDay, dayMs)).allowed) return
  await deps.store.set(key, record, lifeMs)
}
