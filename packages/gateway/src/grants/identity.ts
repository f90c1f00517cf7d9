import type { Identity, ProviderConfig } from '../config.ts'
import type { Json } from '../lib/json.ts'
import { DownstreamRefused } from './downstream-error.ts'

/** Longest `sub` and name, and most JSON of claims, that are kept of a user. */
const limits = { sub: 512, name: 256, claims: 16_384 }

/** Claims of an ID token that speak of that token rather than of the user. */
const ofTheToken = ['nonce', 'at_hash', 'c_hash', 's_hash', 'exp', 'iat', 'nbf', 'jti', 'aud', 'azp', 'active', 'token_type', 'client_id', 'scope']

/** Makes an identity of the claims that the provider gave. */
export function identityOf(provider: Pick<ProviderConfig, 'issuer'>, claims: Record<string, unknown>): Identity {
  const kept = Object.fromEntries(Object.entries(claims).filter(([name]) => !ofTheToken.includes(name))) as Record<string, Json>
  const name = [claims.name, claims.preferred_username, claims.username, claims.email].find((value) => typeof value === 'string' && value !== '')
  return checkIdentity(provider, { issuer: provider.issuer, sub: claims.sub, name, claims: kept })
}

/**
 * Holds an identity, a team's own included, to what the gateway relies on: a `sub`, and sizes that fit a record.
 *
 * @throws DownstreamRefused `invalid_response`
 */
export function checkIdentity(provider: Pick<ProviderConfig, 'issuer'>, given: unknown): Identity {
  const { issuer = provider.issuer, sub, name, claims = {} } = (given ?? {}) as Record<string, unknown>
  if (typeof sub !== 'string' || sub === '' || sub.length > limits.sub) throw invalid('the identity has no usable sub')
  if (typeof issuer !== 'string' || issuer === '' || issuer.length > limits.sub || issuer.includes('|')) throw invalid('the identity has no usable issuer')
  if (typeof claims !== 'object' || claims === null || Array.isArray(claims)) throw invalid('the claims of the identity are not an object')
  if (JSON.stringify(claims).length > limits.claims) throw invalid(`the claims of the identity are larger than ${limits.claims} characters`)
  const identity: Identity = { issuer, sub, claims: claims as Record<string, Json> }
  return typeof name === 'string' && name !== '' ? { ...identity, name: name.slice(0, limits.name) } : identity
}

function invalid(reason: string): DownstreamRefused {
  return new DownstreamRefused('invalid_response', reason)
}
