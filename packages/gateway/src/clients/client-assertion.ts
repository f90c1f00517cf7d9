import { decodeJwt, errors, type JWTPayload, type JWTVerifyGetKey, jwtVerify } from 'jose'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { fingerprint } from '../keys/fingerprint.ts'
import { recordKey } from '../store/schema.ts'
import type { Client } from './client.ts'
import { clientKeys } from './client-keys.ts'

/** `client_assertion_type` of a JWT (RFC 7523 §2.2). */
export const jwtAssertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

/** Signature algorithms taken from clients; published as `token_endpoint_auth_signing_alg_values_supported` (AS-8). */
export const assertionAlgorithms = ['ES256', 'ES384', 'ES512', 'RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'EdDSA', 'Ed25519']

const skewSeconds = 30
const longestLifeSeconds = 3600

/** The client that an assertion says it is from; nothing is verified by this. */
export function claimedClientId(assertion: string): string | undefined {
  try {
    return decodeJwt(assertion).sub
  } catch {
    return undefined
  }
}

/**
 * Verifies a client's JWT (RFC 7523 §3; TK-13): signed by its registered key, `iss` and `sub` are the client, `aud` is our issuer or one of the endpoints, it expires
 * within the hour, and it has not been presented before: by its `jti`, or by itself when it has none.
 *
 * @throws OAuthError `invalid_client`; DocumentUnavailable when the client's keys cannot be fetched right now; StoreUnavailable
 */
export async function verifyAssertion(
  deps: Pick<Deps, 'config' | 'store' | 'clock' | 'guardedFetch'>,
  client: Client,
  assertion: string,
  endpoints: string[],
): Promise<void> {
  const now = deps.clock()
  const payload = await verified(assertion, clientKeys(deps, client), client.clientId, [deps.config.issuer, ...endpoints], now)
  const seconds = Math.ceil(payload.exp ?? 0) - Math.floor(now / 1000)
  if (seconds > longestLifeSeconds + skewSeconds) throw refused('its exp is more than an hour ahead')
  const used = recordKey('used', client.clientId, payload.jti ?? fingerprint(assertion))
  // Kept until the assertion is refused for its age alone, with a margin for rounding.
  const fresh = await deps.store.compareAndSet(used, undefined, JSON.stringify({ v: 1 }), (seconds + skewSeconds + 2) * 1000)
  if (!fresh) throw refused('it was presented before')
}

async function verified(assertion: string, keys: JWTVerifyGetKey, clientId: string, audience: string[], now: number): Promise<JWTPayload> {
  const options = {
    algorithms: assertionAlgorithms,
    audience,
    issuer: clientId,
    subject: clientId,
    currentDate: new Date(now),
    clockTolerance: skewSeconds,
    requiredClaims: ['exp'],
  }
  try {
    return (await jwtVerify(assertion, keys, options)).payload
  } catch (error) {
    if (error instanceof errors.JWKSMultipleMatchingKeys) return verifiedByOneOf(error, assertion, options)
    if (error instanceof errors.JOSEError) throw refused(error.message, error)
    throw error
  }
}

/** A key set without `kid`s leaves several candidates. */
async function verifiedByOneOf(candidates: errors.JWKSMultipleMatchingKeys, assertion: string, options: Parameters<typeof jwtVerify>[2]): Promise<JWTPayload> {
  for await (const key of candidates) {
    try {
      return (await jwtVerify(assertion, key, options)).payload
    } catch (error) {
      if (error instanceof errors.JWSSignatureVerificationFailed) continue
      if (error instanceof errors.JOSEError) throw refused(error.message, error)
      throw error
    }
  }
  throw refused('no key of the client made its signature')
}

function refused(why: string, cause?: unknown): OAuthError {
  return new OAuthError('invalid_client', `The client assertion is refused: ${why}.`, { reason: why, cause })
}
