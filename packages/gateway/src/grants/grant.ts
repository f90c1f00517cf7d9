import type { Identity } from '../config.ts'

/** The downstream tokens of a grant, sealed as one JSON string. */
export interface GrantTokens {
  accessToken: string
  refreshToken?: string
  idToken?: string
}

/** Who may present the refresh token, and until when. */
export interface GrantLease {
  holder: string
  deadline: number
  /** The holder presents nothing: it found the refresh token spent by the one before, whose answer may still come. */
  waits?: boolean
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
  lease: GrantLease | undefined
  /** After a transient failure: not before this. Beside a lease: its holder has had no answer in time, so nobody waits for it. */
  retryAt: number | undefined
  expiresAt: number
}
