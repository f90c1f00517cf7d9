import type { ProviderConfig } from '../config.ts'

/** Scopes that serve the gateway itself: who the user is, and a refresh token. No client asks for them. */
const ownScopes = ['openid', 'profile', 'email', 'offline_access']

/**
 * What to ask the provider for, so that a client with these scopes can be served: each scope as the provider's `scopeMap` says, or itself, and the gateway's
 * own ones among the provider's scopes. Nothing beyond `scopes` and `scopeMap` of the provider is ever asked.
 */
export function downstreamScopes(provider: Pick<ProviderConfig, 'scopes' | 'scopeMap'>, gatewayScopes: string[]): string[] {
  return [...new Set([...provider.scopes.filter((scope) => ownScopes.includes(scope)), ...serviceScopes(provider, gatewayScopes)])]
}

/** The same for a token that has no user: without the gateway's own scopes, which are all about one. */
export function serviceScopes(provider: Pick<ProviderConfig, 'scopes' | 'scopeMap'>, gatewayScopes: string[]): string[] {
  const asked = gatewayScopes.flatMap((scope) => mapped(provider, scope) ?? (provider.scopes.includes(scope) ? [scope] : []))
  return [...new Set(asked)]
}

function mapped(provider: Pick<ProviderConfig, 'scopeMap'>, scope: string): string[] | undefined {
  return Object.hasOwn(provider.scopeMap, scope) ? provider.scopeMap[scope] : undefined
}
