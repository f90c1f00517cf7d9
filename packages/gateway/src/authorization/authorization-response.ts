import type { Config } from '../config.ts'
import { toOAuthAnswer } from '../http/send-error.ts'
import type { ResponseMode } from './pending.ts'

/** Where an authorization response goes. */
export interface ResponseTarget {
  redirectUri: string
  state: string | undefined
  responseMode?: ResponseMode
}

/** The URL of a successful authorization response: code, the client's state unchanged, `iss` (RFC 6749 §4.1.2, RFC 9207, AZ-4, AZ-14). */
export function codeResponse(config: Pick<Config, 'issuer'>, target: ResponseTarget, code: string): string {
  return responseUrl(config, target, [['code', code]])
}

/** The URL of an error response; `iss` stands on it too (TK-15). Any thrown value is put into OAuth's terms, and nothing else of it leaves. */
export function errorResponse(config: Pick<Config, 'issuer'>, target: ResponseTarget, error: unknown, requestId?: string): string {
  const answer = toOAuthAnswer(error, requestId)
  return responseUrl(config, target, [
    ['error', answer.error],
    ['error_description', answer.description],
  ])
}

/** The redirect URI stays as the client registered it, to the character; ours goes behind what query it has. */
function responseUrl(config: Pick<Config, 'issuer'>, target: ResponseTarget, parameters: [string, string][]): string {
  const query = new URLSearchParams(parameters)
  if (target.state !== undefined) query.set('state', target.state)
  query.set('iss', config.issuer)
  return `${beforeParameters(target.redirectUri)}${query}`
}

function beforeParameters(redirectUri: string): string {
  return `${redirectUri}${!redirectUri.includes('?') ? '?' : /[?&]$/.test(redirectUri) ? '' : '&'}`
}

/**
 * The parameters of a response that goes to the client by a form (OAuth 2.0 Form Post Response Mode §2).
 *
 * @param url a response of ours, or where else the browser goes next
 * @returns undefined for what goes by redirect
 */
export function formFields(target: ResponseTarget, url: string): [string, string][] | undefined {
  const before = beforeParameters(target.redirectUri)
  if (target.responseMode !== 'form_post' || !url.startsWith(before)) return undefined
  return [...new URLSearchParams(url.slice(before.length))]
}
