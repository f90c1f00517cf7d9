import { createHash } from 'node:crypto'
import type { Deps } from '../deps.ts'
import type { Stored } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Connection } from './connection.ts'
import { addId, idsOf, type ListAt, liveOf, readConnections, removeIds } from './id-list.ts'

type IndexDeps = Pick<Deps, 'store' | 'clock'>

/** A part of all connections. */
export interface ConnectionPage {
  connections: Connection[]
  /** Where the next page begins; undefined: that was the last. */
  next: string | undefined
}

/** Which part. */
interface ListOptions {
  cursor?: string | undefined
  limit?: number | undefined
  wanted?: (connection: Connection) => boolean
}

/** Number of the records that all ids are spread over; see docs/decisions/0005. Another number would need every id to be listed anew. */
export const shardCount = 1024
/** Longer than any connection that nobody refreshes, and never renewed by a mere refresh. */
const lifeMs = 3650 * 86_400_000
/** A page looks at so many connections at most, however few of them are wanted. */
const mostLookedAt = 5000
const mostOfPage = 1000
const mostShardsAtOnce = 64

/** Adds a connection to the index of all. */
export function indexInShard(deps: IndexDeps, connectionId: string): Promise<void> {
  return addId(deps, shard(shardOf(connectionId)), connectionId)
}

/** Removes a connection that is gone. */
export function unindexFromShard(deps: IndexDeps, connectionId: string): Promise<void> {
  return removeIds(deps, shard(shardOf(connectionId)), new Set([connectionId]))
}

/**
 * All live connections by page, in no meaningful order. A connection that is there from the first page to the last comes exactly once, whatever is opened and ended meanwhile. Ids of
 * connections that are gone are dropped where they are met.
 *
 * @param options `cursor`: `next` of the page before; `limit`: most connections of a page, 100 when left out; `wanted`: which count. A page may have fewer, even none, and still a `next`.
 * @throws RangeError for a cursor that is none, and a limit that is not between 1 and 1000
 * @throws StoreUnavailable
 */
export async function listConnections(deps: IndexDeps, options: ListOptions = {}): Promise<ConnectionPage> {
  const { stored, next } = await listStored(deps, options)
  return { connections: stored.map(({ value }) => value), next }
}

/** {@link listConnections} with the records as they were read, for whoever changes them next. */
export async function listStored(deps: IndexDeps, options: ListOptions = {}): Promise<{ stored: Stored<Connection>[]; next: string | undefined }> {
  const { limit = 100, wanted = () => true } = options
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > mostOfPage) throw new RangeError(`limit must be a number from 1 to ${mostOfPage}`)
  let { at, after } = readCursor(options.cursor)
  const stored: Stored<Connection>[] = []
  let looked = 0
  // A small deployment has few ids in many shards, a large one fills a page from one.
  for (let width = 1; at < shardCount; width = Math.min(2 * width, mostShardsAtOnce)) {
    const places = Array.from({ length: Math.min(width, shardCount - at) }, (_, offset) => at + offset)
    const lists = await Promise.all(places.map((place) => idsOf(deps, shard(place))))
    for (const [offset, list] of lists.entries()) {
      const ids = list.filter((id) => id > after).sort()
      for (let from = 0; from < ids.length; ) {
        const some = ids.slice(from, from + Math.min(limit - stored.length, mostLookedAt - looked))
        stored.push(...(await readLive(deps, at + offset, some)).filter(({ value }) => wanted(value)))
        from += some.length
        looked += some.length
        if (stored.length >= limit || looked >= mostLookedAt) return { stored, next: `${at + offset}.${some.at(-1)}` }
      }
      after = ''
    }
    at += places.length
  }
  return { stored, next: undefined }
}

/** How much of all a cursor has behind it, from 0 to 1. */
export function progressOf(cursor: string | undefined): number {
  return cursor === undefined ? 1 : readCursor(cursor).at / shardCount
}

async function readLive(deps: IndexDeps, place: number, ids: string[]): Promise<Stored<Connection>[]> {
  const found = await readConnections(deps, ids)
  const gone = new Set(ids.filter((_, index) => found[index] === undefined))
  if (gone.size > 0) await removeIds(deps, shard(place), gone)
  return liveOf(deps, found)
}

function readCursor(cursor: string | undefined): { at: number; after: string } {
  if (cursor === undefined) return { at: 0, after: '' }
  const [, at = '', after = ''] = /^(0|[1-9]\d{0,3})\.([\w-]{1,60})$/.exec(cursor) ?? []
  if (at === '' || Number(at) >= shardCount) throw new RangeError('cursor must be the next of an earlier page')
  return { at: Number(at), after }
}

/** The record that a connection's id stands in. */
export function shardOf(connectionId: string): number {
  return createHash('sha256').update(connectionId).digest().readUInt32BE(0) % shardCount
}

function shard(place: number): ListAt {
  return { record: 'shard', key: recordKey('shard', String(place)), lifeMs, renewBelowMs: 0, pruneFrom: 1, looksAt: 4 }
}
