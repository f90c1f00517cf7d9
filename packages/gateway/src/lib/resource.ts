/**
 * A resource identifier in the one spelling in which two are compared: scheme and host in lower case, without one trailing slash. Real clients send both
 * slash forms, and an upper-case host means the same place (PR-9). Everything else stays as it is, so `/mcp/../x` never equals `/x`.
 *
 * @returns undefined for what cannot be a resource identifier: no absolute URI, or one with a fragment (RFC 8707 §2)
 */
export function comparableResource(resource: string): string | undefined {
  const parts = /^([a-z][a-z0-9+.-]*:\/\/[^/?#]+)([^#]*)$/i.exec(resource)
  if (!parts) return undefined
  const [, authority, rest] = parts as unknown as [string, string, string]
  return authority.toLowerCase() + rest.replace(/\/$/, '')
}

/** Whether two resource identifiers name the same server. */
export function sameResource(given: string, ours: string): boolean {
  const comparable = comparableResource(given)
  return comparable !== undefined && comparable === comparableResource(ours)
}
