import { type CryptoKey, importJWK, type JWK } from 'jose'
import { type ClientAuth, ClientSecretBasic, ClientSecretPost, None, PrivateKeyJwt, type ServerMetadata } from 'openid-client'
import type { ProviderAuthentication, ProviderConfig } from '../config.ts'
import { ConfigError } from '../errors/errors.ts'

/** How the gateway proves itself at the provider's token endpoint. Without `clientAuthentication` the provider's metadata decides, once it is known. */
export function clientAuthentication(provider: Pick<ProviderConfig, 'id' | 'clientSecret' | 'clientAuthentication'>): ClientAuth {
  const { clientSecret } = provider
  const key = typeof clientSecret === 'object' ? importKey(provider.id, clientSecret.privateKey) : undefined
  // Told apart from a rejection that nobody handles: it is reported by the first request.
  key?.catch(() => undefined)
  return (server, client, body, headers) => {
    const method = provider.clientAuthentication ?? methodFor(provider, server)
    if (method === 'private_key_jwt') return signed(provider.id, key)(server, client, body, headers)
    if (method === 'none') return None()(server, client, body, headers)
    const secret = typeof clientSecret === 'string' ? clientSecret : ''
    const authenticate = method === 'client_secret_post' ? ClientSecretPost(secret) : ClientSecretBasic(secret)
    return authenticate(server, client, body, headers)
  }
}

function methodFor(provider: Pick<ProviderConfig, 'clientSecret'>, server: ServerMetadata): ProviderAuthentication {
  if (provider.clientSecret === undefined) return 'none'
  if (typeof provider.clientSecret === 'object') return 'private_key_jwt'
  const supported = server.token_endpoint_auth_methods_supported
  // RFC 8414 §2: left out means client_secret_basic.
  return supported === undefined || supported.includes('client_secret_basic') || !supported.includes('client_secret_post')
    ? 'client_secret_basic'
    : 'client_secret_post'
}

function signed(providerId: string, key: Promise<{ key: CryptoKey; kid?: string }> | undefined): ClientAuth {
  return async (server, client, body, headers) => {
    if (!key) throw new ConfigError(`downstream.${providerId}.clientSecret`, 'private_key_jwt needs { privateKey: a private JWK }')
    return PrivateKeyJwt(await key)(server, client, body, headers)
  }
}

async function importKey(providerId: string, jwk: JWK): Promise<{ key: CryptoKey; kid?: string }> {
  const alg = jwk.alg ?? defaultAlg(jwk)
  try {
    if (alg === undefined || jwk.d === undefined) throw new TypeError('not a private RSA, EC or OKP key')
    return { key: (await importJWK(jwk, alg)) as CryptoKey, ...(jwk.kid !== undefined && { kid: jwk.kid }) }
  } catch {
    // Without the cause: its message may quote the key.
    throw new ConfigError(`downstream.${providerId}.clientSecret.privateKey`, 'must be a private JWK of type RSA, EC or OKP')
  }
}

function defaultAlg(jwk: JWK): string | undefined {
  if (jwk.kty === 'RSA') return 'RS256'
  if (jwk.kty === 'OKP') return 'EdDSA'
  return { 'P-256': 'ES256', 'P-384': 'ES384', 'P-521': 'ES512' }[jwk.crv ?? '']
}
