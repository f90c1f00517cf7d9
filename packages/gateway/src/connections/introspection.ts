import type { Deps } from '../deps.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Connection } from './connection.ts'
import { subjectOf } from './jwt-access-token.ts'
import { readToken } from './token-format.ts'

/** What is said of a live token (RFC 7662 §2.2), in wire names; of any other only that it is not active. */
export type Introspection =
  | { active: false }
  | {
      active: true
      scope: string
      client_id: string
      sub: string
      iss: string
      /** Resource identifier of the server that it is for. */
      aud: string
      exp: number
      iat?: number
      /** Of access tokens only: how they are presented. */
      token_type?: 'Bearer' | 'DPoP'
      cnf?: { jkt: string }
    }

/** A live token, whichever its kind. */
interface Live {
  scopes: string[]
  issuedAt: number | undefined
  expiresAt: number
  jkt: string | undefined
  tokenType: 'Bearer' | 'DPoP' | undefined
}

const inactive: Introspection = { active: false }

/**
 * Says of a token whether it would be accepted right now, and of one that would, what for. Everything else (never ours, expired, revoked, used up, a code) gets one and the same answer,
 * so that nobody learns more from asking than from trying (RFC 7662 §2.2).
 *
 * @throws StoreUnavailable an outage is no verdict
 */
export async function introspect(deps: Pick<Deps, 'store' | 'keys' | 'clock' | 'config'>, token: string): Promise<Introspection> {
  const parts = readToken(deps.keys, token)
  if (!parts || parts.kind === 'ac') return inactive
  const connection = (await readRecord<Connection>(deps.store, 'connection', recordKey('connection', parts.connectionId)))?.value
  // A server that moved to another URL is another audience.
  if (!connection || connection.resource !== deps.config.servers[connection.server]?.resource) return inactive
  const hash = fingerprint(token)
  const live = parts.kind === 'at' ? liveAccessToken(connection, hash) : liveRefreshToken(connection, hash)
  if (!live || deps.clock() >= live.expiresAt) return inactive
  return {
    active: true,
    scope: live.scopes.join(' '),
    client_id: connection.clientId,
    sub: subjectOf(connection),
    iss: deps.config.issuer,
    aud: connection.resource,
    exp: Math.floor(live.expiresAt / 1000),
    ...(live.issuedAt !== undefined && { iat: Math.floor(live.issuedAt / 1000) }),
    ...(live.tokenType && { token_type: live.tokenType }),
    ...(live.jkt !== undefined && { cnf: { jkt: live.jkt } }),
  }
}

function liveAccessToken(connection: Connection, hash: string): Live | undefined {
  const entry = connection.accessTokens.find((candidate) => sameFingerprint(candidate.hash, hash))
  if (!entry) return undefined
  const { issuedAt, expiresAt, jkt, scopes = connection.scopes } = entry
  return { scopes, issuedAt, expiresAt, jkt, tokenType: jkt === undefined ? 'Bearer' : 'DPoP' }
}

/** The current one only: the one before it is good for nothing but its own successor. */
function liveRefreshToken({ refresh, scopes }: Connection, hash: string): Live | undefined {
  if (!refresh || !sameFingerprint(refresh.hash, hash)) return undefined
  return { scopes, issuedAt: refresh.issuedAt, expiresAt: refresh.expiresAt, jkt: refresh.jkt, tokenType: undefined }
}
