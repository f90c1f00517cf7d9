import type { Deps } from '../deps.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import { type Change, changeRecord, type Stored } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Connection } from './connection.ts'
import { ttlOf } from './connection-machine.ts'

/** Lets the connection machine change a record. What it keeps sealed is written under the first key of the ring. */
export function changeConnection<A>(
  deps: Pick<Deps, 'store' | 'keys'>,
  connectionId: string,
  decide: (current: Connection | undefined) => Change<Connection, A>,
  known?: Stored<Connection>,
): Promise<A> {
  const onSealed = (current: Connection | undefined): Change<Connection, A> => {
    const change = decide(current)
    return change.do === 'write' ? { ...change, next: resealed(deps.keys, change.next).connection } : change
  }
  return changeRecord<Connection, A>(deps.store, 'connection', recordKey('connection', connectionId), onSealed, known)
}

/** The connection with its sealed values under the first key of the ring, and how it was with them before. A value that no key opens stays as it is. */
export function resealed(
  keys: Pick<KeyRing, 'reseal'>,
  connection: Connection,
): { connection: Connection; was: 'current' | 'older' | 'unreadable' | 'without sealed values' } {
  const { refresh } = connection
  if (!refresh?.previous) return { connection, was: 'without sealed values' }
  const { sealedAccess, sealedRefresh } = refresh.previous
  const key = recordKey('connection', connection.id)
  const access = keys.reseal(sealedAccess, key)
  const renewed = keys.reseal(sealedRefresh, key)
  if (access === sealedAccess && renewed === sealedRefresh) return { connection, was: 'current' }
  const previous = { ...refresh.previous, sealedAccess: access ?? sealedAccess, sealedRefresh: renewed ?? sealedRefresh }
  const was = access === undefined || renewed === undefined ? 'unreadable' : 'older'
  return { connection: { ...connection, refresh: { ...refresh, previous } }, was }
}

/**
 * Seals what a connection keeps sealed under the first key of the ring, unless it is so already.
 *
 * @param stored the record as it was just read
 */
export function resealConnection(
  deps: Pick<Deps, 'store' | 'keys' | 'clock'>,
  stored: Stored<Connection>,
): Promise<'current' | 'older' | 'unreadable' | 'without sealed values' | 'absent'> {
  type Was = 'current' | 'older' | 'unreadable' | 'without sealed values' | 'absent'
  const decide = (current: Connection | undefined): Change<Connection, Was> => {
    if (!current) return { do: 'keep', answer: 'absent' }
    const { connection, was } = resealed(deps.keys, current)
    return was === 'older' ? { do: 'write', next: connection, ttlMs: ttlOf(connection, deps.clock()), answer: was } : { do: 'keep', answer: was }
  }
  return changeRecord<Connection, Was>(deps.store, 'connection', recordKey('connection', stored.value.id), decide, stored)
}
