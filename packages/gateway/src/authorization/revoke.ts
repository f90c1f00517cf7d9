import type { IncomingMessage, ServerResponse } from 'node:http'
import { authenticateClient } from '../clients/authenticate-client.ts'
import { subjectKey } from '../connections/connection.ts'
import { revokeToken } from '../connections/connections.ts'
import { releaseGrant } from '../ending/ending.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { authorizationHeader } from '../http/authorization-header.ts'
import { readForm } from '../http/body.ts'
import { sendEmpty } from '../http/respond.ts'
import type { FrontDeps } from './front-deps.ts'

/**
 * POST /revoke (RFC 7009, AS-10). A public client names itself by `client_id` in the body (clients.md line 23). What is unknown, or of another client, gets the same 200 as
 * what was revoked.
 */
export async function revoke(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const { config } = deps
  const params = await readForm(req, { maxBytes: config.limits.oauthBodyBytes, timeoutMs: config.limits.bodySeconds * 1000 })
  const tokenEndpoint = config.issuer + config.endpoints.token
  const { client } = await authenticateClient(deps, { authorization: authorizationHeader(req), params, tokenEndpoint })
  const given = params.get('token')
  if (given === undefined) throw new OAuthError('invalid_request', 'The parameter token is missing.')
  const connection = await revokeToken(deps, given, client.clientId)
  // A grant that an identity provider's word lets a client use was made by the user's own sign-in, and is theirs to end.
  if (connection && connection.obtainedBy !== 'id-jag') await releaseGrant(deps, connection)
  deps.log.write({
    event: 'authorization.revoke',
    level: 'info',
    outcome: connection ? 'connection ended' : 'nothing to revoke',
    requestId,
    clientId: client.clientId,
    ...(connection && { connectionId: connection.id, server: connection.server }),
    ...(connection?.identity && { subject: subjectKey(connection.identity) }),
  })
  sendEmpty(res, 200)
}
