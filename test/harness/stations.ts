import type { SeenExchange } from './recording-proxy.ts'

const stationOf = ({ method, url, status }: SeenExchange): string => `${method} ${url.pathname} ${status}`

/**
 * The stations, written `METHOD path status`, that exchanges passed in this order, others between them allowed. Equal to `stations` when all were passed; a shorter list ends
 * before the first one that was not.
 */
export function passed(exchanges: SeenExchange[], stations: string[]): string[] {
  const found: string[] = []
  for (const exchange of exchanges) if (stationOf(exchange) === stations[found.length]) found.push(stationOf(exchange))
  return found
}

/**
 * How a client that knows nothing comes to its first answer, whoever it is.
 *
 * @param first its first request on the MCP endpoint
 * @param registers false for a client that is known by its metadata document
 */
export const wayIn = (first: 'GET' | 'POST' | 'OPTIONS' = 'POST', registers = true): string[] => [
  ...(first === 'OPTIONS' ? ['OPTIONS /mcp 204', 'POST /mcp 401'] : [`${first} /mcp 401`]),
  'GET /.well-known/oauth-protected-resource/mcp 200',
  'GET /.well-known/oauth-authorization-server 200',
  ...(registers ? ['POST /register 201'] : []),
  'GET /authorize 303',
  'GET /consent 200',
  'GET /callback 303',
  'POST /token 200',
  'POST /mcp 200',
]

/** How a client whose access token is refused comes to its answer without its user. */
export const silentRefresh = ['POST /mcp 401', 'POST /token 200', 'POST /mcp 200']
