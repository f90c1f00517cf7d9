import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { fingerprint } from '../keys/fingerprint.ts'
import { s256Challenge } from '../lib/pkce.ts'
import { inBackground } from '../log/background.ts'
import type { Change } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import { changeConnection } from './change-connection.ts'
import { type Connection, subjectKey } from './connection.ts'
import { type ExchangeAnswer, type KeyProof, narrowed, type RefusalReason, redeem, refresh } from './connection-machine.ts'
import { lifetimesOf, mintTokens } from './fresh-tokens.ts'
import { indexBySubject } from './index-by-subject.ts'
import { readToken, type TokenKind, type TokenParts } from './token-format.ts'
import { unindex } from './unindex.ts'

type ExchangeDeps = Pick<Deps, 'store' | 'keys' | 'random' | 'clock' | 'config' | 'log'>

/** A successful answer of the token endpoint without a refresh token (RFC 6749 §5.1, TK-11), in wire names. */
export interface AccessTokenResponse {
  access_token: string
  /** `DPoP`: bound to the client's key (RFC 9449 §5). */
  token_type: 'Bearer' | 'DPoP'
  /** Seconds, counted from now. */
  expires_in: number
  /** Scopes of the access token. */
  scope: string
}

/** The same with one. */
export interface TokenResponse extends AccessTokenResponse {
  refresh_token: string
}

/** What an exchange gave. */
export interface Issued<Response extends AccessTokenResponse = TokenResponse> {
  response: Response
  connection: Connection
}

/** The code or refresh token proved to have two holders, so the connection is over: `invalid_grant` to the client. The grant is the catcher's to delete. */
export class ConnectionEnded extends OAuthError {
  readonly connection: Connection
  constructor(connection: Connection, reason: string) {
    super('invalid_grant', descriptions[reason === 'code used twice' ? 'unknown code' : 'unknown refresh token'], { reason })
    this.name = 'ConnectionEnded'
    this.connection = connection
  }
}

// The same words for what is unknown, expired, used or revoked: which of them it is helps an attacker more than a developer.
const deadCode = 'The authorization code is unknown, expired or already used.'
const deadToken = 'The refresh token is unknown, expired or revoked.'
const descriptions: Record<RefusalReason, string> = {
  'no such connection': 'The code or refresh token is unknown, expired, used or revoked.',
  'unknown code': deadCode,
  'code expired': deadCode,
  'unknown refresh token': deadToken,
  'refresh token expired': deadToken,
  'other client': 'The code or refresh token was issued to another client.',
  'other redirect_uri': 'The redirect_uri is not the one of the authorization request.',
  'other resource': 'The resource is not the one of the authorization request.',
  'wrong verifier': 'The code_verifier does not match the code_challenge of the authorization request.',
  'scope not granted': 'The scope holds one that was not granted; leave scope out to get all that were.',
  'other key': 'The code or refresh token is bound to a DPoP key, and the request has no proof made with that key.',
}

/**
 * Exchanges an authorization code for the first tokens of its connection (RFC 6749 §4.1.3, RFC 7636 §4.6, TK-1…TK-5).
 *
 * @param given `clientId` is the authenticated client; `redirectUri` and `resource` are compared when the client sent them
 * @throws OAuthError `invalid_grant`, `invalid_target`; {@link ConnectionEnded} when the code was used before
 * @throws StoreUnavailable
 */
export async function redeemCode(
  deps: ExchangeDeps,
  given: { code: string; clientId: string; verifier: string; redirectUri?: string | undefined; resource?: string | undefined } & KeyProof,
): Promise<Issued> {
  const parts = ours(deps, given.code, 'ac', deadCode)
  const { clientId, redirectUri, resource, jkt, bindsRefresh = false } = given
  const event = { codeHash: fingerprint(given.code), challenge: s256Challenge(given.verifier), clientId, redirectUri, resource, jkt, bindsRefresh }
  return exchange(deps, parts, clientId, (current, now) => {
    const fresh = mintTokens(deps, current, { generation: 1, scopes: current.scopes, now, jkt })
    return redeem(current, { ...event, fresh, lives: lifetimesOf(deps) }, now)
  })
}

