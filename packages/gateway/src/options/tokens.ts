import type { Config, EnterpriseIssuer, TokensConfig } from '../config.ts'
import { ConfigError } from '../errors/errors.ts'
import { createSigningKey } from '../keys/signing-key.ts'
import { closeHierarchy } from '../lib/scope-hierarchy.ts'
import type { ParsedOptions } from './schema.ts'

/** Defaults of `options.tokens`. */
export const defaultTokens: TokensConfig = {
  accessTokenSeconds: 3600,
  refreshTokenSeconds: 2_592_000,
  codeSeconds: 60,
  refreshGraceSeconds: 60,
  accessTokenFormat: 'opaque',
  signingKeys: [],
}

/**
 * What the gateway issues.
 *
 * @throws ConfigError for a signing key that cannot sign, and for `jwt` without one
 */
export function parseTokens({ tokens = {} }: ParsedOptions): TokensConfig {
  const { signingKeys: jwks = [], ...rest } = tokens
  const signingKeys = jwks.map((jwk, index) => {
    try {
      return createSigningKey(jwk)
    } catch (error) {
      throw new ConfigError(`tokens.signingKeys[${index}]`, (error as Error).message)
    }
  })
  const twice = signingKeys.findIndex(({ kid }, index) => signingKeys.findIndex((other) => other.kid === kid) < index)
  if (twice >= 0) throw new ConfigError(`tokens.signingKeys[${twice}]`, 'has the kid of another')
  if (rest.accessTokenFormat === 'jwt' && signingKeys.length === 0)
    throw new ConfigError('tokens.signingKeys', "must hold at least one private JWK for accessTokenFormat 'jwt'")
  return { ...defaultTokens, ...rest, signingKeys }
}

/**
 * The identity providers of enterprise-managed authorization.
 *
 * @throws ConfigError for keys given twice
 */
export function parseEnterprise({ enterprise }: ParsedOptions): Config['enterprise'] {
  const issuers = Object.entries(enterprise?.issuers ?? {}).map(([issuer, { jwks, jwksUri, identify }]): [string, EnterpriseIssuer] => {
    if (jwks && jwksUri !== undefined) throw new ConfigError(`enterprise.issuers.${issuer}`, 'needs jwks or jwksUri, not both')
    return [issuer, { issuer, jwks, jwksUri, identify }]
  })
  return Object.fromEntries(issuers)
}

/**
 * Which scopes include which.
 *
 * @param known every scope of the gateway
 * @throws ConfigError for a scope of no server, and for one that would include itself
 */
export function parseScopeHierarchy({ scopeHierarchy = {} }: ParsedOptions, known: readonly string[]): Config['scopeHierarchy'] {
  for (const [scope, included] of Object.entries(scopeHierarchy)) {
    const unknown = [scope, ...included].find((name) => !known.includes(name))
    if (unknown !== undefined) throw new ConfigError(`scopeHierarchy.${scope}`, `'${unknown}' is no scope of any server`)
  }
  const closed = closeHierarchy(scopeHierarchy)
  if ('circular' in closed) throw new ConfigError(`scopeHierarchy.${closed.circular}`, 'includes itself')
  return closed.hierarchy
}
