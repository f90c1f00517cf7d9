import { OAuthError, type OAuthErrorCode } from '../errors/oauth-error.ts'
import type { Params } from '../http/params.ts'

// What the provider answered → what the client is told. Any other answer means that the gateway is not set up right at the provider: not the client's to mend.
const told: Record<string, [OAuthErrorCode, string]> = {
  access_denied: ['access_denied', 'The user or the authorization server behind this gateway denied the request.'],
  login_required: ['login_required', 'The user has to sign in first.'],
  consent_required: ['consent_required', 'The user has to allow this at the authorization server behind this gateway first.'],
  interaction_required: ['interaction_required', 'The authorization server behind this gateway has to ask the user something first.'],
  account_selection_required: ['interaction_required', 'The user has to choose an account first.'],
  temporarily_unavailable: ['temporarily_unavailable', 'The authorization server behind this gateway is not available right now.'],
}

/**
 * The error with which the provider answered an authorization request, in words for our client. The provider's own words go to the log only.
 *
 * @param issuer of the provider that was asked
 * @returns undefined when it answered with something else than an error
 */
export function refusalOf(params: Params, issuer: string | undefined): OAuthError | undefined {
  const error = params.get('error')
  if (error === undefined) return undefined
  const [code, words] = (isForeign(params, issuer) ? undefined : told[error]) ?? [
    'server_error',
    'The authorization server behind this gateway refused the request.',
  ]
  return new OAuthError(code, words, { reason: `provider: ${error}: ${params.get('error_description') ?? ''}`.slice(0, 500) })
}

/** Whether the provider could make nothing of the request (RFC 6749 §4.1.2.1): one of its parameters is not to its liking. */
export function isRefusedAsInvalid(params: Params, issuer: string | undefined): boolean {
  return params.get('error') === 'invalid_request' && !isForeign(params, issuer)
}

/** An error under another issuer's name is none of this provider's (RFC 9207 §2.4, AZ-17). */
function isForeign(params: Params, issuer: string | undefined): boolean {
  const iss = params.get('iss')
  return iss !== undefined && iss !== issuer
}
