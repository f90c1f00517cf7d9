import { calculateJwkThumbprint, decodeProtectedHeader, EmbeddedJWK, errors, type JWTPayload, jwtVerify } from 'jose'
import type { Deps } from '../deps.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { recordKey } from '../store/schema.ts'

/** Signature algorithms of proofs; published as `dpop_signing_alg_values_supported` (RFC 9449 §5.1). Asymmetric ones only. */
export const proofAlgorithms = ['ES256', 'ES384', 'ES512', 'RS256', 'PS256', 'EdDSA', 'Ed25519']

/** What a proof is for. */
export interface ProvedRequest {
  method: string
  /** The URL as we publish it: whatever proxies did to the request, that is what the client sent it to. */
  url: string
  /** Presented with the proof; undefined at the token endpoint, where there is none yet. */
  accessToken?: string
}

/** A proof that was found good. */
export interface Proof {
  /** SHA-256 thumbprint of the key (RFC 7638): what tokens are bound to. */
  jkt: string
  jti: string
  /** Milliseconds since the epoch: no longer accepted from then on. */
  until: number
}

/** The proof is missing where one is needed, or proves nothing. The message is free of values and may go to the client. */
export class InvalidProof extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'InvalidProof'
  }
}

/** How far `iat` may be from our clock, either way: clients on phones and laptops have clocks of their own. A `jti` counts once in all that time. */
const windowSeconds = 300
const longestProof = 8_192
const longestJti = 256

/**
 * Checks a DPoP proof (RFC 9449 §4.3) but for its single use, which {@link useOnce} sees to.
 *
 * @param header the `DPoP` request header
 * @param now milliseconds since the epoch
 * @throws InvalidProof
 */
export async function checkProof(header: string | string[] | undefined, request: ProvedRequest, now: number): Promise<Proof> {
  // Several headers come joined by a comma, which no JWT has.
  if (typeof header !== 'string' || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(header)) throw new InvalidProof('The DPoP header must hold one proof.')
  if (header.length > longestProof) throw new InvalidProof('The DPoP proof is too long.')
  const payload = await verified(header, now)
  const { jti, htm, htu, iat, ath } = payload
  if (typeof jti !== 'string' || jti === '' || jti.length > longestJti) throw new InvalidProof('The jti of the DPoP proof is missing or too long.')
  if (htm !== request.method) throw new InvalidProof('The htm of the DPoP proof is not the method of this request.')
  if (!isSameUrl(htu, request.url)) throw new InvalidProof('The htu of the DPoP proof is not the URL of this request.')
  if (typeof iat !== 'number' || Math.abs(iat * 1000 - now) > windowSeconds * 1000) throw new InvalidProof('The iat of the DPoP proof is too far from now.')
  if (request.accessToken !== undefined && (typeof ath !== 'string' || !sameFingerprint(ath, fingerprint(request.accessToken)))) {
    throw new InvalidProof('The ath of the DPoP proof is not the hash of this access token.')
  }
  const { jwk } = decodeProtectedHeader(header)
  return { jkt: await calculateJwkThumbprint(jwk as NonNullable<typeof jwk>), jti, until: (iat + windowSeconds) * 1000 }
}

/**
 * Takes a proof once: of any number of requests with it one gets on (RFC 9449 §11.1).
 *
 * @throws InvalidProof when it was presented before
 * @throws StoreUnavailable
 */
export async function useOnce(deps: Pick<Deps, 'store' | 'clock'>, { jkt, jti, until }: Proof): Promise<void> {
  // A second more than it is accepted, for rounding.
  const lifeMs = Math.max(1, Math.ceil(until - deps.clock())) + 1_000
  const isFirst = await deps.store.compareAndSet(recordKey('used', 'dpop', jkt, jti), undefined, JSON.stringify({ v: 1 }), lifeMs)
  if (!isFirst) throw new InvalidProof('The DPoP proof was presented before.')
}

async function verified(proof: string, now: number): Promise<JWTPayload> {
  const options = { typ: 'dpop+jwt', algorithms: proofAlgorithms, currentDate: new Date(now), clockTolerance: windowSeconds }
  try {
    // EmbeddedJWK refuses a key that is missing or private.
    return (await jwtVerify(proof, EmbeddedJWK, options)).payload
  } catch (error) {
    if (error instanceof errors.JOSEError || error instanceof TypeError || error instanceof DOMException) {
      throw new InvalidProof('The DPoP proof is not a JWT of type dpop+jwt, signed by the public key in its header.', error)
    }
    throw error
  }
}

/** Without query and fragment, after normalisation (RFC 9449 §4.3), and with or without the one trailing slash that our paths are taken with. */
function isSameUrl(given: unknown, ours: string): boolean {
  const url = typeof given === 'string' ? URL.parse(given) : null
  return url !== null && url.username === '' && url.password === '' && bare(url) === bare(new URL(ours))
}

function bare({ origin, pathname }: URL): string {
  return origin + pathname.replace(/\/$/, '')
}
