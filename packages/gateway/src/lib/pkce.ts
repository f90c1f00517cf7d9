import { createHash } from 'node:crypto'

/** The S256 challenge of a PKCE verifier (RFC 7636 §4.2). */
export function s256Challenge(verifier: string): string {
  return createHash('sha256').update(verifier).digest('base64url')
}
