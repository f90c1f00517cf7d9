import { type Issued, refreshTokens } from '../connections/connections.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { FrontDeps } from './front-deps.ts'
import type { TokenRequest } from './token-request.ts'

/** `grant_type=refresh_token` (RFC 6749 §6, TK-6 to TK-8). */
export async function tokenFromRefresh(deps: FrontDeps, { client, authenticated, params, resource, jkt }: TokenRequest): Promise<Issued> {
  const refreshToken = params.get('refresh_token')
  if (refreshToken === undefined) throw new OAuthError('invalid_request', 'The parameter refresh_token is missing.')
  const key = { jkt, bindsRefresh: !authenticated }
  return refreshTokens(deps, { refreshToken, clientId: client.clientId, scope: params.get('scope'), resource, ...key })
}
