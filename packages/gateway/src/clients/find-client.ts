import type { PreregisteredClient } from '../config.ts'
import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { fingerprint } from '../keys/fingerprint.ts'
import type { Client, ClientAuthMethod } from './client.ts'
import { documentClient, isDocumentId } from './metadata-document.ts'
import { metadataHash } from './metadata-hash.ts'
import { registeredClient } from './registered-client.ts'

/**
 * Finds the client that a `client_id` names: registered by the team, else by metadata document (CR-1, CR-6) when it is a URL, else registered by itself (CR-2).
 *
 * @throws OAuthError `invalid_client` when there is none or its document is refused (a `DocumentUnavailable` when it could only not be fetched right now);
 *   StoreUnavailable
 */
export async function findClient(deps: Pick<Deps, 'config' | 'store' | 'clock' | 'guardedFetch'>, clientId: string): Promise<Client> {
  const { preregistered, metadataDocuments, registration } = deps.config.clients
  const known = preregistered.find((candidate) => candidate.clientId === clientId)
  if (known) return fromTeam(known)
  if (metadataDocuments !== false && isDocumentId(clientId, metadataDocuments)) return documentClient(deps, metadataDocuments, clientId)
  const registered = registration === false ? undefined : await registeredClient(deps, registration, clientId)
  if (!registered) throw new OAuthError('invalid_client', 'This client is not known here.')
  return registered
}

function fromTeam(known: PreregisteredClient): Client {
  const authMethods: ClientAuthMethod[] = []
  if (known.clientSecret !== undefined) authMethods.push('client_secret_basic', 'client_secret_post')
  if (known.jwks !== undefined || known.jwksUri !== undefined) authMethods.push('private_key_jwt')
  if (authMethods.length === 0) authMethods.push('none')
  const client: Omit<Client, 'metadataHash'> = {
    clientId: known.clientId,
    trust: 'preregistered',
    name: known.name,
    redirectUris: known.redirectUris,
    authMethods,
    ...(known.clientSecret === undefined ? {} : { secretHash: fingerprint(known.clientSecret) }),
    ...(known.jwks === undefined ? {} : { jwks: known.jwks }),
    ...(known.jwksUri === undefined ? {} : { jwksUri: known.jwksUri }),
    ...(known.scopes === undefined ? {} : { scopes: known.scopes }),
    ...(known.service && { service: true }),
    ...(known.introspect && { introspect: true }),
    ...(known.dpopBoundAccessTokens && { dpopBound: true }),
    ...(known.requirePushedRequests && { requirePushed: true }),
  }
  return { ...client, metadataHash: metadataHash(client) }
}
