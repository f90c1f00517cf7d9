import type { Identity } from '../config.ts'

export { subjectKey } from '../lib/subject-key.ts'

/** A live access token of a connection. */
export interface AccessTokenEntry {
  /** SHA-256 of the token, base64url. */
  hash: string
  generation: number
  expiresAt: number
  used: boolean
  /** Scopes, when a refresh narrowed them (RFC 6749 §6); the connection's otherwise. */
  scopes?: string[]
}

/** The authorization code of a connection, until it is used. */
export interface PendingCode {
  hash: string
  expiresAt: number
  /** PKCE S256 challenge (RFC 7636). */
  challenge: string
  redirectUri: string
}

/** The refresh family: the current token, and the one before it with the response that it produced. */
export interface RefreshFamily {
  hash: string
  generation: number
  expiresAt: number
  /** Whether the current refresh token, or an access token given with it, was ever used. */
  used: boolean
  previous?: {
    hash: string
    generation: number
    graceUntil: number
    /** The tokens it produced, each sealed under the record's key, so that whoever asks again gets the same ones. */
    sealedAccess: string
    sealedRefresh: string
  }
}

/**
 * One authorization of one user, one client and one server. Times are milliseconds since the epoch. Changed only by compare-and-set through the state
 * machine in connection-machine.ts.
 */
export interface Connection {
  v: 1
  id: string
  /** Undefined for a server without users. */
  identity: Identity | undefined
  clientId: string
  clientName: string
  clientTrust: 'preregistered' | 'document' | 'dynamic'
  /** Server id and its resource identifier. */
  server: string
  resource: string
  scopes: string[]
  /** Key of the main downstream grant record. */
  grantKey: string | undefined
  provider: string | undefined
  createdAt: number
  lastUsedAt: number
  /** When the connection dies unless refreshed. Until the code is used, the code's expiry. */
  expiresAt: number
  code: PendingCode | undefined
  /** Hash of the code once used: a second use ends the connection (TK-2). */
  usedCodeHash: string | undefined
  accessTokens: AccessTokenEntry[]
  refresh: RefreshFamily | undefined
  /** Name of each key of the ring that signed a code or token of this connection → when the last of these expires: until then the key has to stay in the ring. */
  signedUntil?: Record<string, number>
}
