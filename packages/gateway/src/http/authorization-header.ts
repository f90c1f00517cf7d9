import type { IncomingMessage } from 'node:http'
import { OAuthError } from '../errors/oauth-error.ts'

/**
 * The `Authorization` header of a request. Node keeps the first of several and hides the rest, while a proxy or firewall in front may have looked at the last.
 *
 * @throws OAuthError `invalid_request` for more than one (RFC 9110 §5.3, RFC 6749 §2.3: one authentication a request)
 */
export function authorizationHeader(req: IncomingMessage): string | undefined {
  if (hasSeveral(req)) throw new OAuthError('invalid_request', 'The Authorization header must not be sent more than once.')
  return req.headers.authorization
}

/** Whether a request has more than one `Authorization` header. */
export function hasSeveral({ rawHeaders, headers }: IncomingMessage): boolean {
  if (headers.authorization === undefined) return false
  let count = 0
  for (let at = 0; at < rawHeaders.length; at += 2) if (rawHeaders[at]?.length === 13 && rawHeaders[at]?.toLowerCase() === 'authorization') count++
  return count > 1
}
