import { createHmac, createSecretKey, hkdfSync, type KeyObject } from 'node:crypto'
import { ConfigError } from '../errors/errors.ts'
import { sameFingerprint } from './fingerprint.ts'
import { openWith, sealWith } from './seal.ts'

/**
 * The secrets of a gateway: the first seals and signs, every one opens and verifies; that is key rotation (design: records, sealing).
 */
export interface KeyRing {
  /** AES-256-GCM under the first key; `context` (the record key) is additional authenticated data, so a value moved to another record does not open. */
  seal(plaintext: string, context: string): string
  /** The plaintext, or undefined when no key opens it, it was changed, or the context differs. */
  open(sealed: string, context: string): string | undefined
  /** The value under the first key: the same text when that sealed it already; undefined when no key opens it. */
  reseal(sealed: string, context: string): string | undefined
  /** Truncated HMAC-SHA-256 (128 bits, base64url, 22 characters) under the first key. `purpose` separates uses. */
  sign(data: string, purpose: string): string
  /** Constant time; true when any key of the ring made this MAC. */
  verify(data: string, purpose: string, mac: string): boolean
  /** One short name a key, in the ring's order: stored with what a key signed, so that it is known until when the key is needed. Tells nothing of the key. */
  readonly ids: readonly string[]
}

interface Key {
  seal: KeyObject
  sign: KeyObject
  id: string
}

/** Fewest characters of a secret: 32 characters of base64url are 192 bits. */
const shortestSecret = 32
const macBytes = 16
/** 48 bits: two keys of one ring never share a name in practice, and if they did, a key would be said to be needed longer than it is. */
const idBytes = 6

/**
 * Makes the key ring of `secrets`. Each secret gives one key to seal and one to sign with (HKDF-SHA-256, RFC 5869), so neither use can weaken the other.
 *
 * @param secrets the first seals and signs, each opens and verifies; at least one, each of 32 characters or more
 * @throws ConfigError when there is none, or one is short or stands twice
 */
export function createKeyRing(secrets: readonly string[]): KeyRing {
  checkSecrets(secrets)
  const keys = secrets.map(deriveKey)
  const first = keys[0] as Key
  const open = (sealed: string, context: string): string | undefined => {
    for (const key of keys) {
      const plaintext = openWith(key.seal, sealed, context)
      if (plaintext !== undefined) return plaintext
    }
    return undefined
  }
  return {
    ids: keys.map(({ id }) => id),
    seal: (plaintext, context) => sealWith(first.seal, plaintext, context),
    open,
    reseal(sealed, context) {
      if (openWith(first.seal, sealed, context) !== undefined) return sealed
      const plaintext = open(sealed, context)
      return plaintext === undefined ? undefined : sealWith(first.seal, plaintext, context)
    },
    sign: (data, purpose) => macOf(first, data, purpose),
    verify: (data, purpose, mac) => keys.some((key) => sameFingerprint(macOf(key, data, purpose), mac)),
  }
}

function checkSecrets(secrets: readonly string[]): void {
  if (secrets.length === 0) throw new ConfigError('secrets', 'give at least one secret; `emcy-gateway keygen` prints a new one')
  for (const [index, secret] of secrets.entries()) {
    if (typeof secret !== 'string' || secret.length < shortestSecret) {
      throw new ConfigError(`secrets[${index}]`, `must have at least ${shortestSecret} characters; \`emcy-gateway keygen\` prints a new one`)
    }
    if (secrets.indexOf(secret) !== index) throw new ConfigError(`secrets[${index}]`, `is the same as secrets[${secrets.indexOf(secret)}]`)
  }
}

function deriveKey(secret: string): Key {
  const derive = (use: string, bytes = 32) => Buffer.from(hkdfSync('sha256', secret, 'emcy-gateway', use, bytes))
  // As key objects, made once: from bytes Node would make one at every use, at several times the cost of the use itself.
  return { seal: createSecretKey(derive('seal 1')), sign: createSecretKey(derive('sign 1')), id: derive('id 1', idBytes).toString('base64url') }
}

function macOf(key: Key, data: string, purpose: string): string {
  // The length in front keeps (purpose, data) pairs apart whatever characters they hold.
  const mac = createHmac('sha256', key.sign).update(`${purpose.length}:${purpose}${data}`).digest()
  return mac.subarray(0, macBytes).toString('base64url')
}
