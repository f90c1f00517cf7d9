import type { IncomingMessage } from 'node:http'
import type { Deps } from '../deps.ts'
import { cors } from '../http/cors.ts'
import type { Middleware } from '../http/middleware.ts'
import { sendJson, sendMethodNotAllowed } from '../http/respond.ts'
import { pathMatches, requestUrl } from '../http/route.ts'
import { openidConfigurationName, resourceMetadataName, serverMetadataName } from '../lib/well-known.ts'
import { resourceMetadata } from './resource-metadata.ts'
import { serverMetadata } from './server-metadata.ts'

/** One document and the requests that are for it. */
interface Document {
  isFor(req: IncomingMessage): boolean
  body: unknown
}

const methods = ['GET', 'HEAD', 'OPTIONS']

/**
 * The discovery documents: protected resource metadata of every server (RFC 9728, PR-1) and authorization server metadata (RFC 8414, AS-2), each at every spelling that a
 * real client asks, and never behind a redirect (clients.md line 5). They need no token, are the same for everyone and may be read by any page (PR-14). Everything else
 * goes to `next()`.
 */
export function createDiscovery(deps: Pick<Deps, 'config'>): Middleware {
  const documents = [...resourceDocuments(deps), serverDocument(deps), ...keySet(deps)]
  return function discovery(req, res, next) {
    const document = documents.find((candidate) => candidate.isFor(req))
    if (!document) return next()
    if (cors(req, res, { origin: '*', methods }) === 'preflight-answered') return
    if (req.method !== 'GET' && req.method !== 'HEAD') return sendMethodNotAllowed(res, methods)
    sendJson(res, 200, document.body, { 'cache-control': 'public, max-age=300' })
  }
}

/** The path form for each server, and the root form while there is no doubt which server it means (PR-6, PR-8). */
function resourceDocuments({ config }: Pick<Deps, 'config'>): Document[] {
  const servers = Object.values(config.servers)
  return servers.map((server) => {
    const path = config.basePath + server.path
    const places = [`${resourceMetadataName}${path}`, `${config.basePath}${resourceMetadataName}${server.path}`]
    if (servers.length === 1) places.push(resourceMetadataName, `${config.basePath}${resourceMetadataName}`)
    return { isFor: (req) => isAt(req, places), body: resourceMetadata(config, server) }
  })
}

/** Where the issuer's path is inserted (RFC 8414 §3.1), appended (OpenID Connect Discovery §4.1, AS-3), or left out, as 2025-03-26 clients do (PR-12). */
function serverDocument({ config }: Pick<Deps, 'config'>): Document {
  const { basePath } = config
  const names = [serverMetadataName, openidConfigurationName]
  const inserted = names.map((name) => name + basePath)
  return {
    isFor: (req) => isAt(req, inserted) || names.some((name) => pathMatches(req, basePath, name)),
    body: serverMetadata(config),
  }
}

/** The public keys that access tokens are signed with (RFC 7517, RFC 9068 §4), for services that verify them. */
function keySet({ config }: Pick<Deps, 'config'>): Document[] {
  const { basePath, endpoints, tokens } = config
  if (tokens.signingKeys.length === 0) return []
  const keys = tokens.signingKeys.map(({ publicJwk }) => publicJwk)
  return [{ isFor: (req) => pathMatches(req, basePath, endpoints.jwks), body: { keys } }]
}

/** Against the whole path, so that a document for the same path at another place of the host is left to the host. */
function isAt(req: IncomingMessage, places: string[]): boolean {
  const { pathname } = requestUrl(req)
  return places.some((place) => pathname === place || pathname === `${place}/`)
}
