import type { Config, ServerConfig } from '../config.ts'
import { proofAlgorithms } from '../dpop/proof.ts'

/** Protected resource metadata (RFC 9728 §2), wire names. */
export interface ResourceMetadata {
  resource: string
  authorization_servers: string[]
  scopes_supported?: string[]
  bearer_methods_supported: ['header']
  resource_name: string
  dpop_signing_alg_values_supported: string[]
}

/**
 * The metadata document of one server. `resource` is the string that the well-known URL was built from (PR-7), the issuer is the one string that all documents share (AS-4),
 * and the scopes are those that a client needs for ordinary use (PR-10), never `offline_access` (PR-11).
 */
export function resourceMetadata(config: Pick<Config, 'issuer'>, server: Pick<ServerConfig, 'resource' | 'scopes' | 'displayName'>): ResourceMetadata {
  return {
    resource: server.resource,
    authorization_servers: [config.issuer],
    ...publishedScopes(server.scopes),
    bearer_methods_supported: ['header'],
    resource_name: server.displayName,
    dpop_signing_alg_values_supported: proofAlgorithms,
  }
}

/** An empty list is left out (RFC 9728 §3.2). */
export function publishedScopes(scopes: string[]): { scopes_supported?: string[] } {
  const published = [...new Set(scopes)].filter((scope) => scope !== 'offline_access')
  return published.length === 0 ? {} : { scopes_supported: published }
}
