import { freshnessMs } from '../clients/freshness.ts'
import { chargeFetch, guardedGet } from '../clients/metadata-document.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { FrontDeps } from './front-deps.ts'

/** Where an identity provider says that its keys stand. */
interface KnownKeySet {
  v: 1
  jwksUri: string
  freshUntil: number
}

const maxBytes = 64 * 1024
const keptMs = 86_400_000

/**
 * The `jwks_uri` of an identity provider, from its OpenID Connect Discovery document, cached by its HTTP headers.
 *
 * @throws OAuthError when there is no such document, or it is of another issuer; StoreUnavailable
 */
export async function keySetUrl(deps: FrontDeps, issuer: string): Promise<string> {
  const key = recordKey('document', 'openid-configuration', issuer)
  const cached = (await readRecord<KnownKeySet>(deps.store, 'document', key))?.value
  if (cached && cached.freshUntil > deps.clock()) return cached.jwksUri
  await chargeFetch(deps, new URL(issuer).host)
  const response = await guardedGet(deps, `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`, maxBytes)
  const metadata = response.status === 200 ? parseObject(response.body) : undefined
  // OpenID Connect Discovery §4.3: to the character.
  if (metadata?.issuer !== issuer || typeof metadata.jwks_uri !== 'string') {
    throw new OAuthError('invalid_client', 'The identity provider has no usable metadata.', { reason: `status ${response.status} for ${issuer}` })
  }
  const now = deps.clock()
  const known: KnownKeySet = { v: 1, jwksUri: metadata.jwks_uri, freshUntil: now + freshnessMs(response.headers, now) }
  await deps.store.set(key, JSON.stringify(known), keptMs)
  return known.jwksUri
}

function parseObject(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(body.toString('utf8'))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
