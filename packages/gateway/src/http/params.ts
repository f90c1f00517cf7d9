import { OAuthError } from '../errors/oauth-error.ts'

/** Parameters of an OAuth request. */
export interface Params {
  /** The value, or undefined when the parameter is missing or empty: "parameters sent without a value MUST be treated as if they were omitted" (RFC 6749 §3.1). */
  get(name: string): string | undefined
  /** Names and values, without the empty ones, in the order they came. */
  entries(): IterableIterator<[string, string]>
}

const maxCount = 64
const maxName = 128
const maxValue = 16_384

/**
 * Parses a query string or an `application/x-www-form-urlencoded` body.
 *
 * @param text without a leading `?`
 * @throws OAuthError `invalid_request` when a parameter comes twice (RFC 6749 §3.1, AZ-4), is not percent-encoded UTF-8, or a bound is passed (64 parameters,
 *   128 characters a name, 16,384 a value)
 */
export function parseParams(text: string): Params {
  const values = new Map<string, string>()
  for (const part of text.split('&')) {
    if (part === '') continue
    const equals = part.indexOf('=')
    const name = decode(equals < 0 ? part : part.slice(0, equals))
    const value = equals < 0 ? '' : decode(part.slice(equals + 1))
    if (name.length > maxName || value.length > maxValue) throw new OAuthError('invalid_request', 'A request parameter is too long.')
    if (values.has(name)) throw new OAuthError('invalid_request', `The parameter ${name} must not be sent more than once.`)
    if (values.size === maxCount) throw new OAuthError('invalid_request', `More than ${maxCount} request parameters.`)
    values.set(name, value)
  }
  for (const [name, value] of values) if (value === '') values.delete(name)
  return { get: (name) => values.get(name), entries: () => values.entries() }
}

function decode(text: string): string {
  try {
    const value = decodeURIComponent(text.replaceAll('+', ' '))
    if (!value.includes('\0')) return value
  } catch {
    // Answered below: a malformed escape is the client's error, never ours.
  }
  throw new OAuthError('invalid_request', 'A request parameter is not percent-encoded UTF-8.')
}
