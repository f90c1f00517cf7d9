import type { Deps } from '../deps.ts'
import { type Change, changeRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Connection } from './connection.ts'

/** The ids of one user's connections. An id may outlive its connection, never the other way round. */
interface SubjectIndex {
  v: 1
  ids: string[]
  expiresAt: number
}

type IndexDeps = Pick<Deps, 'store' | 'clock' | 'config'>

/** From this many ids on, an addition first drops those whose connection is gone; few users ever have so many. */
const pruneFrom = 32

/**
 * The live connections of one user, in the order they were made.
 *
 * @param subject as `subjectKey(identity)` gives it
 * @throws StoreUnavailable
 */
export async function connectionsOf(deps: IndexDeps, subject: string): Promise<Connection[]> {
  const index = await readRecord<SubjectIndex>(deps.store, 'subject', recordKey('subject', subject))
  const found = await readAll(deps, index?.value.ids ?? [])
  const now = deps.clock()
  return found.filter((connection) => connection !== undefined && now < connection.expiresAt) as Connection[]
}

/** Adds a connection to its user's index, or renews the index's life for one that is in it. */
export async function indexConnection(deps: IndexDeps, subject: string, connectionId: string): Promise<void> {
  const key = recordKey('subject', subject)
  const stored = await readRecord<SubjectIndex>(deps.store, 'subject', key)
  const ids = stored?.value.ids ?? []
  const gone = new Set<string>()
  if (ids.length >= pruneFrom && !ids.includes(connectionId)) {
    for (const [place, connection] of (await readAll(deps, ids)).entries()) if (!connection) gone.add(ids[place] as string)
  }
  const add = (index: SubjectIndex | undefined) => addition(index, connectionId, gone, lifeMs(deps), deps.clock())
  await changeRecord<SubjectIndex, void>(deps.store, 'subject', key, add, stored)
}

/** Removes a connection that is gone from its user's index. */
export async function unindexConnection(deps: IndexDeps, subject: string, connectionId: string): Promise<void> {
  await changeRecord<SubjectIndex, void>(deps.store, 'subject', recordKey('subject', subject), (index) => {
    if (!index?.ids.includes(connectionId)) return { do: 'keep', answer: undefined }
    return write({ ...index, ids: index.ids.filter((id) => id !== connectionId) }, deps.clock())
  })
}

function addition(index: SubjectIndex | undefined, id: string, gone: Set<string>, life: number, now: number): Change<SubjectIndex, void> {
  const isListed = index?.ids.includes(id) ?? false
  // Written with twice the life that is needed, so that of all the refreshes in one life a single one writes.
  if (index && isListed && index.expiresAt - now >= life) return { do: 'keep', answer: undefined }
  const ids = (index?.ids ?? []).filter((other) => !gone.has(other))
  return write({ v: 1, ids: isListed ? ids : [...ids, id], expiresAt: now + 2 * life }, now)
}

function write(next: SubjectIndex, now: number): Change<SubjectIndex, void> {
  return { do: 'write', next, ttlMs: Math.max(1, next.expiresAt - now), answer: undefined }
}

/** Longest that a connection can live without a rotation, which renews the index. */
function lifeMs(deps: IndexDeps): number {
  const { refreshTokenSeconds, accessTokenSeconds } = deps.config.tokens
  return Math.max(refreshTokenSeconds, accessTokenSeconds) * 1000
}

async function readAll(deps: IndexDeps, ids: string[]): Promise<(Connection | undefined)[]> {
  const records = await Promise.all(ids.map((id) => readRecord<Connection>(deps.store, 'connection', recordKey('connection', id))))
  return records.map((record) => record?.value)
}
