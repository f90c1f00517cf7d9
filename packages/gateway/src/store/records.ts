import { StoreUnavailable } from '../errors/errors.ts'
import { type RecordKind, type RecordName, schema } from './schema.ts'
import type { Store } from './store.ts'

/** A record as it was read: `raw` is what a compare-and-set expects. */
export interface Stored<T> {
  value: T
  raw: string
}

/** What a change of a record comes to. `keep`: leave it as it is; `write`: compare-and-set; `remove`: delete. */
export type Change<T, A> = { do: 'keep'; answer: A } | { do: 'write'; next: T; ttlMs: number; answer: A } | { do: 'remove'; answer: A }

const attempts = 50

/**
 * Parses a stored record and brings it to today's version. It is stored in that version when it is next written.
 *
 * @param kind name in the schema, or the kind itself
 * @throws StoreUnavailable for a version that this gateway does not know: another one that is newer shares the store, and knows better
 */
export function parseRecord<T extends { v: number }>(kind: RecordName | RecordKind, raw: string): T {
  let record = JSON.parse(raw) as Record<string, unknown>
  const { prefix: name, version, upgrade }: RecordKind = typeof kind === 'string' ? schema[kind] : kind
  for (let from = Number(record.v); from < version; from = Number(record.v)) {
    const step = upgrade[from]
    if (!step) throw new StoreUnavailable(`a ${name} record of version ${from} cannot be upgraded to ${version}`)
    record = step(record)
  }
  if (record.v !== version) throw new StoreUnavailable(`a ${name} record has version ${String(record.v)}, newer than this gateway's ${version}`)
  return record as unknown as T
}

/** Reads one record. */
export async function readRecord<T extends { v: number }>(
  store: Pick<Store, 'get'>,
  kind: RecordName | RecordKind,
  key: string,
): Promise<Stored<T> | undefined> {
  const raw = await store.get(key)
  return raw === undefined ? undefined : { value: parseRecord<T>(kind, raw), raw }
}

/**
 * Reads a record, lets `decide` say what becomes of it, and applies that by compare-and-set; when another writer came first, reads and decides again.
 * `decide` may run several times and must have no effects.
 *
 * @throws StoreUnavailable when the store fails, or when 50 tries in a row met another writer
 */
export async function changeRecord<T extends { v: number }, A>(
  store: Store,
  kind: RecordName | RecordKind,
  key: string,
  decide: (current: T | undefined) => Change<T, A>,
  known?: Stored<T>,
): Promise<A> {
  let stored = known ?? (await readRecord<T>(store, kind, key))
  for (let attempt = 1; attempt <= attempts; attempt++) {
    const change = decide(stored?.value)
    if (change.do === 'keep') return change.answer
    if (change.do === 'remove') {
      await store.delete(key)
      return change.answer
    }
    if (await store.compareAndSet(key, stored?.raw, JSON.stringify(change.next), change.ttlMs)) return change.answer
    stored = await readRecord<T>(store, kind, key)
  }
  throw new StoreUnavailable(`${attempts} writers in a row came first at ${key}`)
}
