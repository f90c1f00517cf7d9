import { allowInsecureRequests, ClientError, Configuration, customFetch, type DiscoveryRequestOptions, discovery, type ServerMetadata } from 'openid-client'
import type { ProviderConfig } from '../config.ts'
import { isLoopbackHost } from '../lib/loopback.ts'
import { clientAuthentication } from './client-authentication.ts'
import { downstreamFetch } from './downstream-fetch.ts'

/**
 * The provider's endpoints as openid-client wants them: from its metadata (OpenID Connect Discovery, else RFC 8414), or as given by hand. Fetched at the first
 * call and then kept; after a failure the next call tries again. Calls at one time share one fetch.
 */
export function providerConfiguration(provider: ProviderConfig): () => Promise<Configuration> {
  const load = provider.endpoints ? async () => byHand(provider, provider.endpoints as Endpoints) : () => discover(provider)
  let known: Promise<Configuration> | undefined
  return () => {
    known ??= load().catch((error: unknown) => {
      known = undefined
      throw error
    })
    return known
  }
}

type Endpoints = NonNullable<ProviderConfig['endpoints']>

async function discover(provider: ProviderConfig): Promise<Configuration> {
  const server = new URL(provider.issuer)
  const options: DiscoveryRequestOptions = { [customFetch]: downstreamFetch, timeout: provider.timeoutSeconds, execute: extensions(provider) }
  const look = (algorithm: 'oidc' | 'oauth2') => discovery(server, provider.clientId, undefined, clientAuthentication(provider), { ...options, algorithm })
  try {
    return await look('oidc')
  } catch (error) {
    if (!isNotThere(error)) throw error
    return await look('oauth2')
  }
}

function isNotThere(error: unknown): boolean {
  return error instanceof ClientError && error.cause instanceof Response && error.cause.status >= 400 && error.cause.status < 500
}

function byHand(provider: ProviderConfig, endpoints: Endpoints): Configuration {
  const { authorization, token, userinfo, introspection, revocation, jwks } = endpoints
  const metadata: ServerMetadata = {
    issuer: provider.issuer,
    authorization_endpoint: authorization,
    token_endpoint: token,
    ...(userinfo && { userinfo_endpoint: userinfo }),
    ...(introspection && { introspection_endpoint: introspection }),
    ...(revocation && { revocation_endpoint: revocation }),
    ...(jwks && { jwks_uri: jwks }),
  }
  const configuration = new Configuration(metadata, provider.clientId, undefined, clientAuthentication(provider))
  configuration[customFetch] = downstreamFetch
  configuration.timeout = provider.timeoutSeconds
  for (const extension of extensions(provider)) extension(configuration)
  return configuration
}

/** Plain http is for a provider on this machine only. */
function extensions(provider: ProviderConfig): ((configuration: Configuration) => void)[] {
  const { protocol, hostname } = new URL(provider.issuer)
  return protocol === 'http:' && isLoopbackHost(hostname) ? [allowInsecureRequests] : []
}
