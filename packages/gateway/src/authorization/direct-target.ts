import type { ServerConfig } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { FrontDeps } from './front-deps.ts'

/**
 * The server that a token without an authorization request is for. Nothing earlier says it, so only where there is a single one may it be left out.
 *
 * @param resource in our spelling
 * @throws OAuthError `invalid_target`
 */
export function directTarget({ config }: FrontDeps, resource: string | undefined): ServerConfig {
  const [only, ...others] = Object.values(config.servers)
  if (resource === undefined && only && others.length === 0) return only
  const server = Object.values(config.servers).find((candidate) => candidate.resource === resource)
  if (!server) throw new OAuthError('invalid_target', 'The parameter resource must name one server of this gateway.')
  return server
}
