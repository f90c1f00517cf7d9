import type { Deps } from '../deps.ts'
import { subjectKey } from '../lib/subject-key.ts'
import type { Connection } from './connection.ts'

/** What an access token says of itself, besides its connection. Times are milliseconds since the epoch. */
export interface AccessTokenClaims {
  /** An opaque token of ours, which names the connection: the token's id. By itself it opens nothing, as only the hash of the whole is kept. */
  handle: string
  scopes: string[]
  issuedAt: number
  expiresAt: number
  jkt: string | undefined
}

const longest = 8_192

/**
 * The user behind a connection as other services hear of them (RFC 9068 §2.2, RFC 7662 §2.2): issuer and `sub`; the client for a service's own token; for a user whom nobody knows,
 * a name that is only this connection's.
 */
export function subjectOf({ identity, obtainedBy, clientId, id }: Connection): string {
  if (identity) return subjectKey(identity)
  return obtainedBy === 'client_credentials' ? clientId : id
}

/** An access token in the form of RFC 9068, signed with the first of `tokens.signingKeys`; undefined when access tokens are opaque. */
export function jwtAccessToken(deps: Pick<Deps, 'config'>, connection: Connection, claims: AccessTokenClaims): string | undefined {
  const { accessTokenFormat, signingKeys } = deps.config.tokens
  const key = accessTokenFormat === 'jwt' ? signingKeys[0] : undefined
  if (!key) return undefined
  const payload = {
    iss: deps.config.issuer,
    aud: connection.resource,
    sub: subjectOf(connection),
    client_id: connection.clientId,
    scope: claims.scopes.join(' '),
    iat: Math.floor(claims.issuedAt / 1000),
    exp: Math.floor(claims.expiresAt / 1000),
    jti: claims.handle,
    ...(claims.jkt !== undefined && { cnf: { jkt: claims.jkt } }),
  }
  const input = `${encoded({ alg: key.alg, typ: 'at+jwt', kid: key.kid })}.${encoded(payload)}`
  return `${input}.${key.sign(input)}`
}

/**
 * The handle of an access token, whichever its form. The signature is not looked at: what decides is the hash of the whole token, which the connection holds, and the handle has a
 * MAC of its own. So a check costs the same for both forms.
 */
export function handleOf(token: string): string | undefined {
  if (token.startsWith('emcy_')) return token
  const payload = token.length > longest ? undefined : /^[\w-]+\.([\w-]+)\.[\w-]+$/.exec(token)?.[1]
  if (payload === undefined) return undefined
  try {
    const { jti } = JSON.parse(Buffer.from(payload, 'base64url').toString()) as { jti?: unknown }
    return typeof jti === 'string' && jti.startsWith('emcy_at_') ? jti : undefined
  } catch {
    return undefined
  }
}

function encoded(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}
