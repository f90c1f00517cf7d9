import {
  authorizationCodeGrant,
  buildAuthorizationUrl,
  type Configuration,
  clientCredentialsGrant,
  fetchUserInfo,
  refreshTokenGrant,
  skipSubjectCheck,
  tokenIntrospection,
  tokenRevocation,
} from 'openid-client'
import type { Identity, ProviderConfig } from '../config.ts'
import type { Deps } from '../deps.ts'
import { ProviderUnavailable } from '../errors/errors.ts'
import type { Json } from '../lib/json.ts'
import { s256Challenge } from '../lib/pkce.ts'
import { DownstreamRefused, sortFailure } from './downstream-error.ts'
import { asRefresh, type RefreshOptions } from './downstream-fetch.ts'
import { checkIdentity, identityOf } from './identity.ts'
import { providerConfiguration } from './provider-configuration.ts'

export { DownstreamRefused } from './downstream-error.ts'

/** What the token endpoint of the provider gave for a code. */
export interface DownstreamTokens {
  accessToken: string
  refreshToken?: string | undefined
  idToken?: string | undefined
  /** Claims of the ID token, checked. */
  idTokenClaims?: Record<string, Json> | undefined
  /** Seconds; undefined when the provider did not say. */
  expiresIn?: number | undefined
  /** When they were asked for, milliseconds since the epoch: `expiresIn` counts from then. */
  obtainedAt: number
  /** As granted; as asked for where the provider did not say (RFC 6749 §5.1). */
  scopes: string[]
  /** The whole answer. */
  raw: Record<string, Json>
}

/** What it gave for a refresh token. */
export interface RefreshedTokens {
  accessToken: string
  refreshToken: string | undefined
  expiresIn: number | undefined
  /** Undefined: as before. */
  scopes: string[] | undefined
}

/** The gateway as an OAuth client of one provider. Every function throws ProviderUnavailable (try later) or {@link DownstreamRefused} (a definite no). */
export interface Downstream {
  readonly provider: ProviderConfig
  /** Where to send the browser: code flow with PKCE S256, `state`, and `nonce` when `openid` is asked (AZ-10, AZ-17). */
  authorizationUrl(ask: {
    redirectUri: string
    state: string
    nonce: string
    codeChallenge: string
    scopes: string[]
    loginHint?: string | undefined
    prompt?: string | undefined
  }): Promise<URL>
  /** Checks the callback (`state`, `iss` by RFC 9207, error answers), exchanges its code and checks the ID token with its nonce (TK-14). */
  exchange(callback: { callbackUrl: URL; redirectUri: string; state: string; nonce: string; verifier: string; scopes: string[] }): Promise<DownstreamTokens>
  /** Presents a refresh token once. Refused credentials of the gateway's own count as unavailable: the grant is not at fault and must outlive them. */
  refresh(refreshToken: string, options?: RefreshOptions): Promise<RefreshedTokens>
  /**
   * Whether the provider says of a refresh token that it is not good any more (RFC 7662), which is no use of it. False also where it answers no such questions: then nothing is known.
   */
  isSpent(refreshToken: string): Promise<boolean>
  /** A token of the gateway's own, without a user (RFC 6749 §4.4). Refused credentials count as unavailable here too. */
  ownToken(scopes: string[], options?: RefreshOptions): Promise<RefreshedTokens>
  /** Who the tokens belong to, by the provider's `identity` option. */
  identify(tokens: DownstreamTokens): Promise<Identity>
  /** Revokes a refresh token (RFC 7009), with two more attempts when the provider is unavailable. False: it has no revocation endpoint. */
  revoke(refreshToken: string): Promise<boolean>
  /** A fresh PKCE verifier (RFC 7636 §4.1). */
  newVerifier(): string
  /** Its S256 challenge. */
  challengeOf(verifier: string): string
}

/** Refused although nothing is wrong with the grant: the first is RFC 6749 §5.2, the second GitHub's word for it. */
const ownCredentialsRefused = ['invalid_client', 'incorrect_client_credentials']
const revocationPauses = [500, 2_000]