/**
 * Answers a refresh token with new tokens, or with those it produced before (RFC 6749 §6, TK-6…TK-8; design: records, refresh by the client).
 *
 * @param given `clientId` is the authenticated client; `scope` may narrow the access token, the refresh token keeps all scopes
 * @throws OAuthError `invalid_grant`, `invalid_scope`, `invalid_target`; {@link ConnectionEnded} on a replay
 * @throws StoreUnavailable
 */
export async function refreshTokens(
  deps: ExchangeDeps,
  given: { refreshToken: string; clientId: string; scope?: string | undefined; resource?: string | undefined } & KeyProof,
): Promise<Issued> {
  const parts = ours(deps, given.refreshToken, 'rt', deadToken)
  const { clientId, resource, jkt, bindsRefresh = false } = given
  const asked = { scopes: scopesOf(given.scope), hierarchy: deps.config.scopeHierarchy }
  const event = { tokenHash: fingerprint(given.refreshToken), generation: parts.generation, clientId, resource, jkt, bindsRefresh, ...asked }
  const issued = await exchange(deps, parts, clientId, (current, now) => {
    const fresh = mintTokens(deps, current, { generation: parts.generation + 1, scopes: narrowed(current, asked) ?? current.scopes, now, jkt })
    return refresh(current, { ...event, fresh, lives: lifetimesOf(deps) }, now)
  })
  const { identity, id } = issued.connection
  if (identity) inBackground(deps.log, 'renewing the index of a user', indexBySubject(deps, subjectKey(identity), id))
  return issued
}

/** Real clients repeat `offline_access` here; a refresh token they have already, so it asks for nothing. */
function scopesOf(scope: string | undefined): string[] | undefined {
  const scopes = (scope ?? '').split(' ').filter((name) => name !== '' && name !== 'offline_access')
  return scopes.length > 0 ? scopes : undefined
}

function ours(deps: ExchangeDeps, token: string, kind: TokenKind, description: string): TokenParts {
  const parts = readToken(deps.keys, token)
  if (parts?.kind !== kind) throw new OAuthError('invalid_grant', description, { reason: `not a token of this gateway of kind ${kind}` })
  return parts
}

async function exchange(
  deps: ExchangeDeps,
  { connectionId }: TokenParts,
  clientId: string,
  decide: (current: Connection, now: number) => Change<Connection, ExchangeAnswer>,
): Promise<Issued> {
  const key = recordKey('connection', connectionId)
  const now = deps.clock()
  const absent: Change<Connection, ExchangeAnswer> = { do: 'keep', answer: { is: 'refused', error: 'invalid_grant', reason: 'no such connection' } }
  const answer = await changeConnection(deps, connectionId, (current) => (current ? decide(current, now) : absent))
  if (answer.is === 'ended') throw over(deps, answer.connection, answer.reason)
  if (answer.is === 'refused') {
    if (answer.reason === 'other client') {
      const event = { event: 'authorization.token', level: 'warn', outcome: 'refused' } as const
      deps.log.write({ ...event, reason: 'code or refresh token of another client', clientId, connectionId })
    }
    throw new OAuthError(answer.error, descriptions[answer.reason], { reason: answer.reason })
  }
  const { connection, access } = answer
  const accessToken = deps.keys.open(answer.sealedAccess, key)
  const refreshToken = deps.keys.open(answer.sealedRefresh, key)
  if (accessToken === undefined || refreshToken === undefined) {
    throw new OAuthError('invalid_grant', deadToken, { reason: 'the secret that sealed the successor has left the ring' })
  }
  const expiresIn = Math.floor((access.expiresAt - now) / 1000)
  const scope = (access.scopes ?? connection.scopes).join(' ')
  const tokenType = access.jkt === undefined ? 'Bearer' : 'DPoP'
  return { connection, response: { access_token: accessToken, token_type: tokenType, expires_in: expiresIn, refresh_token: refreshToken, scope } }
}

function over(deps: ExchangeDeps, connection: Connection, reason: string): ConnectionEnded {
  const { id, clientId, server, identity } = connection
  const subject = identity && subjectKey(identity)
  const event = { event: 'authorization.replay', level: 'warn', outcome: 'connection ended' } as const
  deps.log.write({ ...event, reason, clientId, connectionId: id, server, ...(subject !== undefined && { subject }) })
  unindex(deps, connection)
  return new ConnectionEnded(connection, reason)
}
