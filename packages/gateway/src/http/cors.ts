import type { IncomingMessage, ServerResponse } from 'node:http'
import { sendEmpty } from './respond.ts'

/** Which pages of other origins may call a path. */
export interface CorsOptions {
  /** `*`, or the list of origins that may: credentials are never allowed, bearer tokens do not need them. */
  origin: '*' | string[]
  methods: string[]
  /** Response headers a page may read. */
  expose?: string[]
}

// What real browser clients send (clients.md line 20); tool parameters may come as Mcp-Param-* besides (TR-27).
const requestHeaders = ['authorization', 'content-type', 'dpop', 'mcp-protocol-version', 'mcp-session-id', 'mcp-method', 'mcp-name', 'last-event-id']
const exposedHeaders = ['WWW-Authenticate', 'Mcp-Session-Id', 'Retry-After']

/**
 * Sets the CORS headers of an answer, before the answer is known, so that errors carry them too, and answers preflights without looking at credentials.
 *
 * @returns `preflight-answered` when nothing is left to do
 */
export function cors(req: IncomingMessage, res: ServerResponse, options: CorsOptions): 'preflight-answered' | 'go-on' {
  const { origin } = req.headers
  const listed = options.origin !== '*'
  if (listed) res.appendHeader('vary', 'Origin')
  const allowed = listed ? (origin !== undefined && options.origin.includes(origin) ? origin : undefined) : '*'
  if (allowed !== undefined) {
    res.setHeader('access-control-allow-origin', allowed)
    res.setHeader('access-control-expose-headers', (options.expose ?? exposedHeaders).join(', '))
  }
  if (req.method !== 'OPTIONS' || origin === undefined || req.headers['access-control-request-method'] === undefined) return 'go-on'
  if (allowed === undefined) sendEmpty(res, 204)
  else {
    sendEmpty(res, 204, {
      'access-control-allow-methods': options.methods.join(', '),
      'access-control-allow-headers': [...requestHeaders, ...parameterHeaders(req)].join(', '),
      'access-control-max-age': '7200',
    })
  }
  return 'preflight-answered'
}

function parameterHeaders(req: IncomingMessage): string[] {
  const asked = String(req.headers['access-control-request-headers'] ?? '').split(',')
  return asked.map((name) => name.trim().toLowerCase()).filter((name) => /^mcp-param-[a-z0-9-]{1,100}$/.test(name))
}
