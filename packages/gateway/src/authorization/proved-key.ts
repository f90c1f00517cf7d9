import type { IncomingMessage } from 'node:http'
import { checkProof, InvalidProof, useOnce } from '../dpop/proof.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { FrontDeps } from './front-deps.ts'

/**
 * The key of a request's DPoP proof (RFC 9449 §5), which is used up by this.
 *
 * @param url of the endpoint that was asked
 * @param isNeeded whether to refuse a request without one
 * @returns its thumbprint; undefined when there is no proof
 * @throws OAuthError `invalid_dpop_proof`; StoreUnavailable
 */
export async function provedKey(deps: FrontDeps, req: IncomingMessage, url: string, isNeeded: boolean): Promise<string | undefined> {
  if (req.headers.dpop === undefined && !isNeeded) return undefined
  try {
    const proof = await checkProof(req.headers.dpop, { method: 'POST', url }, deps.clock())
    await useOnce(deps, proof)
    return proof.jkt
  } catch (error) {
    if (error instanceof InvalidProof) throw new OAuthError('invalid_dpop_proof', error.message, { cause: error })
    throw error
  }
}
