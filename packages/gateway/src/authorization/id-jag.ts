import { createLocalJWKSet, decodeJwt, errors, type JSONWebKeySet, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import { assertionAlgorithms } from '../clients/client-assertion.ts'
import { fetchedKeys } from '../clients/client-keys.ts'
import type { EnterpriseIssuer } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { recordKey } from '../store/schema.ts'
import type { FrontDeps } from './front-deps.ts'
import { keySetUrl } from './issuer-keys.ts'

/** An identity assertion whose every check has passed, but for its single use. */
export interface Assertion {
  issuer: EnterpriseIssuer
  sub: string
  jti: string
  /** Seconds since the epoch. */
  exp: number
  /** As the identity provider allowed; undefined: it said nothing. */
  scope: string | undefined
  /** Resource identifiers; empty: it named none. */
  resources: string[]
  claims: JWTPayload
}

const skewSeconds = 30
const longestLifeSeconds = 3600
const longestJti = 256

/**
 * Checks an ID-JAG (EX-7, EX-8): type, issuer, signature, audience, times, subject, and that it was made for this very client. Nothing of it but the reason of a refusal is ever logged (EX-11).
 *
 * @param jkt thumbprint of the key that the request came with a proof of; an assertion that is bound to a key is good only with that one
 * @throws OAuthError `invalid_grant`; `temporarily_unavailable` when the keys of its issuer cannot be had; StoreUnavailable
 */
export async function checkIdJag(deps: FrontDeps, assertion: string, clientId: string, jkt: string | undefined): Promise<Assertion> {
  const issuer = issuerOf(deps, assertion)
  const claims = await verified(deps, issuer, assertion)
  const { sub, jti, aud, iat, exp, client_id: madeFor, cnf } = claims
  const now = deps.clock() / 1000
  if (typeof sub !== 'string' || sub === '') throw refused('it has no sub')
  if (typeof jti !== 'string' || jti === '' || jti.length > longestJti) throw refused('its jti is missing or too long')
  // Named among others we would take what another server may be sent too.
  if (Array.isArray(aud) && aud.length !== 1) throw refused('its aud is not this issuer alone')
  if (typeof iat !== 'number' || iat > now + skewSeconds) throw refused('its iat is in the future')
  if (typeof exp !== 'number' || exp > now + longestLifeSeconds + skewSeconds) throw refused('its exp is more than an hour ahead')
  if (madeFor !== clientId) throw refused('its client_id is not this client')
  const boundTo = (cnf as { jkt?: unknown } | undefined)?.jkt
  if (cnf !== undefined && (typeof boundTo !== 'string' || boundTo !== jkt)) throw refused('it is bound to a key that was not proved')
  return { issuer, sub, jti, exp, scope: textOf(claims.scope, 'scope'), resources: resourcesOf(claims.resource), claims }
}

/**
 * Takes an assertion once, until it expires (EX-9).
 *
 * @throws OAuthError `invalid_grant` when it was presented before; StoreUnavailable
 */
export async function takeIdJag(deps: FrontDeps, { issuer, jti, exp }: Assertion): Promise<void> {
  // Kept until it is refused for its age alone, with a margin for rounding.
  const lifeMs = Math.max(1, Math.ceil(exp * 1000 - deps.clock())) + (skewSeconds + 2) * 1000
  const isFirst = await deps.store.compareAndSet(recordKey('used', 'id-jag', issuer.issuer, jti), undefined, JSON.stringify({ v: 1 }), lifeMs)
  if (!isFirst) throw refused('it was presented before')
}

/** Which provider's keys to look for; nothing is verified by this. */
function issuerOf({ config }: FrontDeps, assertion: string): EnterpriseIssuer {
  let iss: unknown
  try {
    iss = decodeJwt(assertion).iss
  } catch {
    throw refused('it is not a JWT')
  }
  const issuer = typeof iss === 'string' && Object.hasOwn(config.enterprise, iss) ? config.enterprise[iss] : undefined
  if (!issuer) throw refused('its iss is not trusted here')
  return issuer
}

async function verified(deps: FrontDeps, issuer: EnterpriseIssuer, assertion: string): Promise<JWTPayload> {
  const options = {
    typ: 'oauth-id-jag+jwt',
    algorithms: assertionAlgorithms,
    issuer: issuer.issuer,
    audience: deps.config.issuer,
    currentDate: new Date(deps.clock()),
    clockTolerance: skewSeconds,
    requiredClaims: ['iss', 'sub', 'aud', 'exp', 'iat', 'jti', 'client_id'],
  }
  const keys = await keysOf(deps, issuer)
  try {
    return (await jwtVerify(assertion, keys, options)).payload
  } catch (error) {
    if (error instanceof errors.JOSEError) throw refused(error.message, error)
    // Its provider's keys could not be had: no verdict on the assertion.
    if (error instanceof OAuthError) throw unavailable(error)
    throw error
  }
}

async function keysOf(deps: FrontDeps, issuer: EnterpriseIssuer): Promise<JWTVerifyGetKey> {
  if (issuer.jwks) return createLocalJWKSet(issuer.jwks as unknown as JSONWebKeySet)
  try {
    return fetchedKeys(deps, issuer.jwksUri ?? (await keySetUrl(deps, issuer.issuer)))
  } catch (error) {
    if (error instanceof OAuthError) throw unavailable(error)
    throw error
  }
}

function resourcesOf(resource: unknown): string[] {
  if (resource === undefined) return []
  const list = Array.isArray(resource) ? resource : [resource]
  if (list.length === 0 || !list.every((one) => typeof one === 'string')) throw refused('its resource is not a text')
  return list
}

function textOf(value: unknown, name: string): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw refused(`its ${name} is not a text`)
}

function refused(why: string, cause?: unknown): OAuthError {
  return new OAuthError('invalid_grant', `The assertion is refused: ${why}.`, { reason: why, cause })
}

function unavailable(cause: OAuthError): OAuthError {
  const reason = cause.reason ?? cause.description
  return new OAuthError('temporarily_unavailable', 'The keys of the identity provider cannot be had right now.', {
    reason,
    cause,
    headers: { 'retry-after': '30' },
  })
}
