import { createHash } from 'node:crypto'
import type { Deps } from '../deps.ts'
import { createKeyLock, type InTurn } from '../store/key-lock.ts'
import { changeRecord, readRecord, type Stored } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Connection } from './connection.ts'

/** A record of connection ids. An id may outlive its connection, never the other way round: it is added before the connection's code is given to anyone. */
export interface IdList {
  v: 1
  ids: string[]
  expiresAt: number
}

/** One list, and how it is kept. */
export interface ListAt {
  record: 'subject' | 'shard'
  key: string
  /** Life of the record from each time it is written. */
  lifeMs: number
  /** An id that is listed already is written again only when less life than this is left. */
  renewBelowMs: number
  /** With so many ids or more, an addition drops some of those whose connections are gone, … */
  pruneFrom: number
  /** … of so many that it looks at. Each addition brings one id, so of all listed no more than one in `looksAt` stays dead for long. */
  looksAt: number
}

type ListDeps = Pick<Deps, 'store' | 'clock'>

/** How many records are read at a time: more would crowd the store for everyone else. */
const readAtOnce = 100

/** Changes of one list in this process go one after the other: a user who opens many connections at once would otherwise make them all come too late again and again. */
const turns = new WeakMap<Deps['store'], InTurn>()

/** The ids of a list, in the order they came. */
export async function idsOf(deps: ListDeps, { record, key }: Pick<ListAt, 'record' | 'key'>): Promise<string[]> {
  return (await readRecord<IdList>(deps.store, record, key))?.value.ids ?? []
}

/** Adds an id, or renews the life of a list that has it. */
export function addId(deps: ListDeps, list: ListAt, id: string): Promise<void> {
  return inTurn(deps, list.key, () => addNow(deps, list, id))
}

async function addNow(deps: ListDeps, list: ListAt, id: string): Promise<void> {
  const stored = await readRecord<IdList>(deps.store, list.record, list.key)
  const gone = await goneAmong(deps, list, stored?.value.ids ?? [], id)
  const add = (current: IdList | undefined) => {
    const now = deps.clock()
    const isListed = current?.ids.includes(id) ?? false
    if (current && isListed && current.expiresAt - now >= list.renewBelowMs) return { do: 'keep', answer: undefined } as const
    const ids = (current?.ids ?? []).filter((other) => !gone.has(other))
    const next: IdList = { v: 1, ids: isListed ? ids : [...ids, id], expiresAt: now + list.lifeMs }
    return { do: 'write', next, ttlMs: list.lifeMs, answer: undefined } as const
  }
  await changeRecord<IdList, undefined>(deps.store, list.record, list.key, add, stored)
}

/** Removes ids of connections that are gone. The record stays, also when it is empty: a deletion could take an id with it that another adds just now. */
export async function removeIds(deps: ListDeps, { record, key }: Pick<ListAt, 'record' | 'key'>, ids: ReadonlySet<string>): Promise<void> {
  const remove = (current: IdList | undefined) => {
    if (!current?.ids.some((id) => ids.has(id))) return { do: 'keep', answer: undefined } as const
    const next = { ...current, ids: current.ids.filter((id) => !ids.has(id)) }
    return { do: 'write', next, ttlMs: Math.max(1, current.expiresAt - deps.clock()), answer: undefined } as const
  }
  await inTurn(deps, key, () => changeRecord<IdList, void>(deps.store, record, key, remove))
}

/** The connections of these ids, in their order; undefined for each that is gone. */
export async function readConnections(deps: Pick<Deps, 'store'>, ids: readonly string[]): Promise<(Stored<Connection> | undefined)[]> {
  const found: (Stored<Connection> | undefined)[] = []
  for (let from = 0; from < ids.length; from += readAtOnce) {
    const some = ids.slice(from, from + readAtOnce)
    found.push(...(await Promise.all(some.map((id) => readRecord<Connection>(deps.store, 'connection', recordKey('connection', id))))))
  }
  return found
}

/** Ids of a list whose connections are gone for good, as no id is ever used twice. Ids are random, so where the new one makes us look is as well. */
async function goneAmong(deps: ListDeps, list: ListAt, ids: readonly string[], added: string): Promise<Set<string>> {
  if (ids.length < Math.max(1, list.pruneFrom) || ids.includes(added)) return new Set()
  const start = createHash('sha256').update(added).digest().readUInt32BE(8) % ids.length
  const looked = [...ids.slice(start), ...ids.slice(0, start)].slice(0, list.looksAt)
  const connections = await readConnections(deps, looked)
  return new Set(looked.filter((_, place) => connections[place] === undefined))
}

function inTurn(deps: ListDeps, key: string, task: () => Promise<void>): Promise<void> {
  const here = turns.get(deps.store) ?? createKeyLock()
  turns.set(deps.store, here)
  return here(key, task)
}

/** Those of these that live. */
export function liveOf(deps: Pick<Deps, 'clock'>, found: readonly (Stored<Connection> | undefined)[]): Stored<Connection>[] {
  const now = deps.clock()
  return found.filter((stored) => stored !== undefined && now < stored.value.expiresAt) as Stored<Connection>[]
}
