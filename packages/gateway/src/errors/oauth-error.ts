/**
 * Error codes of the OAuth endpoints: RFC 6749 §4.1.2.1 and §5.2, RFC 8707 §2, RFC 7591 §3.2.2, RFC 7009 §2.2.1, RFC 6750 §3.1, RFC 9449 §5, OpenID Connect Core §3.1.2.6
 * and §6 (RFC 9101 §6, RFC 9126 §2.3).
 */
export type OAuthErrorCode =
  | 'invalid_request'
  | 'invalid_client'
  | 'invalid_grant'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'unsupported_response_type'
  | 'invalid_scope'
  | 'invalid_target'
  | 'access_denied'
  | 'server_error'
  | 'temporarily_unavailable'
  | 'invalid_redirect_uri'
  | 'invalid_client_metadata'
  | 'invalid_software_statement'
  | 'unapproved_software_statement'
  | 'unsupported_token_type'
  | 'invalid_token'
  | 'invalid_dpop_proof'
  | 'login_required'
  | 'consent_required'
  | 'interaction_required'
  | 'invalid_request_uri'
  | 'request_not_supported'
  | 'request_uri_not_supported'

const statuses: Partial<Record<OAuthErrorCode, number>> = { invalid_client: 401, invalid_token: 401, server_error: 500, temporarily_unavailable: 503 }

/** Further parts of an {@link OAuthError}. */
export interface OAuthErrorDetails {
  status?: number
  headers?: Record<string, string>
  /** For the operator's log only. */
  reason?: string
  cause?: unknown
}

/**
 * An error of an OAuth endpoint. `description` is public: it says what the developer of the client should change and is free of quotes, backslashes
 * and control characters (RFC 6749 §5.2 limits the characters).
 */
export class OAuthError extends Error {
  readonly code: OAuthErrorCode
  readonly description: string
  readonly status: number
  readonly headers: Record<string, string>
  readonly reason: string | undefined
  constructor(code: OAuthErrorCode, description: string, details: OAuthErrorDetails = {}) {
    super(description, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'OAuthError'
    this.code = code
    this.description = description.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '?').slice(0, 300)
    this.status = details.status ?? statuses[code] ?? 400
    this.headers = details.headers ?? {}
    this.reason = details.reason
  }
}
