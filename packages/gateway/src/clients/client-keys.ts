import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Client } from './client.ts'
import { freshnessMs } from './freshness.ts'
import { keepFetched } from './kept-fetch.ts'
import { chargeFetch, guardedGet } from './metadata-document.ts'

/** A cached key set of a client's `jwks_uri`. */
interface CachedKeys {
  v: 1
  jwks: JSONWebKeySet
  fetchedAt: number
  freshUntil: number
}

type KeyDeps = Pick<Deps, 'store' | 'clock' | 'guardedFetch'>

const maxBytes = 32 * 1024
const maxKeys = 20
const keptMs = 86_400_000
// A key that the cached set lacks is looked for again, but not more often than this.
const againMs = 60_000

/**
 * The keys that verify a client's assertions (RFC 7591 §2, `jwks` or `jwks_uri`). A set that was fetched is cached by its HTTP headers, and fetched again when it lacks the
 * key that is asked for.
 */
export function clientKeys(deps: KeyDeps, client: Pick<Client, 'jwks' | 'jwksUri'>): JWTVerifyGetKey {
  const { jwksUri } = client
  if (client.jwks) return createLocalJWKSet(client.jwks as unknown as JSONWebKeySet)
  if (jwksUri === undefined) {
    return () => {
      throw new OAuthError('invalid_client', 'This client has no keys registered.')
    }
  }
  return fetchedKeys(deps, jwksUri)
}

/**
 * The keys that stand at a URL, for {@link clientKeys} and for identity providers. Looking one up throws a `DocumentUnavailable` when the host does not answer, and an OAuthError
 * `invalid_client` when it answers with no key set.
 */
export function fetchedKeys(deps: KeyDeps, jwksUri: string): JWTVerifyGetKey {
  return async (header, token) => {
    const cached = await cachedKeys(deps, jwksUri)
    const known = cached && cached.freshUntil > deps.clock() ? cached : await fetchKeys(deps, jwksUri)
    try {
      return await createLocalJWKSet(known.jwks)(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || deps.clock() - known.fetchedAt < againMs) throw error
      return createLocalJWKSet((await fetchKeys(deps, jwksUri)).jwks)(header, token)
    }
  }
}

async function cachedKeys(deps: KeyDeps, jwksUri: string): Promise<CachedKeys | undefined> {
  return (await readRecord<CachedKeys>(deps.store, 'document', keysKey(jwksUri)))?.value
}

async function fetchKeys(deps: KeyDeps, jwksUri: string): Promise<CachedKeys> {
  await chargeFetch(deps, new URL(jwksUri).host)
  const response = await guardedGet(deps, jwksUri, maxBytes)
  const jwks = response.status === 200 ? parseKeys(response.body) : undefined
  if (!jwks) throw new OAuthError('invalid_client', 'The jwks_uri did not answer with a key set.', { reason: `status ${response.status}` })
  const now = deps.clock()
  const record: CachedKeys = { v: 1, jwks, fetchedAt: now, freshUntil: now + freshnessMs(response.headers, now) }
  await keepFetched(deps, 'keys', keysKey(jwksUri), JSON.stringify(record), keptMs)
  return record
}

function parseKeys(body: Buffer): JSONWebKeySet | undefined {
  try {
    const value = JSON.parse(body.toString('utf8')) as JSONWebKeySet
    // Throws for what is not a key set.
    createLocalJWKSet(value)
    return value.keys.length <= maxKeys ? value : undefined
  } catch {
    return undefined
  }
}

function keysKey(jwksUri: string): string {
  return recordKey('document', 'jwks', jwksUri)
}
