import type { IncomingMessage, ServerResponse } from 'node:http'
import { authenticateClient } from '../clients/authenticate-client.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { authorizationHeader } from '../http/authorization-header.ts'
import { sendJson } from '../http/respond.ts'
import type { FrontDeps } from './front-deps.ts'
import { type AuthorizationParams, readAuthorizationParams } from './parameters.ts'
import { provedKey } from './proved-key.ts'
import { pushedSeconds, sealPushed } from './pushed-requests.ts'
import { checkRequest } from './request-checks.ts'
import { requestedRedirectUri } from './requested-client.ts'

// All that /authorize looks at, but for what is written anew below: not the client's authentication, and nothing that nobody knows.
const kept = ['response_type', 'response_mode', 'redirect_uri', 'scope', 'state', 'code_challenge', 'code_challenge_method', 'prompt', 'login_hint']

/**
 * POST /par (RFC 9126): a client puts its authorization request here and gets a reference to it for the browser. Everything is checked as at /authorize, so that whoever made a mistake
 * learns of it here, and not the user (§2.1).
 */
export async function par(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const { config } = deps
  const given = await readAuthorizationParams(req, config)
  const { params } = given
  const endpoint = config.issuer + config.endpoints.par
  const tokenEndpoint = config.issuer + config.endpoints.token
  const { client } = await authenticateClient(deps, { authorization: authorizationHeader(req), params, tokenEndpoint, endpoint })
  if (params.get('request_uri') !== undefined) throw new OAuthError('invalid_request', 'A pushed request must not have a request_uri.')
  requestedRedirectUri(client, given)
  const { server, scopes, dpopJkt } = checkRequest(config, client, given)
  // RFC 9449 §10.1: a proof here binds the code as dpop_jkt does.
  const proved = await provedKey(deps, req, endpoint, false)
  if (proved !== undefined && dpopJkt !== undefined && proved !== dpopJkt) {
    throw new OAuthError('invalid_dpop_proof', 'The dpop_jkt is not that of the DPoP proof.')
  }
  const requestUri = sealPushed(deps, client.clientId, queryOfRequest(given, client.clientId, proved ?? dpopJkt))
  deps.log.write({ event: 'authorization.request', level: 'info', outcome: 'pushed', requestId, clientId: client.clientId, server: server.id, scopes })
  sendJson(res, 201, { request_uri: requestUri, expires_in: pushedSeconds })
}

function queryOfRequest({ params, resources }: AuthorizationParams, clientId: string, jkt: string | undefined): string {
  const query = new URLSearchParams([...params.entries()].filter(([name]) => kept.includes(name)))
  query.set('client_id', clientId)
  if (jkt !== undefined) query.set('dpop_jkt', jkt)
  for (const resource of resources) query.append('resource', resource)
  return query.toString()
}
