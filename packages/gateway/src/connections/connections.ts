import type { Identity, ServerConfig } from '../config.ts'
import type { Deps } from '../deps.ts'
import { GatewayError } from '../errors/errors.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { parseRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import { type Connection, subjectKey } from './connection.ts'
import { indexBySubject } from './index-by-subject.ts'
import { indexInShard } from './index-of-all.ts'
import { mintToken, newConnectionId, readToken } from './token-format.ts'
import { unindex } from './unindex.ts'

export { type CheckedToken, checkAccessToken, noteUse } from './access-token.ts'
export { resealConnection } from './change-connection.ts'
export { type DirectConnection, issueDirectly } from './direct-tokens.ts'
export { connectionsOf } from './index-by-subject.ts'
export { type ConnectionPage, listConnections, listStored, progressOf } from './index-of-all.ts'
export { type AccessTokenResponse, ConnectionEnded, type Issued, redeemCode, refreshTokens, type TokenResponse } from './token-exchange.ts'
export { newConnectionId } from './token-format.ts'

/** What functions on connections ask for. */
export type ConnectionDeps = Pick<Deps, 'store' | 'keys' | 'random' | 'clock' | 'config' | 'log'>

/** A connection to be opened. */
export interface NewConnection {
  /** Undefined for a server without users. */
  identity: Identity | undefined
  client: { clientId: string; name: string; trust: Connection['clientTrust'] }
  server: Pick<ServerConfig, 'id' | 'resource'>
  /** What the user granted, in the server's order. */
  scopes: string[]
  grantKey: string | undefined
  provider: string | undefined
  code: { /** S256 (RFC 7636). */ challenge: string; redirectUri: string /** `dpop_jkt` (RFC 9449 §10). */; jkt?: string | undefined }
  /** Made beforehand with {@link newConnectionId} when the grant's key had to name it. */
  connectionId?: string | undefined
}

/**
 * Stores a connection with its pending authorization code. Until the code is used it lives no longer than the code.
 *
 * @returns the code, to be sent to the client; only its hash is stored
 * @throws StoreUnavailable
 */
export async function openConnection(deps: ConnectionDeps, wanted: NewConnection): Promise<{ connectionId: string; code: string }> {
  const { client, server, identity } = wanted
  const { challenge, redirectUri, jkt } = wanted.code
  const id = wanted.connectionId ?? newConnectionId(deps)
  const now = deps.clock()
  const lifeMs = deps.config.tokens.codeSeconds * 1000
  const code = mintToken(deps, 'ac', id, 0)
  const connection: Connection = {
    v: 1,
    id,
    identity,
    clientId: client.clientId,
    clientName: client.name,
    clientTrust: client.trust,
    server: server.id,
    resource: server.resource,
    scopes: wanted.scopes,
    grantKey: wanted.grantKey,
    provider: wanted.provider,
    createdAt: now,
    lastUsedAt: now,
    expiresAt: now + lifeMs,
    code: { hash: fingerprint(code), expiresAt: now + lifeMs, challenge, redirectUri, ...(jkt !== undefined && { jkt }) },
    usedCodeHash: undefined,
    accessTokens: [],
    refresh: undefined,
    signedUntil: { [deps.keys.ids[0] as string]: now + lifeMs },
  }
  const isNew = await deps.store.compareAndSet(recordKey('connection', id), undefined, JSON.stringify(connection), lifeMs)
  if (!isNew) throw new GatewayError('internal_error', { reason: `a connection ${id} exists already` })
  // Before the code leaves: a connection that nobody finds could not be ended. A crash in between leaves one whose code nobody has, and which dies with that.
  await Promise.all([indexInShard(deps, id), identity && indexBySubject(deps, subjectKey(identity), id)])
  return { connectionId: id, code }
}

/** A connection that stands; undefined when it has ended, or its code was not redeemed yet. */
export async function readConnection(deps: Pick<Deps, 'store' | 'clock'>, connectionId: string): Promise<Connection | undefined> {
  const connection = (await readRecord<Connection>(deps.store, 'connection', recordKey('connection', connectionId)))?.value
  return connection && connection.code === undefined && deps.clock() < connection.expiresAt ? connection : undefined
}

/**
 * Ends a connection: from here on none of its tokens is accepted anywhere. Its grant is the caller's to delete. Of several callers one gets the connection.
 *
 * @throws StoreUnavailable
 */
export async function endConnection(deps: ConnectionDeps, connectionId: string): Promise<Connection | undefined> {
  const raw = await deps.store.take(recordKey('connection', connectionId))
  if (raw === undefined) return undefined
  const connection = parseRecord<Connection>('connection', raw)
  unindex(deps, connection)
  return connection
}

/**
 * Ends the connection of a token at its client's wish (RFC 7009 §2.1): of any refresh token of ours, a live access token, or the code.
 *
 * @param clientId the authenticated client; a token of another client revokes nothing
 * @returns the connection that ended, or undefined: to the client both are the same 200
 * @throws StoreUnavailable
 */
export async function revokeToken(deps: ConnectionDeps, token: string, clientId: string): Promise<Connection | undefined> {
  const parts = readToken(deps.keys, token)
  if (!parts) return undefined
  const connection = (await readRecord<Connection>(deps.store, 'connection', recordKey('connection', parts.connectionId)))?.value
  if (connection?.clientId !== clientId) return undefined
  const now = deps.clock()
  const hash = fingerprint(token)
  // An access token that has expired is often found in logs and histories: it must not be able to end a session.
  const isLive = parts.kind !== 'at' || connection.accessTokens.some((entry) => sameFingerprint(entry.hash, hash) && now < entry.expiresAt)
  return isLive ? endConnection(deps, connection.id) : undefined
}
