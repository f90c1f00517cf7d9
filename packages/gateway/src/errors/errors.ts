/**
 * Every failure the gateway reports, in one table. `status` is the HTTP status where the answer is an HTTP answer, `message` the only words that
 * leave the process, and the entry's name the anchor in docs/errors.md. A test holds the table against that page.
 */
export const catalogue = {
  config_invalid: { status: 500, message: 'The gateway options are invalid.' },
  store_unavailable: { status: 503, message: 'The gateway cannot reach its storage right now. Try again shortly.' },
  provider_unavailable: { status: 503, message: 'The authorization server behind this gateway cannot be reached right now. Try again shortly.' },
  unauthorized: { status: 401, message: 'This MCP server needs an access token.' },
  invalid_token: { status: 401, message: 'The access token is unknown, expired or revoked, or was issued for another server.' },
  invalid_dpop_proof: { status: 401, message: 'The DPoP proof of this request is missing or not good.' },
  insufficient_scope: { status: 403, message: 'The access token lacks a scope that this operation needs.' },
  tool_unknown: { status: 200, message: 'Unknown tool' },
  call_denied: { status: 403, message: 'This call was refused by a policy of this gateway.' },
  budget_spent: { status: 429, message: 'A budget of this gateway is spent.' },
  grant_dead: { status: 401, message: 'The sign-in at the service behind this gateway has ended. Sign in again.' },
  reconnect_required: { status: 403, message: 'The sign-in at the service behind this gateway has ended. The user has to sign in again.' },
  reconnect_declined: { status: 403, message: 'The sign-in at the service behind this gateway has ended and was not renewed, so nothing was done.' },
  request_state_invalid: { status: 400, message: 'The requestState of this request is not one for it, or is too old. Make the request again without it.' },
  runtime_unreachable: { status: 502, message: 'The MCP runtime behind this gateway cannot be reached.' },
  runtime_timeout: { status: 504, message: 'The MCP runtime behind this gateway did not answer in time.' },
  runtime_invalid: { status: 502, message: 'The MCP runtime behind this gateway answered with something that is not MCP.' },
  runtime_died: { status: 502, message: 'The MCP runtime behind this gateway ended before its answer was complete.' },
  body_too_large: { status: 413, message: 'The request body is larger than this gateway accepts.' },
  body_timeout: { status: 408, message: 'The request body did not arrive in time.' },
  body_not_json: { status: 400, message: 'The request body is not UTF-8 JSON.' },
  body_invalid: { status: 400, message: 'The request body is not a JSON-RPC message that this gateway accepts.' },
  media_type_unsupported: { status: 415, message: 'Send application/json without a Content-Encoding.' },
  header_mismatch: { status: 400, message: 'An MCP header does not match the request body.' },
  version_unsupported: { status: 400, message: 'This protocol version is not supported here.' },
  meta_missing: { status: 400, message: 'A required _meta field is missing.' },
  origin_forbidden: { status: 403, message: 'This origin may not call this MCP server.' },
  method_not_allowed: { status: 405, message: 'This method is not offered here.' },
  too_many_streams: { status: 429, message: 'This connection has too many open streams.' },
  session_ended: { status: 404, message: 'This session has ended. Start a new one.' },
  internal_error: { status: 500, message: 'Something failed inside the gateway.' },
} as const satisfies Record<string, { status: number; message: string }>

/** The name of one failure in {@link catalogue}. */
export type ErrorCode = keyof typeof catalogue

/** What a thrower may add to a {@link GatewayError}. */
export interface ErrorDetails {
  /** Rich reason, for the log of the operator only; it never leaves the process. */
  reason?: string
  /** Words for the caller in place of the catalogue's; must hold no secret. */
  message?: string
  /** Response headers that belong to the failure, for example `Retry-After`. */
  headers?: Record<string, string>
  cause?: unknown
}

/** A failure of the catalogue. One channel: it is thrown, and the front door that the request came in by answers it once. */
export class GatewayError extends Error {
  readonly code: ErrorCode
  readonly status: number
  readonly headers: Record<string, string>
  readonly reason: string | undefined
  constructor(code: ErrorCode, details: ErrorDetails = {}) {
    super(details.message ?? catalogue[code].message, details.cause === undefined ? undefined : { cause: details.cause })
    this.name = 'GatewayError'
    this.code = code
    this.status = catalogue[code].status
    this.headers = details.headers ?? {}
    this.reason = details.reason
  }
}

/** Thrown at start-up when an option is wrong: names the option and says what to change. */
export class ConfigError extends GatewayError {
  readonly option: string
  constructor(option: string, message: string) {
    super('config_invalid', { message: `${option}: ${message}` })
    this.name = 'ConfigError'
    this.option = option
  }
}

/** The store did not answer within its deadline, or answered with a failure. It never means "absent". */
export class StoreUnavailable extends GatewayError {
  constructor(reason: string, cause?: unknown) {
    super('store_unavailable', { reason, cause, headers: { 'retry-after': '2' } })
    this.name = 'StoreUnavailable'
  }
}

/** The downstream authorization server timed out, answered 429 or 5xx, or could not be reached: a transient failure. */
export class ProviderUnavailable extends GatewayError {
  constructor(reason: string, cause?: unknown) {
    super('provider_unavailable', { reason, cause, headers: { 'retry-after': '5' } })
    this.name = 'ProviderUnavailable'
  }
}
