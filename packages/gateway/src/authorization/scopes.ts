import type { Client } from '../clients/client.ts'
import type { Config, ServerConfig } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'

// Asked for by clients that want a refresh token; we always give one, so it changes nothing and is never refused (TK-9).
const offlineAccess = 'offline_access'

type ScopeConfig = Pick<Config, 'servers' | 'scopeHierarchy'>

/**
 * The scopes that a request asks for and may get, in the server's order (AZ-16: fewer than asked is allowed). None asked, or `offline_access` alone, means the
 * server's default. Unknown ones are dropped.
 *
 * @throws OAuthError `invalid_scope` when nothing is left
 */
export function scopesToGrant(config: ScopeConfig, client: Client, server: ServerConfig, asked: string | undefined): string[] {
  const wanted = splitScopes(asked).filter((scope) => scope !== offlineAccess)
  const offered = offeredTo(config, client, server)
  const granted = wanted.length === 0 ? offered : offered.filter((scope) => wanted.includes(scope))
  if (granted.length === 0 && server.scopes.length > 0) throw new OAuthError('invalid_scope', 'None of the scopes can be granted to this client here.')
  return granted
}

/** The scopes of a server that a client may have at most; a bound that names a broader scope lets what it includes pass too (BC-13). */
export function offeredTo(config: ScopeConfig, client: Client, server: ServerConfig): string[] {
  const bound = withIncluded(config.scopeHierarchy, registeredBound(config, client))
  return bound.length === 0 ? server.scopes : server.scopes.filter((scope) => bound.includes(scope))
}

/**
 * Clients register with whatever scope string they were built with, scopes of no server here included: such a list bounds nothing. What the team wrote down
 * for a client of its own counts to the letter.
 */
function registeredBound(config: ScopeConfig, client: Client): string[] {
  const registered = (client.scopes ?? []).filter((scope) => scope !== offlineAccess)
  if (client.trust === 'preregistered') return registered
  const known = new Set(Object.values(config.servers).flatMap((server) => server.scopes))
  return registered.filter((scope) => known.has(scope))
}

function splitScopes(scope: string | undefined): string[] {
  return (scope ?? '').split(/\s+/).filter((part) => part !== '')
}
