/** How a client proves itself at the token endpoint (RFC 7591 §2, RFC 7523). */
export type ClientAuthMethod = 'none' | 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt'

/** An OAuth client, wherever it came from. */
export interface Client {
  clientId: string
  /** `preregistered`, `document` (CIMD) or `dynamic` (DCR). */
  trust: 'preregistered' | 'document' | 'dynamic'
  /** As the client names itself; untrusted, for display. */
  name: string
  redirectUris: string[]
  /** Methods accepted; several only where a document allows both `private_key_jwt` and `none`. */
  authMethods: ClientAuthMethod[]
  /** SHA-256 of the secret, base64url. */
  secretHash?: string
  jwks?: { keys: Record<string, unknown>[] }
  jwksUri?: string
  /** Upper bound on scopes, when registered with one. */
  scopes?: string[]
  /** Gets tokens for itself (`client_credentials`): the team's own services only. */
  service?: boolean
  /** May ask about tokens (RFC 7662): the team's own services only. */
  introspect?: boolean
  /** Gets no access token without a DPoP proof (RFC 9449 §5.2). */
  dpopBound?: boolean
  /** Its authorization requests have to be pushed (RFC 9126 §6). */
  requirePushed?: boolean
  uri?: string
  /** Where its logo stands. Shown only of a metadata document, whose host vouches for it. */
  logoUri?: string
  /** Hash over the metadata that consent depends on: a change asks again (AZ-13). */
  metadataHash: string
}
