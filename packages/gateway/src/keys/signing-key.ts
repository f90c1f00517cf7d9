import { createHash, createPrivateKey, createPublicKey, type JsonWebKey, type KeyObject, sign, verify } from 'node:crypto'

/** Algorithms that access tokens are signed with; RS256 is the one that every verifier has (RFC 9068 §2.1). */
export type SigningAlgorithm = 'ES256' | 'EdDSA' | 'RS256'

/** A private key that signs access tokens. */
export interface SigningKey {
  kid: string
  alg: SigningAlgorithm
  /** What is published (RFC 7517). */
  publicJwk: Record<string, string>
  /** The signature of a JWS signing input (RFC 7515 §5.1), base64url. */
  sign(input: string): string
}

/** Members of a thumbprint, in their order (RFC 7638 §3.2, RFC 8037 §2). */
const thumbprintMembers = { EC: ['crv', 'kty', 'x', 'y'], OKP: ['crv', 'kty', 'x'], RSA: ['e', 'kty', 'n'] }
const shortestModulus = 2048

/**
 * Makes a signing key of a private JWK: EC on P-256, OKP on Ed25519, or RSA of 2048 bits or more. Its `kid`, when it has none, is its thumbprint (RFC 7638).
 *
 * @throws Error that says what is wrong with it, without any part of it
 */
export function createSigningKey(jwk: Record<string, unknown>): SigningKey {
  const key = privateKeyOf(jwk)
  const alg = algorithmOf(key)
  const named = jwk.alg === 'Ed25519' ? 'EdDSA' : jwk.alg
  if (named !== undefined && named !== alg) throw new Error(`has an alg that is not ${alg}`)
  if (jwk.use !== undefined && jwk.use !== 'sig') throw new Error("has a use that is not 'sig'")
  const publicKey = createPublicKey(key)
  // Members that do not belong together make signatures that nobody accepts.
  if (!isPair(key, publicKey)) throw new Error('must be a private JWK whose public members belong to it')
  const exported = publicKey.export({ format: 'jwk' }) as Record<string, string>
  const kid = typeof jwk.kid === 'string' && jwk.kid !== '' ? jwk.kid : thumbprint(exported)
  return { kid, alg, publicJwk: { ...exported, kid, alg, use: 'sig' }, sign: (input) => signWith(key, alg, input) }
}

function privateKeyOf(jwk: Record<string, unknown>): KeyObject {
  // A public key would be found out with the first token only.
  if (typeof jwk.d !== 'string') throw new Error('must be a private JWK')
  try {
    return createPrivateKey({ key: jwk as JsonWebKey, format: 'jwk' })
  } catch {
    throw new Error('must be a private JWK: EC on P-256, OKP on Ed25519, or RSA')
  }
}

function algorithmOf(key: KeyObject): SigningAlgorithm {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key
  if (type === 'ec' && details?.namedCurve === 'prime256v1') return 'ES256'
  if (type === 'ed25519') return 'EdDSA'
  if (type !== 'rsa') throw new Error('must be EC on P-256, OKP on Ed25519, or RSA')
  if ((details?.modulusLength ?? 0) < shortestModulus) throw new Error(`must have ${shortestModulus} bits or more`)
  return 'RS256'
}

function isPair(key: KeyObject, publicKey: KeyObject): boolean {
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  try {
    const data = Buffer.from('both halves of one key')
    return verify(digest, data, publicKey, sign(digest, data, key))
  } catch {
    return false
  }
}

function signWith(key: KeyObject, alg: SigningAlgorithm, input: string): string {
  const data = Buffer.from(input)
  const signature = alg === 'ES256' ? sign('sha256', data, { key, dsaEncoding: 'ieee-p1363' }) : sign(alg === 'RS256' ? 'sha256' : null, data, key)
  return signature.toString('base64url')
}

function thumbprint(jwk: Record<string, string>): string {
  const members = thumbprintMembers[jwk.kty as keyof typeof thumbprintMembers].map((name) => [name, jwk[name]])
  return createHash('sha256')
    .update(JSON.stringify(Object.fromEntries(members)))
    .digest('base64url')
}
