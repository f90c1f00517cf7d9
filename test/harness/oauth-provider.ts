import { randomBytes } from 'node:crypto'
import type { OAuthClientMetadata, OAuthClientProvider, OAuthDiscoveryState } from '@modelcontextprotocol/client'

/** How a client gets its client id. */
export type Registration =
  | { kind: 'dynamic' }
  /** `url` is where the client's metadata document is served. */
  | { kind: 'document'; url: string }
  | { kind: 'preregistered'; clientId: string; clientSecret?: string }

/** A redirect URI of a native app: nothing listens there, the browser of the tests stops before it. */
export const nativeRedirectUri = 'http://127.0.0.1:7999/callback'

/** What a native client says of itself. */
export const nativeClientMetadata = {
  client_name: 'Test Client',
  redirect_uris: [nativeRedirectUri],
  grant_types: ['authorization_code', 'refresh_token'],
  response_types: ['code'],
  token_endpoint_auth_method: 'none',
  application_type: 'native',
} as const

/** A token that looks like one of ours and is none: what an access token is to its client once it has expired. */
export const brokenToken = (token: string): string => `${token.slice(0, -4)}AAAA`

interface Tokens {
  access_token: string
  token_type: string
  refresh_token?: string
  expires_in?: number
  scope?: string
}

/**
 * What an app implements to give the SDK's OAuth client a memory. The same object serves SDK v1 and v2: both ask for the same members. It opens no
 * browser; the test reads `authorizationUrl` and sends its own there.
 */
export class TestOAuthProvider {
  readonly redirectUrl = nativeRedirectUri
  readonly clientMetadataUrl?: string
  /** Where the SDK wanted to send the user, set at each redirect. */
  authorizationUrl: URL | undefined
  saved: Tokens | undefined
  client: { client_id: string; client_secret?: string } | undefined
  private verifier = ''
  private discovered: OAuthDiscoveryState | undefined
  private lastState = ''
  private readonly registration: Registration
  private readonly metadata: object

  constructor(registration: Registration, metadata: object = nativeClientMetadata) {
    this.registration = registration
    this.metadata = metadata
    if (registration.kind === 'document') this.clientMetadataUrl = registration.url
    if (registration.kind === 'preregistered') {
      this.client = { client_id: registration.clientId, ...(registration.clientSecret === undefined ? {} : { client_secret: registration.clientSecret }) }
    }
  }

  get clientMetadata(): OAuthClientMetadata {
    return this.metadata as OAuthClientMetadata
  }

  state(): string {
    this.lastState = randomBytes(24).toString('base64url')
    return this.lastState
  }

  /** Whether a callback carries the state of the last redirect. */
  isOurs(callback: URLSearchParams): boolean {
    return callback.get('state') === this.lastState
  }

  clientInformation(): { client_id: string; client_secret?: string } | undefined {
    return this.client
  }

  saveClientInformation(client: { client_id: string; client_secret?: string }): void {
    this.client = client
  }

  tokens(): Tokens | undefined {
    return this.saved
  }

  saveTokens(tokens: Tokens): void {
    this.saved = tokens
  }

  redirectToAuthorization(url: URL): void {
    this.authorizationUrl = url
  }

  saveCodeVerifier(verifier: string): void {
    this.verifier = verifier
  }

  codeVerifier(): string {
    return this.verifier
  }

  saveDiscoveryState(state: OAuthDiscoveryState): void {
    this.discovered = state
  }

  discoveryState(): OAuthDiscoveryState | undefined {
    return this.discovered
  }

  invalidateCredentials(scope: 'all' | 'client' | 'tokens' | 'verifier' | 'discovery'): void {
    if (scope === 'all' || scope === 'discovery') this.discovered = undefined
    if (scope === 'all' || scope === 'tokens') this.saved = undefined
    if ((scope === 'all' || scope === 'client') && this.registration.kind !== 'preregistered') this.client = undefined
  }

  /** Makes the stored access token useless, keeping its look, as if it had expired. */
  breakAccessToken(): void {
    if (this.saved === undefined) throw new Error('there is no access token to break')
    this.saved = { ...this.saved, access_token: brokenToken(this.saved.access_token) }
  }

  /** Revokes at the endpoint that the metadata names (RFC 7009), as a public client. */
  async revoke(revocationEndpoint: string): Promise<Response> {
    const body = new URLSearchParams({
      token: this.saved?.refresh_token ?? '',
      token_type_hint: 'refresh_token',
      client_id: this.client?.client_id ?? '',
      ...(this.client?.client_secret === undefined ? {} : { client_secret: this.client.client_secret }),
    })
    return fetch(revocationEndpoint, { method: 'POST', body })
  }
}

/** Holds the class to both SDKs' interface. */
export const asProvider = (provider: TestOAuthProvider): OAuthClientProvider => provider as OAuthClientProvider
