import type { ServerConfig } from '../config.ts'
import { type AccessTokenResponse, type Issued, issueDirectly } from '../connections/connections.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { DownstreamRefused } from '../grants/downstream.ts'
import { serviceGrantKey } from '../grants/grant-key.ts'
import { serviceScopes } from '../grants/scope-map.ts'
import { ensureServiceGrant } from '../grants/service-grant.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import { directTarget } from './direct-target.ts'
import type { FrontDeps } from './front-deps.ts'
import { scopesToGrant } from './scopes.ts'
import type { TokenRequest } from './token-request.ts'

/**
 * `grant_type=client_credentials` (RFC 6749 §4.4, EX-3 to EX-5), for clients that the team named a service. No user stands behind the token: a runtime that works with users' grants is
 * open to it only where its server has one for services. No refresh token (RFC 6749 §4.4.3).
 */
export async function tokenForService(deps: FrontDeps, { client, params, resource, jkt }: TokenRequest): Promise<Issued<AccessTokenResponse>> {
  // The options give the right to clients alone that have something to prove themselves with.
  if (!client.service) throw new OAuthError('unauthorized_client', 'This client is no service of the operator, so it gets no token without a user.')
  const server = directTarget(deps, resource)
  const scopes = scopesToGrant(deps.config, client, server, params.get('scope'))
  const grant = await serviceGrant(deps, server, client.clientId, scopes)
  return issueDirectly(deps, { obtainedBy: 'client_credentials', identity: undefined, client, server, scopes, jkt, ...grant })
}

async function serviceGrant(
  deps: FrontDeps,
  server: ServerConfig,
  clientId: string,
  scopes: string[],
): Promise<{ grantKey: string | undefined; provider: string | undefined }> {
  const { provider } = server
  if (provider === undefined || server.grants === 'none') return { grantKey: undefined, provider: undefined }
  const downstream = deps.downstreams[provider]
  if (server.serviceGrant === undefined || !downstream) {
    throw new OAuthError('invalid_target', 'This server acts for users only; a service gets no token for it.', {
      reason: `servers.${server.id} has no serviceGrant`,
    })
  }
  const grantKey = serviceGrantKey(provider, clientId, server.id, scopes)
  const asked = serviceScopes(downstream.provider, withIncluded(deps.config.scopeHierarchy, scopes))
  try {
    await ensureServiceGrant({ ...deps, downstream }, grantKey, { clientId, scopes: asked })
  } catch (error) {
    if (!(error instanceof DownstreamRefused)) throw error
    throw new OAuthError('invalid_target', 'The authorization server behind this gateway gives services no token for this server.', {
      reason: error.reason,
      cause: error,
    })
  }
  return { grantKey, provider }
}
