import { type Issued, redeemCode } from '../connections/connections.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { FrontDeps } from './front-deps.ts'
import type { TokenRequest } from './token-request.ts'

/** `grant_type=authorization_code` (RFC 6749 §4.1.3, RFC 7636 §4.5). `redirect_uri` is not required, and compared when sent (TK-3). */
export async function tokenFromCode(deps: FrontDeps, { client, authenticated, params, resource, jkt }: TokenRequest): Promise<Issued> {
  const code = params.get('code')
  const verifier = params.get('code_verifier')
  if (code === undefined) throw new OAuthError('invalid_request', 'The parameter code is missing.')
  if (verifier === undefined) throw new OAuthError('invalid_request', 'The parameter code_verifier is missing.')
  if (!/^[\w.~-]{43,128}$/.test(verifier)) throw new OAuthError('invalid_grant', 'The code_verifier is not 43 to 128 unreserved characters.')
  const key = { jkt, bindsRefresh: !authenticated }
  return redeemCode(deps, { code, clientId: client.clientId, verifier, redirectUri: params.get('redirect_uri'), resource, ...key })
}
