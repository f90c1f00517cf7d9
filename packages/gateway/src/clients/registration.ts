import type { ClientsConfig } from '../config.ts'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { sourceNetwork } from '../lib/addresses.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Client, ClientAuthMethod } from './client.ts'
import { type ClientMetadata, displayName, parseClientMetadata, webAddress } from './client-metadata.ts'
import { metadataHash } from './metadata-hash.ts'
import { redirectUriProblem } from './redirect-uri.ts'

/** The operator's settings for registration. */
export type RegistrationOptions = Exclude<ClientsConfig['registration'], false>

/** A client that registered itself. Times are milliseconds since the epoch. */
interface RegisteredClient {
  v: 1
  client: Client
  createdAt: number
  renewedAt: number
}

const hourMs = 3_600_000
const dayMs = 86_400_000
const maxRedirectUris = 20

/**
 * Registers a client (RFC 7591; CR-2, CR-20, CR-21). Members that are not known are ignored. Scopes named here bound nothing: a client registers with what its first
 * challenge said and may need more later.
 *
 * @param body the parsed JSON body
 * @param source the peer's address, for the rate
 * @param authorization the request's `Authorization` header, which carries the initial access token where one is required
 * @returns the answer's body, to be sent with 201
 * @throws OAuthError `invalid_redirect_uri`, `invalid_client_metadata`; `invalid_token` for a wrong initial access token; `temporarily_unavailable` (429) when the source
 *   has registered too often; StoreUnavailable
 */
export async function registerClient(
  deps: Pick<Deps, 'config' | 'store' | 'clock' | 'random'>,
  body: unknown,
  source: string,
  authorization?: string,
): Promise<Record<string, unknown>> {
  const { registration } = deps.config.clients
  if (registration === false) throw new OAuthError('access_denied', 'Clients cannot register here.', { status: 403 })
  checkInitialAccessToken(registration, authorization)
  const metadata = checkedMetadata(body)
  await chargeSource(deps, registration, source)
  const methods = authMethods(metadata)
  const secret = methods.includes('client_secret_basic') ? deps.random(32) : undefined
  const client = buildClient(`dcr_${deps.random(18)}`, metadata, methods, secret)
  const now = deps.clock()
  const record: RegisteredClient = { v: 1, client, createdAt: now, renewedAt: now }
  await deps.store.set(recordKey('client', client.clientId), JSON.stringify(record), registration.unusedExpirySeconds * 1000)
  return answer(client, metadata, secret, now)
}

/**
 * Finds a client that registered itself. Being used renews its life, at most daily.
 *
 * @returns undefined when there is none, or it has expired unused
 */
export async function registeredClient(deps: Pick<Deps, 'store' | 'clock'>, options: RegistrationOptions, clientId: string): Promise<Client | undefined> {
  const key = recordKey('client', clientId)
  const stored = await readRecord<RegisteredClient>(deps.store, 'client', key)
  if (!stored) return undefined
  const now = deps.clock()
  const lifeMs = options.unusedExpirySeconds * 1000
  if (now - stored.value.renewedAt > Math.min(dayMs, lifeMs / 4)) {
    const renewed: RegisteredClient = { ...stored.value, renewedAt: now }
    await deps.store.compareAndSet(key, stored.raw, JSON.stringify(renewed), lifeMs)
  }
  return stored.value.client
}

function checkInitialAccessToken(options: RegistrationOptions, authorization: string | undefined): void {
  if (options.initialAccessToken === undefined) return
  const token = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
  if (token !== undefined && sameFingerprint(fingerprint(token), fingerprint(options.initialAccessToken))) return
  throw new OAuthError('invalid_token', 'Registration here needs the initial access token.', {
    headers: { 'www-authenticate': token === undefined ? 'Bearer' : 'Bearer error="invalid_token"' },
  })
}

async function chargeSource(deps: Pick<Deps, 'store'>, options: RegistrationOptions, source: string): Promise<void> {
  const spent = await deps.store.spend(recordKey('spend', 'registration', sourceNetwork(source)), 1, options.perSourcePerHour, hourMs)
  if (!spent.allowed)
    throw new OAuthError('temporarily_unavailable', 'Too many registrations from this address. Try again later.', {
      status: 429,
      headers: { 'retry-after': '3600' },
    })
}

function checkedMetadata(body: unknown): ClientMetadata {
  const metadata = parseClientMetadata(body)
  if (metadata.redirect_uris.length > maxRedirectUris) throw new OAuthError('invalid_redirect_uri', `More than ${maxRedirectUris} redirect URIs.`)
  for (const uri of metadata.redirect_uris) {
    const problem = redirectUriProblem(uri)
    if (problem !== undefined) throw new OAuthError('invalid_redirect_uri', problem)
  }
  return metadata
}

/** The method that was asked for comes first; a secret is taken in the header and in the body alike. `client_secret_basic` is the default (RFC 7591 §2). */
function authMethods(metadata: ClientMetadata): ClientAuthMethod[] {
  const asked = metadata.token_endpoint_auth_method ?? 'client_secret_basic'
  if (asked === 'none' || asked === 'private_key_jwt') return [asked]
  if (asked === 'client_secret_basic') return ['client_secret_basic', 'client_secret_post']
  if (asked === 'client_secret_post') return ['client_secret_post', 'client_secret_basic']
  throw new OAuthError('invalid_client_metadata', 'token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt.')
}

function buildClient(clientId: string, metadata: ClientMetadata, methods: ClientAuthMethod[], secret: string | undefined): Client {
  const uri = webAddress(metadata.client_uri)
  const client: Omit<Client, 'metadataHash'> = {
    clientId,
    trust: 'dynamic',
    name: displayName(metadata),
    redirectUris: metadata.redirect_uris,
    authMethods: methods,
    ...(secret === undefined ? {} : { secretHash: fingerprint(secret) }),
    ...(metadata.jwks ? { jwks: metadata.jwks } : {}),
    ...(metadata.jwks_uri === undefined ? {} : { jwksUri: metadata.jwks_uri }),
    ...(metadata.dpop_bound_access_tokens && { dpopBound: true }),
    ...(uri === undefined ? {} : { uri }),
  }
  return { ...client, metadataHash: metadataHash(client) }
}

/** RFC 7591 §3.2.1: the metadata as registered, what we filled in included. */
function answer(client: Client, metadata: ClientMetadata, secret: string | undefined, now: number): Record<string, unknown> {
  return {
    client_id: client.clientId,
    client_id_issued_at: Math.floor(now / 1000),
    ...(secret === undefined ? {} : { client_secret: secret, client_secret_expires_at: 0 }),
    client_name: client.name,
    redirect_uris: client.redirectUris,
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: client.authMethods[0],
    ...(metadata.scope === undefined ? {} : { scope: metadata.scope }),
    ...(metadata.application_type === undefined ? {} : { application_type: metadata.application_type }),
    ...(client.uri === undefined ? {} : { client_uri: client.uri }),
    ...(client.jwks === undefined ? {} : { jwks: client.jwks }),
    ...(client.jwksUri === undefined ? {} : { jwks_uri: client.jwksUri }),
    ...(client.dpopBound && { dpop_bound_access_tokens: true }),
  }
}
