import type { IncomingMessage, ServerResponse } from 'node:http'
import { authenticateClient } from '../clients/authenticate-client.ts'
import { jwtBearerGrant, type OfferedGrantType, offeredGrantTypes } from '../clients/grant-types.ts'
import { type Connection, subjectKey } from '../connections/connection.ts'
import { type AccessTokenResponse, ConnectionEnded, type Issued } from '../connections/connections.ts'
import { releaseGrant } from '../ending/ending.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { keepGrant } from '../grants/grants.ts'
import { authorizationHeader } from '../http/authorization-header.ts'
import { readForm } from '../http/body.ts'
import type { Params } from '../http/params.ts'
import { sendJson } from '../http/respond.ts'
import { sameResource } from '../lib/resource.ts'
import { inBackground } from '../log/background.ts'
import type { FrontDeps } from './front-deps.ts'
import { provedKey } from './proved-key.ts'
import { tokenForService } from './token-for-service.ts'
import { tokenFromAssertion } from './token-from-assertion.ts'
import { tokenFromCode } from './token-from-code.ts'
import { tokenFromRefresh } from './token-from-refresh.ts'
import type { GrantType, TokenRequest } from './token-request.ts'

const issuers: Record<OfferedGrantType, GrantType> = {
  authorization_code: tokenFromCode,
  refresh_token: tokenFromRefresh,
  client_credentials: tokenForService,
  [jwtBearerGrant]: tokenFromAssertion,
}

/** POST /token (RFC 6749 §3.2, TK-11, TK-12). */
export async function token(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const { config } = deps
  const params = await readForm(req, { maxBytes: config.limits.oauthBodyBytes, timeoutMs: config.limits.bodySeconds * 1000 })
  const tokenEndpoint = config.issuer + config.endpoints.token
  const { client, method } = await authenticateClient(deps, { authorization: authorizationHeader(req), params, tokenEndpoint })
  const grantType = params.get('grant_type')
  const issue = findGrantType(deps, grantType)
  // A client that registered for bound tokens gets no others (RFC 9449 §5.2).
  const jkt = await provedKey(deps, req, tokenEndpoint, client.dpopBound ?? false)
  const request = { client, authenticated: method !== 'none', params, resource: requestedResource(deps, params), jkt }
  const { response, connection } = await issueTokens(deps, issue, request)
  logIssued(deps, connection, grantType as string, requestId)
  sendJson(res, 200, response, { pragma: 'no-cache' })
}

function findGrantType({ config }: FrontDeps, name: string | undefined): GrantType {
  if (name === undefined) throw new OAuthError('invalid_request', 'The parameter grant_type is missing.')
  const offered = offeredGrantTypes(config)
  const found = offered.find((candidate) => candidate === name)
  if (!found) throw new OAuthError('unsupported_grant_type', `Only these grant types are supported: ${offered.join(', ')}.`)
  return issuers[found]
}

/** Some clients send no `resource` here; the code or refresh token says it then (clients.md lines 2 and 3). */
function requestedResource({ config }: FrontDeps, params: Params): string | undefined {
  const given = params.get('resource')
  if (given === undefined) return undefined
  const server = Object.values(config.servers).find((candidate) => sameResource(given, candidate.resource))
  if (!server) throw new OAuthError('invalid_target', 'The resource is not a server of this gateway.')
  return server.resource
}

/**
 * What a grant type gives. The grant behind the connection lives on with it; a code or token with two holders ended its connection, and the grant goes too
 * (TK-2, TK-7).
 */
async function issueTokens(deps: FrontDeps, issue: GrantType, request: TokenRequest): Promise<Issued<AccessTokenResponse>> {
  try {
    const issued = await issue(deps, request)
    const { grantKey, obtainedBy } = issued.connection
    // A service's grant is made anew whenever it is needed, so it need not outlive its token.
    if (grantKey !== undefined && obtainedBy !== 'client_credentials')
      inBackground(deps.log, 'renewing a grant', keepGrant(deps, grantKey, deps.config.tokens.refreshTokenSeconds))
    return issued
  } catch (error) {
    if (error instanceof ConnectionEnded) await releaseGrant(deps, error.connection)
    throw error
  }
}

function logIssued(deps: FrontDeps, connection: Connection, grantType: string, requestId: string): void {
  deps.log.write({
    event: 'authorization.token',
    level: 'info',
    outcome: 'issued',
    requestId,
    grantType,
    clientId: connection.clientId,
    connectionId: connection.id,
    server: connection.server,
    ...(connection.identity && { subject: subjectKey(connection.identity) }),
  })
}
