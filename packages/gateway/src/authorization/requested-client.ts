import type { Client } from '../clients/client.ts'
import { findClient } from '../clients/find-client.ts'
import { checkRedirectUri } from '../clients/redirect-uri.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { FrontDeps } from './front-deps.ts'
import { type AuthorizationParams, parseAuthorizationParams } from './parameters.ts'
import { findPushed } from './pushed-requests.ts'

/** An authorization request and whose it is. */
export interface ClientRequest {
  client: Client
  given: AuthorizationParams
  /** Id of the pushed request that it is. */
  pushed: string | undefined
}

/**
 * The client of an authorization request; and the request that it pushed, where the request names one: what stands beside it in the URL counts for nothing then (RFC 9101 §5).
 *
 * @throws OAuthError to be shown on a page of ours, since nobody can be trusted with a redirect yet (AZ-3)
 */
export async function requestOfClient(deps: FrontDeps, given: AuthorizationParams): Promise<ClientRequest> {
  const clientId = given.params.get('client_id')
  if (clientId === undefined) throw new OAuthError('invalid_request', 'The parameter client_id is missing.')
  const client = await findClient(deps, clientId)
  const requestUri = given.params.get('request_uri')
  const isOffered = deps.config.clients.pushedRequests !== 'off'
  const found = requestUri === undefined || !isOffered ? undefined : await findPushed(deps, requestUri, clientId)
  return { client, given: found ? parseAuthorizationParams(found.query) : given, pushed: found?.id }
}

/**
 * Where the answer goes. OAuth 2.1 §4.1.1: it may be missing when exactly one is registered.
 *
 * @throws OAuthError `invalid_request`, to be shown on a page of ours (AZ-3)
 */
export function requestedRedirectUri(client: Client, { params }: AuthorizationParams): string {
  const given = params.get('redirect_uri')
  const [only, ...others] = client.redirectUris
  if (given === undefined && only !== undefined && others.length === 0) return only
  if (given === undefined) throw new OAuthError('invalid_request', 'The parameter redirect_uri is missing.')
  if (!checkRedirectUri(client, given)) throw new OAuthError('invalid_request', 'The redirect_uri is not one that this client registered.')
  return given
}
