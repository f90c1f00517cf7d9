import type { Config } from '../config.ts'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { Client, ClientAuthMethod } from './client.ts'
import { type ClientMetadata, displayName, parseClientMetadata, sharedMembers } from './client-metadata.ts'
import { metadataHash } from './metadata-hash.ts'
import { isLoopbackRedirectUri, redirectUriProblem } from './redirect-uri.ts'
import type { RegisteredClient } from './registered-client.ts'

const maxRedirectUris = 20

/**
 * Checks what a client registers with, beyond what {@link parseClientMetadata} does.
 *
 * @throws OAuthError `invalid_redirect_uri`, `invalid_client_metadata`, saying what to change
 */
export function statedMetadata(body: unknown): ClientMetadata {
  const metadata = parseClientMetadata(body)
  if (metadata.redirect_uris.length > maxRedirectUris) throw new OAuthError('invalid_redirect_uri', `More than ${maxRedirectUris} redirect URIs.`)
  for (const uri of metadata.redirect_uris) {
    const problem = redirectUriProblem(uri)
    if (problem !== undefined) throw new OAuthError('invalid_redirect_uri', problem)
  }
  checkApplicationType(metadata)
  authMethodsOf(metadata)
  return metadata
}

/**
 * CR-19, to the letter of OpenID Connect Registration §2 where a client says what it is. Without it nothing is assumed: several real clients on loopback say nothing
 * (clients.md line 12), and the rules for `web`, its default there, would shut them out.
 */
function checkApplicationType({ application_type: type, redirect_uris: uris }: ClientMetadata): void {
  if (type === undefined || type === 'native') return
  if (type !== 'web') throw new OAuthError('invalid_client_metadata', 'application_type must be native or web.')
  if (uris.some(isLoopbackRedirectUri)) {
    throw new OAuthError('invalid_redirect_uri', 'A client with a redirect URI on a loopback host must register with application_type native, not web.')
  }
}

/** The method that was asked for comes first; a secret is taken in the header and in the body alike. `client_secret_basic` is the default (RFC 7591 §2). */
function authMethodsOf(metadata: ClientMetadata): ClientAuthMethod[] {
  const asked = metadata.token_endpoint_auth_method ?? 'client_secret_basic'
  if (asked === 'none' || asked === 'private_key_jwt') return [asked]
  if (asked === 'client_secret_basic') return ['client_secret_basic', 'client_secret_post']
  if (asked === 'client_secret_post') return ['client_secret_post', 'client_secret_basic']
  throw new OAuthError('invalid_client_metadata', 'token_endpoint_auth_method must be none, client_secret_basic, client_secret_post or private_key_jwt.')
}

/** A secret for a client that proves itself by one. */
export function newSecret(deps: Pick<Deps, 'random'>, metadata: ClientMetadata): string | undefined {
  return authMethodsOf(metadata).includes('client_secret_basic') ? deps.random(32) : undefined
}

/** The client that metadata describe. */
export function buildClient(clientId: string, metadata: ClientMetadata, secretHash: string | undefined): Client {
  const client: Omit<Client, 'metadataHash'> = {
    clientId,
    trust: 'dynamic',
    name: displayName(metadata),
    redirectUris: metadata.redirect_uris,
    authMethods: authMethodsOf(metadata),
    ...(secretHash === undefined ? {} : { secretHash }),
    ...sharedMembers(metadata),
  }
  return { ...client, metadataHash: metadataHash(client) }
}

/**
 * What the holder of a client is told of it (RFC 7591 §3.2.1, RFC 7592 §3): the metadata as registered, what we filled in included. A secret is told once, since only its hash is kept.
 *
 * @param issued the registration access token, and a secret that was made just now
 */
export function clientInformation(
  config: Pick<Config, 'issuer' | 'endpoints'>,
  { client, metadata, statement, createdAt }: RegisteredClient,
  issued: { token: string; secret: string | undefined },
): Record<string, unknown> {
  return {
    client_id: client.clientId,
    client_id_issued_at: Math.floor(createdAt / 1000),
    ...(issued.secret === undefined ? {} : { client_secret: issued.secret }),
    ...(client.secretHash === undefined ? {} : { client_secret_expires_at: 0 }),
    registration_access_token: issued.token,
    registration_client_uri: `${config.issuer}${config.endpoints.register}?client_id=${client.clientId}`,
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
    ...(client.requirePushed && { require_pushed_authorization_requests: true }),
    ...(statement === undefined ? {} : { software_statement: statement }),
  }
}
