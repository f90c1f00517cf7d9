import type { Deps } from '../deps.ts'
import { recordKey } from '../store/schema.ts'
import type { Connection } from './connection.ts'
import { addId, idsOf, type ListAt, liveOf, readConnections, removeIds } from './id-list.ts'

type IndexDeps = Pick<Deps, 'store' | 'clock' | 'config'>

/**
 * The live connections of one user, in the order they were made.
 *
 * @param subject as `subjectKey(identity)` gives it
 * @throws StoreUnavailable
 */
export async function connectionsOf(deps: IndexDeps, subject: string): Promise<Connection[]> {
  const found = await readConnections(deps, await idsOf(deps, listOf(deps, subject)))
  return liveOf(deps, found).map(({ value }) => value)
}

/** Adds a connection to its user's index, or renews the index's life for one that is in it. */
export function indexBySubject(deps: IndexDeps, subject: string, connectionId: string): Promise<void> {
  return addId(deps, listOf(deps, subject), connectionId)
}

/** Removes a connection that is gone from its user's index. */
export function unindexBySubject(deps: IndexDeps, subject: string, connectionId: string): Promise<void> {
  return removeIds(deps, listOf(deps, subject), new Set([connectionId]))
}

/**
 * Refreshes renew the index beside their answer. It is written with three times the life that a connection has, and again from two on: it outlives its connections even when one
 * such write in a whole life is lost.
 */
function listOf(deps: IndexDeps, subject: string): ListAt {
  const { refreshTokenSeconds, accessTokenSeconds } = deps.config.tokens
  const lifeMs = Math.max(refreshTokenSeconds, accessTokenSeconds) * 1000
  return { record: 'subject', key: recordKey('subject', subject), lifeMs: 3 * lifeMs, renewBelowMs: 2 * lifeMs, pruneFrom: 32, looksAt: 64 }
}
