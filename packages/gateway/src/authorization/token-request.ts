import type { Client } from '../clients/client.ts'
import type { Issued } from '../connections/connections.ts'
import type { Params } from '../http/params.ts'
import type { FrontDeps } from './front-deps.ts'

/** What a grant type makes tokens from. */
export interface TokenRequest {
  client: Client
  params: Params
  /** Resource identifier of one of our servers, in our spelling; undefined when the client sent none. */
  resource: string | undefined
}

/** One grant type. */
export type GrantType = (deps: FrontDeps, request: TokenRequest) => Promise<Issued>
