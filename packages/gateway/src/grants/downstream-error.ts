import { AuthorizationResponseError, ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client'
import { ProviderUnavailable } from '../errors/errors.ts'

/** The provider answered definitely, and no: asking again would bring the same answer. */
export class DownstreamRefused extends Error {
  /** The provider's OAuth error code, or `invalid_response` for an answer that fails a check of ours (state, nonce, `iss`, ID token, identity). */
  readonly code: string
  /** HTTP status of a direct answer. */
  readonly status: number | undefined
  /** For the operator's log only. */
  readonly reason: string
  constructor(code: string, reason: string, details: { status?: number; cause?: unknown } = {}) {
    super('The authorization server behind this gateway refused.', details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'DownstreamRefused'
    this.code = code
    this.status = details.status
    this.reason = reason
  }
}

/** OAuth error codes that mean "not now", whatever the HTTP status. The last two are in use in the field. */
const passing = ['temporarily_unavailable', 'server_error', 'slow_down', 'rate_limit_exceeded', 'too_many_requests']
const passingStatuses = [408, 425, 429]

/** Failed checks of an answer that did arrive: the provider, or someone in its name, said something that is not acceptable. */
const failedChecks = [
  'OAUTH_INVALID_RESPONSE',
  'OAUTH_JWT_CLAIM_COMPARISON_FAILED',
  'OAUTH_JWT_TIMESTAMP_CHECK_FAILED',
  'OAUTH_JSON_ATTRIBUTE_COMPARISON_FAILED',
  'OAUTH_UNSUPPORTED_OPERATION',
]

/**
 * Sorts a failure of openid-client: a definite answer is {@link DownstreamRefused}; time-outs, network failures, 429, 5xx and everything that is no OAuth answer
 * (a proxy's error page, say) are ProviderUnavailable. The reason names codes and statuses only, never values that were sent or received.
 *
 * @param during what was asked, for the reason
 */
export function sortFailure(error: unknown, during: string): DownstreamRefused | ProviderUnavailable {
  if (error instanceof DownstreamRefused || error instanceof ProviderUnavailable) return error
  if (error instanceof AuthorizationResponseError) return byCode(plain(error.error), undefined, during, error)
  if (error instanceof ResponseBodyError) return byCode(plain(error.error), error.status, during, error)
  if (error instanceof WWWAuthenticateChallengeError) {
    // At the token endpoint only client authentication is challenged (RFC 6749 §5.2), elsewhere the challenge says itself what is wrong.
    const code = error.cause.map((challenge) => challenge.parameters.error).find((name) => name !== undefined)
    return byCode(code === undefined ? 'invalid_client' : plain(code), error.status, during, error)
  }
  if (error instanceof ClientError && failedChecks.includes(error.code ?? '')) {
    return new DownstreamRefused('invalid_response', `${during}: ${plain(error.code ?? '')}: ${plain(causeOf(error))}`, { cause: error })
  }
  return new ProviderUnavailable(`${during}: ${plain(describe(error))}`, error)
}

function byCode(code: string, status: number | undefined, during: string, cause: unknown): DownstreamRefused | ProviderUnavailable {
  const reason = `${during}: ${status === undefined ? '' : `${status} `}${code}`
  const isPassing = passing.includes(code) || (status !== undefined && (passingStatuses.includes(status) || status >= 500))
  return isPassing ? new ProviderUnavailable(reason, cause) : new DownstreamRefused(code, reason, { cause, ...(status !== undefined && { status }) })
}

function describe(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const { code, cause } = error as { code?: unknown; cause?: unknown }
  if (cause instanceof Response) return `${String(code)} (HTTP ${cause.status})`
  const inner = cause instanceof Error ? cause.message || (cause as { code?: unknown }).code : undefined
  return [code, error.message, inner].filter((part) => part !== undefined).join(': ')
}

/** openid-client puts the precise sentence into the cause. */
function causeOf(error: Error): string {
  return error.cause instanceof Error ? error.cause.message : error.message
}

function plain(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
}
