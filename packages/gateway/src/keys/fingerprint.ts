import { createHash, timingSafeEqual } from 'node:crypto'

/**
 * What is stored of a token or code in place of itself: SHA-256, base64url, 43 characters. No salt is needed, as our tokens carry 256 random bits.
 */
export function fingerprint(token: string): string {
  return createHash('sha256').update(token).digest('base64url')
}

/** Compares two fingerprints in constant time. */
export function sameFingerprint(a: string, b: string): boolean {
  const left = Buffer.from(a)
  const right = Buffer.from(b)
  return left.length === right.length && timingSafeEqual(left, right)
}
