import type { ServerResponse } from 'node:http'
import { type ErrorCode, GatewayError } from '../errors/errors.ts'
import { OAuthError, type OAuthErrorCode } from '../errors/oauth-error.ts'
import { sendJson } from './respond.ts'

/** What an error came to: the first three leave the process, `reason` is for the operator's log only. */
export interface ErrorAnswer {
  status: number
  error: OAuthErrorCode
  description: string
  headers: Record<string, string>
  reason: string | undefined
}

const oauthCodes: Partial<Record<ErrorCode, OAuthErrorCode>> = {
  store_unavailable: 'temporarily_unavailable',
  provider_unavailable: 'temporarily_unavailable',
  unauthorized: 'invalid_token',
  invalid_token: 'invalid_token',
  grant_dead: 'invalid_grant',
  body_too_large: 'invalid_request',
  body_timeout: 'invalid_request',
  body_not_json: 'invalid_request',
  body_invalid: 'invalid_request',
  media_type_unsupported: 'invalid_request',
  method_not_allowed: 'invalid_request',
  origin_forbidden: 'invalid_request',
}

/**
 * Puts any thrown value into the terms of the OAuth endpoints (RFC 6749 §5.2, TK-12). What is neither ours nor the client's to mend becomes `server_error`, with the
 * request's id and nothing else of it.
 *
 * @param requestId the id under which the log has the error
 */
export function toOAuthAnswer(error: unknown, requestId?: string): ErrorAnswer {
  if (error instanceof OAuthError)
    return { status: error.status, error: error.code, description: error.description, headers: error.headers, reason: error.reason }
  if (error instanceof GatewayError) {
    const code = oauthCodes[error.code]
    if (code) {
      const status = code === 'invalid_grant' ? 400 : error.status
      return { status, error: code, description: error.message, headers: error.headers, reason: error.reason }
    }
  }
  const id = requestId === undefined ? '' : ` Its id in the log is ${requestId}.`
  return {
    status: 500,
    error: 'server_error',
    description: `Something failed inside the gateway.${id}`,
    headers: {},
    reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
  }
}

/**
 * Answers an OAuth endpoint's request with an error, once. When the head of another answer is already out, the socket is closed instead.
 *
 * @returns what was answered, for the log
 */
export function sendOAuthError(res: ServerResponse, error: unknown, requestId?: string): ErrorAnswer {
  const answer = toOAuthAnswer(error, requestId)
  if (res.headersSent) res.destroy()
  else sendJson(res, answer.status, { error: answer.error, error_description: answer.description }, answer.headers)
  return answer
}
