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
  issuedAt?: number
  /** Thumbprint of the key that it is bound to (RFC 9449 §6): without a proof of that key it is worth nothing. */
  jkt?: string
}

/** The authorization code of a connection, until it is used. */
export interface PendingCode {
  hash: string
  expiresAt: number
  /** PKCE S256 challenge (RFC 7636). */
  challenge: string
  redirectUri: string
  /** `dpop_jkt` of the authorization request (RFC 9449 §10). */
  jkt?: string
}

/** The refresh family: the current token, and the one before it with the response that it produced. */
export interface RefreshFamily {
  hash: string
  generation: number
  expiresAt: number
  /** Whether the current refresh token, or an access token given with it, was ever used. */
  used: boolean
  issuedAt?: number
  /** Thumbprint of the key that the refresh tokens of a public client are bound to (RFC 9449 §5). */
  jkt?: string
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
  /** What gave it, when it was no authorization code: a service for itself, or an identity provider's assertion. Such a connection has no refresh token. */
  obtainedBy?: 'client_credentials' | 'id-jag'
  /** Name of each key of the ring that signed a code or token of this connection → when the last of these expires: until then the key has to stay in the ring. */
  signedUntil?: Record<string, number>
}
