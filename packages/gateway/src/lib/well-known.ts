/** What the well-known locations are built from: a `Config`, or the same two fields. */
export interface PublicPlace {
  /** Scheme, host and port of `publicUrl`. */
  origin: string
  /** Path part of `publicUrl`, '' at the root. */
  basePath: string
}

/** Name of the protected resource metadata document (RFC 9728 §3). */
export const resourceMetadataName = '/.well-known/oauth-protected-resource'

/** Name of the authorization server metadata document (RFC 8414 §3). */
export const serverMetadataName = '/.well-known/oauth-authorization-server'

/** Name under which OpenID Connect Discovery 1.0 §4 puts the same document. */
export const openidConfigurationName = '/.well-known/openid-configuration'

/**
 * Where the protected resource metadata of one server stands: the well-known name goes between host and path (RFC 9728 §3.1, PR-6).
 *
 * @param place origin and base path of `publicUrl`
 * @param path the server's path below `publicUrl`, for example `/mcp`
 * @returns an absolute URL; every challenge names it (PR-5)
 */
export function resourceMetadataUrl(place: PublicPlace, path: string): string {
  return `${place.origin}${resourceMetadataName}${place.basePath}${path}`
}
