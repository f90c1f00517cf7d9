/**
 * The secrets of a gateway: the first seals and signs, every one opens and verifies; that is key rotation (design: records, sealing).
 */
export interface KeyRing {
  /** AES-256-GCM under the first key; `context` (the record key) is additional authenticated data, so a value moved to another record does not open. */
  seal(plaintext: string, context: string): string
  /** The plaintext, or undefined when no key opens it, it was changed, or the context differs. */
  open(sealed: string, context: string): string | undefined
  /** Truncated HMAC-SHA-256 (128 bits, base64url, 22 characters) under the first key. `purpose` separates uses. */
  sign(data: string, purpose: string): string
  /** Constant time; true when any key of the ring made this MAC. */
  verify(data: string, purpose: string, mac: string): boolean
}
