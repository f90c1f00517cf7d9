import type { RawAnswer, RawRequest } from './raw-http.ts'

/** What an endpoint is to those who call it: programs, people, MCP clients, or everybody. */
export type Kind = 'client' | 'page' | 'mcp' | 'document'

/** What the world of a test says of good answers. */
export interface Expected {
  /** What may never leave. */
  secrets: string[]
  /** How a redirect may begin. */
  redirects: string[]
}

const oauthErrors = new Set([
  ...[
    'invalid_request',
    'invalid_client',
    'invalid_grant',
    'unauthorized_client',
    'unsupported_grant_type',
    'invalid_scope',
    'invalid_target',
    'access_denied',
  ],
  ...[
    'invalid_redirect_uri',
    'invalid_client_metadata',
    'invalid_software_statement',
    'unapproved_software_statement',
    'unsupported_token_type',
    'invalid_token',
  ],
  ...['invalid_dpop_proof', 'temporarily_unavailable', 'unsupported_response_type', 'request_not_supported', 'request_uri_not_supported'],
])

const leaks =
  /\bat .{1,200}:\d+:\d+\)?|node:internal|node_modules|packages\/gateway|\/work\/|\/home\/|\.[jt]s:\d|\b(Type|Range|Syntax|Reference|Zod|Assertion)Error\b|SQLITE_|ECONN|ERR_[A-Z]|is not a function|Cannot read prop|failed inside|"internal_error"/

/**
 * Holds an answer to what its endpoint promises, whatever was asked.
 *
 * @returns what is wrong with it; empty when nothing is
 */
export function problemsOf(kind: Kind, request: RawRequest, answer: RawAnswer, expected: Expected): string[] {
  const { status, headers, body } = answer
  if (status === undefined) return ['the server hung up without an answer']
  // Node's own, before anything of ours: the head of a request is at most 16 KiB.
  if (status === 431) return headBytes(request) > 15_000 && body === '' ? [] : ['431 for a short head']
  const problems =
    kind === 'mcp'
      ? ofMcp(request, answer)
      : isNotAllowed(answer)
        ? []
        : { client: ofClient, page: ofPage, document: ofDocument }[kind](answer, expected, request)
  const leak = leaks.exec(answer.whole)?.[0]
  if (leak !== undefined) problems.push(`it says ${leak}`)
  if (expected.secrets.some((secret) => answer.whole.includes(secret))) problems.push('it holds a secret')
  if (headers['x-injected'] !== undefined) problems.push('a header was injected')
  return problems
}

function headBytes({ target, headers }: RawRequest): number {
  return target.length + headers.reduce((sum, [name, value]) => sum + name.length + value.length + 4, 0)
}

function isNotAllowed({ status, headers, body }: RawAnswer): boolean {
  return status === 405 && headers.allow !== undefined && body === ''
}

function unless(isGood: boolean, problem: string): string[] {
  return isGood ? [] : [problem]
}

function ofDocument({ status, headers, body }: RawAnswer, _: Expected, { method }: RawRequest): string[] {
  if (method === 'OPTIONS') return unless(status === 204 && body === '', `status ${status} for a preflight`)
  return unless(status === 200 && headers['content-type'] === 'application/json', `status ${status}, ${headers['content-type']}`)
}

/** RFC 6749 §5.2, and the same shape for RFC 7009, 7591, 7592, 7662 and 9126. */
function ofClient({ status = 0, headers, body }: RawAnswer): string[] {
  if ((status === 204 || status === 200) && body === '') return []
  const json = parsed(body) as { error?: string; error_description?: string } | undefined
  if (headers['content-type'] !== 'application/json' || typeof json !== 'object' || json === null)
    return [`status ${status} with ${headers['content-type']}: no JSON object`]
  const problems = unless(headers['cache-control'] === 'no-store', 'it may be cached')
  if (status < 400) return problems
  const { error = '', error_description: description = '' } = json
  return [
    ...problems,
    ...unless(oauthErrors.has(error), `error ${error}`),
    ...unless(/^[\x20\x21\x23-\x5b\x5d-\x7e]{1,300}$/.test(description), `description ${description}`),
    ...unless(status === 503 ? error === 'temporarily_unavailable' : [400, 401, 403, 408, 413, 415, 429].includes(status), `status ${status}, ${error}`),
    ...unless(error !== 'invalid_token' || headers['www-authenticate'] !== undefined, 'no challenge'),
  ]
}

function ofPage({ status = 0, headers, body }: RawAnswer, { redirects }: Expected): string[] {
  const { location = '' } = headers
  if (status === 303)
    return unless(
      redirects.some((start) => location.startsWith(start)),
      `redirects to ${location}`,
    )
  if (status === 404 && body === '') return []
  return [
    ...unless(headers['content-type'] === 'text/html; charset=utf-8', `status ${status} with ${headers['content-type']}`),
    ...unless(headers['content-security-policy']?.includes("default-src 'none'") === true && headers['x-frame-options'] === 'DENY', 'no policy'),
    ...unless(!/<script>alert|<img src=x/.test(body), 'markup of a stranger'),
    // What is not there right now, such as the host of a client's document, is said in these words alone.
    ...unless(status === 503 ? body === '' || body.includes('right now') : [200, 400, 403, 408, 410, 413, 415].includes(status), `status ${status}`),
  ]
}

function ofMcp({ method }: RawRequest, { status = 0, headers, body }: RawAnswer): string[] {
  if (status === 204 && body === '') return unless(method === 'OPTIONS', 'an empty answer')
  const isJson = headers['content-type']?.startsWith('application/json') === true
  if (status === 401) return unless(headers['www-authenticate']?.startsWith('Bearer ') === true && isJson, '401 without a challenge or in another type')
  const problems = unless([200, 202, 400, 403, 404, 405, 406, 408, 413, 415].includes(status), `status ${status}`)
  if (body === '' || headers['content-type']?.startsWith('text/event-stream')) return problems
  const messages = [parsed(body)].flat() as ({ jsonrpc?: string } | undefined)[]
  return [...problems, ...unless(isJson && messages.every((message) => message?.jsonrpc === '2.0'), `no JSON-RPC: ${body.slice(0, 200)}`)]
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
