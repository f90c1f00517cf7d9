import { isLoopbackHost } from '../lib/loopback.ts'
import type { Client } from './client.ts'

const maxLength = 2048
const loopback = /^(http:\/\/(?:localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\]))(?::\d{1,5})?((?:[/?].*)?)$/

/**
 * Whether a request's `redirect_uri` is one of the client's (AZ-1): the same string. The one exception is http on a loopback host, where the port is free
 * (AZ-2, RFC 8252 §7.3); `localhost` counts as one, since real clients register it (clients.md line 16).
 */
export function checkRedirectUri(client: Pick<Client, 'redirectUris'>, uri: string): boolean {
  if (client.redirectUris.includes(uri)) return true
  const asked = loopback.exec(uri)
  if (!asked || redirectUriProblem(uri) !== undefined) return false
  return client.redirectUris.some((registered) => {
    const known = loopback.exec(registered)
    return known !== null && known[1] === asked[1] && known[2] === asked[2]
  })
}

/** Whether a redirect URI may be registered or listed at all (CR-22): see {@link redirectUriProblem}. */
export function isAcceptableRedirectUri(uri: string): boolean {
  return redirectUriProblem(uri) === undefined
}

/**
 * What is wrong with a redirect URI, for the developer of the client: it is https, or http on a loopback host (CR-22), absolute, without fragment
 * (RFC 6749 §3.1.2) and without user information.
 *
 * @returns undefined when nothing is
 */
export function redirectUriProblem(uri: string): string | undefined {
  if (uri.length > maxLength) return `A redirect URI must not be longer than ${maxLength} characters.`
  // The characters of RFC 3986 and no others: what a URL parser would mend or drop must not get as far as a redirect.
  if (!/^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/.test(uri)) return 'A redirect URI must hold only the characters of RFC 3986.'
  const url = URL.parse(uri)
  if (!url) return 'A redirect URI must be an absolute URL.'
  if (uri.includes('#')) return 'A redirect URI must not have a fragment.'
  // On the raw string: a parser gives nothing for an empty name, and the reader of a page sees the sign all the same.
  if (/^https?:\/*[^/?]*@/i.test(uri)) return 'A redirect URI must not have user information.'
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    return 'Redirect URIs with private-use schemes are not accepted here; use https, or http on a loopback host.'
  if (url.hostname.includes('*')) return 'A redirect URI must not have a wildcard.'
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) return 'A redirect URI with http must be on a loopback host; use https otherwise.'
  if (!/^https?:\/\/[^/]/i.test(uri)) return 'A redirect URI must be an absolute URL.'
  return undefined
}

/** Whether a redirect URI leads to this very machine, where any program may listen (AZ-12 asks for a warning then). */
export function isLoopbackRedirectUri(uri: string): boolean {
  const url = URL.parse(uri)
  return url !== null && isLoopbackHost(url.hostname)
}
