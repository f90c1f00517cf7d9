import { createCipheriv, createDecipheriv, type KeyObject, randomBytes } from 'node:crypto'

/*
 * A sealed value is base64url of: version (1 byte), nonce (12), ciphertext, tag (16). Version and context are authenticated with it. Nonces are random:
 * good for 2^32 values under one key (NIST SP 800-38D §8.3), which is a year of 136 a second; a key leaves the ring long before.
 */
const version = 1
const nonceBytes = 12
const tagBytes = 16
const headBytes = 1 + nonceBytes

/** AES-256-GCM under a 32 byte key; `context` is authenticated and not contained. */
export function sealWith(key: KeyObject, plaintext: string, context: string): string {
  const head = Buffer.concat([Buffer.of(version), randomBytes(nonceBytes)])
  const cipher = createCipheriv('aes-256-gcm', key, head.subarray(1), { authTagLength: tagBytes })
  cipher.setAAD(authenticated(context))
  return Buffer.concat([head, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()]).toString('base64url')
}

/** The plaintext, or undefined when the value was not sealed under this key and context, was changed, or is no sealed value at all. */
export function openWith(key: KeyObject, sealed: string, context: string): string | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  if (bytes.length < headBytes + tagBytes || bytes[0] !== version) return undefined
  // Decoding skips foreign characters and spare bits; one value must have one spelling, so that a changed one never opens.
  if (bytes.toString('base64url') !== sealed) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(1, headBytes), { authTagLength: tagBytes })
  decipher.setAAD(authenticated(context))
  decipher.setAuthTag(bytes.subarray(-tagBytes))
  try {
    return Buffer.concat([decipher.update(bytes.subarray(headBytes, -tagBytes)), decipher.final()]).toString('utf8')
  } catch {
    return undefined
  }
}

function authenticated(context: string): Buffer {
  return Buffer.concat([Buffer.of(version), Buffer.from(context)])
}
