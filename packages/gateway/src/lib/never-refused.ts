const exempt = new Set(['initialize', 'ping', 'server/discover', 'tools/list'])

/**
 * Methods that are never refused, limited or charged, since real clients do not survive it (design: refusals): `initialize`, `ping`, `server/discover`,
 * `tools/list` and every notification.
 */
export function neverRefused(method: string): boolean {
  return exempt.has(method) || method.startsWith('notifications/')
}