/** Makes the client of one provider. Nothing is fetched before the first use; metadata is kept once it was had, and asked again after a failure. */
export function createDownstream(provider: ProviderConfig, deps: Pick<Deps, 'random' | 'clock'>): Downstream {
  const configuration = providerConfiguration(provider)
  const target = { ...(provider.resource && { resource: provider.resource }), ...(provider.audience && { audience: provider.audience }) }
  const ask = async <T>(during: string, run: (config: Configuration) => Promise<T>): Promise<T> => {
    const config = await configuration().catch((error: unknown) => {
      // Whatever is wrong with the metadata, it is nothing that the provider said of this user.
      const failure = sortFailure(error, 'metadata')
      throw failure instanceof DownstreamRefused ? new ProviderUnavailable(failure.reason, error) : failure
    })
    try {
      return await run(config)
    } catch (error) {
      throw sortFailure(error, during)
    }
  }
  return {
    provider,
    newVerifier: () => deps.random(32),
    challengeOf: s256Challenge,
    authorizationUrl: ({ redirectUri, state, nonce, codeChallenge, scopes, loginHint, prompt }) =>
      ask('authorization', async (config) =>
        buildAuthorizationUrl(config, {
          ...provider.authorizeParams,
          ...target,
          ...(prompt && { prompt }),
          ...(loginHint && { login_hint: loginHint }),
          ...(scopes.length > 0 && { scope: scopes.join(' ') }),
          ...(scopes.includes('openid') && { nonce }),
          redirect_uri: redirectUri,
          state,
          code_challenge: codeChallenge,
          code_challenge_method: 'S256',
        }),
      ),
    exchange: ({ callbackUrl, redirectUri, state, nonce, verifier, scopes }) =>
      ask('code exchange', async (config) => {
        const obtainedAt = deps.clock()
        const answered = new URL(redirectUri)
        answered.search = callbackUrl.search
        const checks = { expectedState: state, pkceCodeVerifier: verifier, ...(scopes.includes('openid') && { expectedNonce: nonce }) }
        const answer = await authorizationCodeGrant(config, answered, checks, { ...provider.tokenParams, ...target })
        return {
          accessToken: answer.access_token,
          refreshToken: answer.refresh_token,
          idToken: answer.id_token,
          idTokenClaims: answer.claims() as Record<string, Json> | undefined,
          expiresIn: answer.expires_in,
          obtainedAt,
          scopes: scopesOf(answer.scope) ?? scopes,
          raw: plainJson(answer),
        }
      }),
    refresh: (refreshToken, options = {}) =>
      ask('refresh', async (config) => {
        const answer = await asRefresh(options, () => refreshTokenGrant(config, refreshToken, { ...provider.tokenParams, ...target }))
        return { accessToken: answer.access_token, refreshToken: answer.refresh_token, expiresIn: answer.expires_in, scopes: scopesOf(answer.scope) }
      }).catch(sparingCredentials),
    isSpent: (refreshToken) =>
      ask('introspection', async (config) => {
        if (config.serverMetadata().introspection_endpoint === undefined) return false
        return !(await tokenIntrospection(config, refreshToken, { token_type_hint: 'refresh_token' })).active
      }).catch((error: unknown) => {
        // It may not answer this client, which says nothing of the token.
        if (error instanceof DownstreamRefused) return false
        throw error
      }),
    ownToken: (scopes, options = {}) =>
      ask('client credentials', async (config) => {
        const scope = scopes.length === 0 ? {} : { scope: scopes.join(' ') }
        const answer = await asRefresh(options, () => clientCredentialsGrant(config, { ...provider.tokenParams, ...target, ...scope }))
        return { accessToken: answer.access_token, refreshToken: undefined, expiresIn: answer.expires_in, scopes: scopesOf(answer.scope) }
      }).catch(sparingCredentials),
    identify: (tokens) => ask('identity', (config) => identify(provider, config, tokens)),
    revoke: (refreshToken) => ask('revocation', (config) => revoke(config, refreshToken)),
  }
}

/** A definite no to the gateway's own credentials, or an answer that fails a check, is nothing that a grant should die of. */
function sparingCredentials(error: unknown): never {
  const isDefinite = error instanceof DownstreamRefused && error.code !== 'invalid_response' && !ownCredentialsRefused.includes(error.code)
  throw isDefinite || !(error instanceof DownstreamRefused) ? error : new ProviderUnavailable(error.reason, error)
}

async function identify(provider: ProviderConfig, config: Configuration, tokens: DownstreamTokens): Promise<Identity> {
  const { accessToken, idTokenClaims, raw } = tokens
  if (typeof provider.identity === 'function') return checkIdentity(provider, await provider.identity({ accessToken, idTokenClaims, raw }))
  if (provider.identity === 'userinfo') return identityOf(provider, await fetchUserInfo(config, accessToken, subOf(idTokenClaims) ?? skipSubjectCheck))
  if (provider.identity === 'introspection') {
    const answer = await tokenIntrospection(config, accessToken, { token_type_hint: 'access_token' })
    if (!answer.active) throw new DownstreamRefused('invalid_response', 'introspection calls a fresh access token inactive')
    return identityOf(provider, answer)
  }
  if (!idTokenClaims) throw new DownstreamRefused('invalid_response', 'the provider gave no ID token')
  return identityOf(provider, idTokenClaims)
}

async function revoke(config: Configuration, refreshToken: string): Promise<boolean> {
  if (config.serverMetadata().revocation_endpoint === undefined) return false
  for (const pause of [...revocationPauses, undefined]) {
    try {
      await tokenRevocation(config, refreshToken, { token_type_hint: 'refresh_token' })
      return true
    } catch (error) {
      const failure = sortFailure(error, 'revocation')
      if (failure instanceof DownstreamRefused || pause === undefined) throw failure
      await new Promise((resolve) => setTimeout(resolve, pause))
    }
  }
  return false
}

function subOf(claims: Record<string, Json> | undefined): string | undefined {
  return typeof claims?.sub === 'string' ? claims.sub : undefined
}

/** GitHub separates scopes by commas, which RFC 6749 §3.3 allows inside of one. */
function scopesOf(scope: string | undefined): string[] | undefined {
  return scope?.split(scope.includes(' ') ? ' ' : /[ ,]/).filter((name) => name !== '')
}

function plainJson(answer: object): Record<string, Json> {
  return JSON.parse(JSON.stringify(answer)) as Record<string, Json>
}
