import type { IncomingMessage, ServerResponse } from 'node:http'
import { authenticateClient } from '../clients/authenticate-client.ts'
import { introspect as look } from '../connections/introspection.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { authorizationHeader } from '../http/authorization-header.ts'
import { readForm } from '../http/body.ts'
import { sendJson } from '../http/respond.ts'
import type { FrontDeps } from './front-deps.ts'

/**
 * POST /introspect (RFC 7662), for services of the team that the options let ask. `token_type_hint` is not needed: a token says itself what it is. The answer is of this moment and must
 * not be kept (`no-store`).
 */
export async function introspect(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const { config } = deps
  const params = await readForm(req, { maxBytes: config.limits.oauthBodyBytes, timeoutMs: config.limits.bodySeconds * 1000 })
  const tokenEndpoint = config.issuer + config.endpoints.token
  const { client } = await authenticateClient(deps, { authorization: authorizationHeader(req), params, tokenEndpoint })
  // The options give the right to clients alone that have something to prove themselves with.
  if (!client.introspect) throw new OAuthError('unauthorized_client', 'This client may not ask about tokens.', { status: 403 })
  const token = params.get('token')
  if (token === undefined) throw new OAuthError('invalid_request', 'The parameter token is missing.')
  const answer = await look(deps, token)
  deps.log.write({ event: 'authorization.introspect', level: 'info', outcome: answer.active ? 'active' : 'inactive', requestId, clientId: client.clientId })
  sendJson(res, 200, answer, { pragma: 'no-cache' })
}
