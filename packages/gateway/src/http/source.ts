import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'

/**
 * The address that a request came from: what the host app made of it (Express sets `req.ip` by its `trust proxy`), else the connection's own. A header that anyone can write
 * counts only where the app says whose word it takes.
 */
export function sourceOf(req: IncomingMessage & { ip?: unknown }): string {
  const { ip } = req
  return typeof ip === 'string' && isIP(ip) !== 0 ? ip : (req.socket.remoteAddress ?? 'unknown')
}
