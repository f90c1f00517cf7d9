import type { Identity, ServerConfig } from '../config.ts'
import type { Deps } from '../deps.ts'
import { GatewayError } from '../errors/errors.ts'
import { fingerprint } from '../keys/fingerprint.ts'
import { clockSkewMs } from '../lib/clock-skew.ts'
import { recordKey } from '../store/schema.ts'
import { type AccessTokenEntry, type Connection, subjectKey } from './connection.ts'
import { lifetimesOf, mintAccessToken } from './fresh-tokens.ts'
import { indexBySubject } from './index-by-subject.ts'
import { indexInShard } from './index-of-all.ts'
import type { AccessTokenResponse, Issued } from './token-exchange.ts'
import { newConnectionId } from './token-format.ts'

/** A connection that begins with its access token, without a visit to the consent page. */
export interface DirectConnection {
  obtainedBy: NonNullable<Connection['obtainedBy']>
  /** Undefined for a service: no user stands behind it, so no user's grant does (EX-5). */
  identity: Identity | undefined
  client: { clientId: string; name: string; trust: Connection['clientTrust'] }
  server: Pick<ServerConfig, 'id' | 'resource'>
  scopes: string[]
  grantKey: string | undefined
  provider: string | undefined
  /** Thumbprint of the key that the access token is bound to (RFC 9449). */
  jkt: string | undefined
}

/**
 * Opens a connection with one access token and no refresh token (RFC 6749 §4.4.3, EX-10): whoever got it gets another in the same way. It lives as long as its token.
 *
 * @throws StoreUnavailable
 */
export async function issueDirectly(
  deps: Pick<Deps, 'store' | 'keys' | 'random' | 'clock' | 'config'>,
  wanted: DirectConnection,
): Promise<Issued<AccessTokenResponse>> {
  const { identity, client, server, scopes, jkt } = wanted
  const id = newConnectionId(deps)
  const now = deps.clock()
  const { accessMs } = lifetimesOf(deps)
  // As long as the token is accepted (access-token.ts).
  const lifeMs = accessMs + clockSkewMs
  const opened: Connection = {
    v: 1,
    id,
    identity,
    clientId: client.clientId,
    clientName: client.name,
    clientTrust: client.trust,
    server: server.id,
    resource: server.resource,
    scopes,
    grantKey: wanted.grantKey,
    provider: wanted.provider,
    createdAt: now,
    lastUsedAt: now,
    expiresAt: now + lifeMs,
    code: undefined,
    usedCodeHash: undefined,
    accessTokens: [],
    refresh: undefined,
    obtainedBy: wanted.obtainedBy,
    signedUntil: { [deps.keys.ids[0] as string]: now + lifeMs },
  }
  const token = mintAccessToken(deps, opened, { generation: 1, scopes, now, jkt })
  const entry: AccessTokenEntry = {
    hash: fingerprint(token),
    generation: 1,
    issuedAt: now,
    expiresAt: now + accessMs,
    used: false,
    ...(jkt !== undefined && { jkt }),
  }
  const connection: Connection = { ...opened, accessTokens: [entry] }
  const isNew = await deps.store.compareAndSet(recordKey('connection', id), undefined, JSON.stringify(connection), lifeMs)
  if (!isNew) throw new GatewayError('internal_error', { reason: `a connection ${id} exists already` })
  await Promise.all([indexInShard(deps, id), identity && indexBySubject(deps, subjectKey(identity), id)])
  const response: AccessTokenResponse = {
    access_token: token,
    token_type: jkt === undefined ? 'Bearer' : 'DPoP',
    expires_in: Math.floor(accessMs / 1000),
    scope: scopes.join(' '),
  }
  return { connection, response }
}
