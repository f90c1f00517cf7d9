import type { Client } from '../clients/client.ts'
import type { AccessTokenResponse, Issued } from '../connections/connections.ts'
import type { Params } from '../http/params.ts'
import type { FrontDeps } from './front-deps.ts'

/** What a grant type makes tokens from. */
export interface TokenRequest {
  client: Client
  /** Whether the client has proved itself, by a secret or a key, and not only named itself. */
  authenticated: boolean
  params: Params
  /** Resource identifier of one of our servers, in our spelling; undefined when the client sent none. */
  resource: string | undefined
  /** Thumbprint of the key that the request came with a proof of (RFC 9449). */
  jkt: string | undefined
}

/** One grant type. */
export type GrantType = (deps: FrontDeps, request: TokenRequest) => Promise<Issued<AccessTokenResponse>>
