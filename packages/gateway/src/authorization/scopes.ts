import type { Client } from '../clients/client.ts'
import type { Config, ServerConfig } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'

// Asked for by clients that want a refresh token; we always give one, so it changes nothing and is never refused (TK-9).
const offlineAccess = 'offline_access'

/**
 * The scopes that a request asks for and may get, in the server's order (AZ-16: fewer than asked is allowed). None asked, or `offline_access` alone, means the
 * server's default. Unknown ones are dropped.
 *
 * @param known every scope of the gateway
 * @throws OAuthError `invalid_scope` when nothing is left
 */
export function scopesToGrant(client: Client, server: ServerConfig, asked: string | undefined, known: Set<string>): string[] {
  const wanted = splitScopes(asked).filter((scope) => scope !== offlineAccess)
  const offered = offeredTo(client, server, known)
  const granted = wanted.length === 0 ? offered : offered.filter((scope) => wanted.includes(scope))
  if (granted.length === 0 && server.scopes.length > 0) throw new OAuthError('invalid_scope', 'None of the scopes can be granted to this client here.')
  return granted
}

/** Every scope of the gateway. */
export function allScopes(config: Pick<Config, 'servers'>): Set<string> {
  return new Set(Object.values(config.servers).flatMap((server) => server.scopes))
}

/** The scopes of a server that a client may have at most. */
export function offeredTo(client: Client, server: ServerConfig, known: Set<string>): string[] {
  const bound = registeredBound(client, known)
  return bound.length === 0 ? server.scopes : server.scopes.filter((scope) => bound.includes(scope))
}

/**
 * Clients register with whatever scope string they were built with, scopes of no server here included: such a list bounds nothing. What the team wrote down
 * for a client of its own counts to the letter.
 */
function registeredBound(client: Client, known: Set<string>): string[] {
  const registered = (client.scopes ?? []).filter((scope) => scope !== offlineAccess)
  return client.trust === 'preregistered' ? registered : registered.filter((scope) => known.has(scope))
}

function splitScopes(scope: string | undefined): string[] {
  return (scope ?? '').split(/\s+/).filter((part) => part !== '')
}
