import type { IncomingHttpHeaders } from 'node:http'
import type { WorkerHeaderNames } from '../config.ts'
import { GatewayError } from '../errors/errors.ts'

/** Headers as they are handed on: lower-case names. */
export type PlainHeaders = Record<string, string | string[]>

/** What the worker contract tells a runtime of one call. */
export interface ContractValues {
  workerSecret: string
  /** The user's downstream access token; undefined: this call has none. */
  accessToken: string | undefined
  /** `sub` as the downstream provider names the user. */
  subject: string | undefined
  clientId: string
  scopes: string[]
  requestId: string
}

const hopByHop = ['connection', 'keep-alive', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings']
const neverPassed = new Set([...hopByHop, 'authorization', 'cookie', 'dpop', 'forwarded', 'expect', 'host', 'content-length', 'accept-encoding'])
const neverPassedPrefixes = ['proxy-', 'x-forwarded-', 'x-emcy-']
const neverAnswered = new Set([
  ...hopByHop,
  'www-authenticate',
  'set-cookie',
  'set-cookie2',
  'server',
  'x-powered-by',
  'date',
  'content-length',
  'mcp-session-id',
])
const neverAnsweredPrefixes = ['proxy-', 'access-control-', 'x-emcy-']

/**
 * The headers of a request to a runtime (worker contract, rules 1 to 4). What the contract can set is removed first, in any case and with `-` or `_`, so are the
 * client's credentials (BC-4, BC-5), what describes the connection, and what the connection names as its own; then ours are set, once. All else passes as it came
 * (TR-27).
 *
 * @param inbound of the client's request, with what the team's own middleware changed
 * @param origin of `publicUrl`: the forwarding headers say what we publish, never what somebody sent
 * @throws GatewayError `internal_error` when a value cannot stand in a header as it is
 */
export function runtimeHeaders(inbound: IncomingHttpHeaders, names: WorkerHeaderNames, values: ContractValues, origin: string): PlainHeaders {
  const ours = new Set(Object.values(names).map(canonical))
  const named = connectionNames(inbound.connection)
  const headers: PlainHeaders = {}
  for (const [name, value] of Object.entries(inbound)) {
    const plain = canonical(name)
    // A runtime that reads headers CGI-style takes Mcp_Name for Mcp-Name, of which only the latter was compared with the body.
    const isDisguised = name.includes('_') && plain.startsWith('mcp-')
    if (value === undefined || isDisguised || ours.has(plain) || named.has(plain) || isListed(plain, neverPassed, neverPassedPrefixes)) continue
    headers[name] = value
  }
  const { host, protocol } = new URL(origin)
  headers.host = host
  headers['x-forwarded-host'] = host
  headers['x-forwarded-proto'] = protocol.slice(0, -1)
  // Answers are read here (lists are filtered, JSON is checked), so they must come readable.
  headers['accept-encoding'] = 'identity'
  const contract: [string, string | undefined][] = [
    [names.workerSecret, values.workerSecret],
    [names.accessToken, values.accessToken],
    [names.subject, values.subject],
    [names.clientId, values.clientId],
    [names.scopes, values.scopes.join(' ')],
    [names.requestId, values.requestId],
  ]
  for (const [name, value] of contract) if (value !== undefined) headers[name] = fit(name, value)
  return headers
}

/**
 * The headers of a runtime's answer that may reach the client (worker contract, rule 5): without credentials, cookies, CORS headers, names of software, and what
 * describes the connection. `Content-Length` and `Mcp-Session-Id` are set by whoever answers.
 */
export function clientHeaders(answer: IncomingHttpHeaders): PlainHeaders {
  const named = connectionNames(answer.connection)
  const headers: PlainHeaders = {}
  for (const [name, value] of Object.entries(answer)) {
    if (value === undefined || named.has(canonical(name)) || isListed(name, neverAnswered, neverAnsweredPrefixes)) continue
    headers[name] = value
  }
  return headers
}

function isListed(name: string, names: Set<string>, prefixes: string[]): boolean {
  return names.has(name) || prefixes.some((prefix) => name.startsWith(prefix))
}

function canonical(name: string): string {
  return name.toLowerCase().replaceAll('_', '-')
}

function connectionNames(connection: string | undefined): Set<string> {
  return new Set((connection ?? '').split(',').map((name) => canonical(name.trim())))
}

/* A value that a header would change (cut its ends, refuse it) must not reach a runtime as somebody else's. */
function fit(name: string, value: string): string {
  if (/^(?:[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?)?$/.test(value)) return value
  throw new GatewayError('internal_error', { reason: `the value of ${name} cannot stand in a header` })
}
