/** What a challenge says. */
export interface Challenge {
  /** Absolute URL of the protected resource metadata (PR-3). */
  resourceMetadata: string
  /** Scopes, separated by spaces: what the resource or this operation needs (BC-8, BC-10). */
  scope?: string
  /** Left out when the request carried no token (BC-7). */
  error?: 'invalid_token' | 'insufficient_scope' | 'invalid_request' | 'invalid_dpop_proof' | undefined
  errorDescription?: string
  /** Signature algorithms of DPoP proofs, separated by spaces (RFC 9449 §7.1). */
  algs?: string
}

/**
 * The value of a `WWW-Authenticate` header for bearer tokens and for bound ones (RFC 6750 §3, RFC 9449 §7.1, RFC 9728 §5.1). Each attribute stands at most once, and quotes, backslashes, control
 * and non-ASCII characters are dropped from values (BC-14), so that nobody's tool name can end an attribute early.
 */
export function challenge(scheme: 'Bearer' | 'DPoP', says: Challenge): string {
  const attributes: [string, string | undefined][] = [
    ['resource_metadata', says.resourceMetadata],
    ['scope', says.scope],
    ['error', says.error],
    ['error_description', says.errorDescription?.slice(0, 300)],
    ['algs', says.algs],
  ]
  const shown = attributes.map(([name, value]) => [name, plain(value ?? '')] as const).filter(([, value]) => value !== '')
  return `${scheme} ${shown.map(([name, value]) => `${name}="${value}"`).join(', ')}`
}

function plain(value: string): string {
  return value.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '').trim()
}
