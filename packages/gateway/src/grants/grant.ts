import type { Identity } from '../config.ts'

/** The downstream tokens of a grant, sealed as one JSON string. */
export interface GrantTokens {
  accessToken: string
  refreshToken?: string
  idToken?: string
}

/**
 * One downstream grant: `grant:<provider>:<owner>`. Times are milliseconds since the epoch. Changed only by compare-and-set through the state machine in
 * grant-machine.ts.
 */
export interface Grant {
  v: 1
  provider: string
  owner: string
  state: 'live' | 'needs-reconnect'
  /** {@link GrantTokens} sealed under the record's key. */
  sealed: string
  /** Rises with each stored token set. */
  version: number
  obtainedAt: number
  /** Of the access token; undefined: the provider did not say. */
  accessExpiresAt: number | undefined
  hasRefreshToken: boolean
  scopes: string[]
  identity: Identity
  lease: { holder: string; deadline: number } | undefined
  /** After a transient failure: not before this. */
  retryAt: number | undefined
  expiresAt: number
}
