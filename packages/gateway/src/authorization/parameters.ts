import type { IncomingMessage } from 'node:http'
import type { Config } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { mediaType, readBody } from '../http/body.ts'
import { type Params, parseParams } from '../http/params.ts'
import { queryOf } from '../http/route.ts'

/** The parameters of an authorization request. `resource` is the only one that may come several times (RFC 8707 §2). */
export interface AuthorizationParams {
  params: Params
  resources: string[]
}

const mostResources = 16

/** Reads the parameters of an authorization request from the query of a GET or the form of a POST (RFC 6749 §3.1: POST MAY be supported). */
export async function readAuthorizationParams(req: IncomingMessage, config: Pick<Config, 'limits'>): Promise<AuthorizationParams> {
  if (req.method !== 'POST') return parseAuthorizationParams(queryOf(req))
  if (mediaType(req) !== 'application/x-www-form-urlencoded') {
    throw new OAuthError('invalid_request', 'Send the parameters as application/x-www-form-urlencoded.')
  }
  const body = await readBody(req, { maxBytes: config.limits.oauthBodyBytes, timeoutMs: config.limits.bodySeconds * 1000 })
  return parseAuthorizationParams(body.toString('utf8'))
}

/**
 * Parses an authorization request.
 *
 * @throws OAuthError `invalid_request` when another parameter than `resource` comes twice (AZ-4)
 */
export function parseAuthorizationParams(text: string): AuthorizationParams {
  const pairs = text.split('&')
  const given = pairs.filter(isResource)
  if (given.length > mostResources) throw new OAuthError('invalid_request', `More than ${mostResources} resource parameters.`)
  const resources = given.map((pair) => parseParams(pair).get('resource')).filter((value) => value !== undefined)
  return { params: parseParams(pairs.filter((pair) => !isResource(pair)).join('&')), resources }
}

/** By its decoded name, as every other parameter goes: `%72esource` is `resource`. What cannot be decoded is refused with the rest. */
function isResource(pair: string): boolean {
  const [name = ''] = pair.split('=', 1)
  try {
    return decodeURIComponent(name.replaceAll('+', ' ')) === 'resource'
  } catch {
    return false
  }
}
