import type { ServerResponse } from 'node:http'
import { GatewayError } from '../errors/errors.ts'
import { sendEmpty } from '../http/respond.ts'
import type { Json } from '../lib/json.ts'
import type { RuntimeResponse } from '../runtime/contract.ts'
import { clientHeaders, type PlainHeaders } from '../runtime/headers.ts'
import { agreed, announced } from './announcements.ts'
import type { Call } from './call.ts'
import { connectionOf, type Edge, notesOf } from './edge.ts'
import { isObject, member } from './envelope.ts'
import { type Filter, passEventStream } from './event-stream.ts'
import { readWhole } from './read-whole.ts'
import { noteFailure, refusalMessage } from './refuse.ts'
import { type LegacySession, showSession } from './session.ts'
import { filterToolList } from './tool-list.ts'
import { declaredAtInitialize } from './url-elicitation.ts'

/* Of a stream that passes as it is: enough to recognise an answer. */
const watchedBytes = 262_144

/**
 * Hands the runtime's answer to the client as it is, its errors included, as long as it is an MCP answer: an event stream as it comes, JSON whole, an empty acceptance. The
 * credentials and marks of the runtime stay behind, its session id is bound, and lists lose what this caller may not call.
 *
 * @throws GatewayError `runtime_…` as long as nothing was sent
 */
export async function passAnswer(edge: Edge, call: Call, res: ServerResponse, response: RuntimeResponse): Promise<void> {
  const type = mediaType(response)
  const isOk = response.status >= 200 && response.status < 300
  if (isOk && type === 'text/event-stream') return passStream(edge, call, res, response)
  const { responseBytes, responseStartSeconds } = edge.deps.config.limits
  const bytes = await readWhole(response.body, responseBytes, responseStartSeconds * 1000)
  const isOwed = notesOf(call).owed.length > 0
  const message = type === 'application/json' ? parse(bytes) : undefined
  if (isOwed ? isAnswer(call, isOk, message) : message !== undefined) {
    const body = isOwed && isOk ? judged(edge, call, response, bytes, message as Json) : bytes
    note(call, message as Json)
    const headers = { ...headersOf(edge, call, res, response), 'content-length': String(body.length) }
    call.event.bytesOut += body.length
    res.writeHead(response.status, headers)
    res.end(body)
    return
  }
  // A runtime tells in plain text, too, that it has lost a session; clients go by the status (TR-43).
  if (response.status === 404 && notesOf(call).session) throw new GatewayError('session_ended', { reason: 'the runtime does not know it' })
  if (isOwed || response.status < 200 || (response.status >= 300 && response.status < 400)) {
    throw new GatewayError('runtime_invalid', { reason: `HTTP ${response.status}, ${type || 'no content type'}, ${bytes.length} bytes` })
  }
  if (call.body === undefined && isOk && bytes.length > 0)
    throw new GatewayError('runtime_invalid', { reason: `HTTP ${response.status} with ${type || 'no content type'}` })
  // Nothing but a status is expected here (TR-7), and pages of whatever stands before the runtime are nobody's business.
  const { 'content-type': _type, 'content-encoding': _encoding, ...headers } = headersOf(edge, call, res, response)
  sendEmpty(res, response.status, headers)
}

async function passStream(edge: Edge, call: Call, res: ServerResponse, response: RuntimeResponse): Promise<void> {
  const { owed } = notesOf(call)
  const filters = filterOf(edge, call, response)
  if (filters && isEncoded(response)) {
    response.body.destroy()
    throw new GatewayError('runtime_invalid', { reason: 'an encoded answer cannot be looked at' })
  }
  res.writeHead(response.status, { ...headersOf(edge, call, res, response), 'x-accel-buffering': 'no' })
  res.flushHeaders()
  const end = await passEventStream({
    body: response.body,
    res,
    owed: owed.map(({ id }) => id),
    maxEventBytes: filters ? edge.deps.config.limits.responseBytes : watchedBytes,
    filter: filters,
    onResponse: (message) => {
      note(call, message)
      keepDiscovery(edge, call, message)
    },
    onBytes: (count) => {
      call.event.bytesOut += count
    },
    lastWords: (id) =>
      JSON.stringify(
        refusalMessage(
          call,
          owed.find((one) => one.id === id),
          new GatewayError('runtime_died'),
        ),
      ),
  })
  if (end === 'runtime died') noteFailure(call, new GatewayError('runtime_died', { reason: 'its event stream ended before the answer' }))
}

/* A complete JSON answer, after what must not be in it was taken out. */
function judged(edge: Edge, call: Call, response: RuntimeResponse, bytes: Buffer, message: Json): Buffer {
  keepDiscovery(edge, call, message)
  const filter = filterOf(edge, call, response)
  if (!filter) return bytes
  if (isEncoded(response)) throw new GatewayError('runtime_invalid', { reason: 'an encoded answer cannot be looked at' })
  const filtered = filter.rewrite(bytes.toString('utf8'))
  return filtered === undefined ? bytes : Buffer.from(filtered)
}

/* Where no policy speaks, answers pass byte for byte, but for what a runtime announces of itself. A GET stream may replay the answer to any earlier request (TR-36), so there every list is looked at. */
function filterOf(edge: Edge, call: Call, response: RuntimeResponse): Filter | undefined {
  const methods = notesOf(call).owed.map(({ method }) => method)
  // No client survives a failure of these two, so what cannot be read passes: what it says of versions is enforced all the same.
  if (isEncoded(response) && methods.some((method) => method === 'server/discover' || method === 'initialize')) return undefined
  if (methods.includes('server/discover')) return { word: '"supportedVersions"', rewrite: (text) => announced(edge, text) }
  if (methods.includes('initialize')) return { word: '"protocolVersion"', rewrite: (text) => agreed(call, text) }
  if (edge.server.policies.length === 0) return undefined
  if (call.body && !methods.includes('tools/list')) return undefined
  return { word: '"tools"', rewrite: (text) => filterToolList(edge, call, text) }
}

function headersOf(edge: Edge, call: Call, res: ServerResponse, response: RuntimeResponse): PlainHeaders {
  const headers = clientHeaders(response.headers)
  const vary = res.getHeader('vary')
  if (vary !== undefined && headers.vary !== undefined) headers.vary = `${vary}, ${headers.vary}`
  // TR-44: nothing of a session in a modern answer.
  const session = notesOf(call).modern ? undefined : sessionOf(edge, call, response)
  if (session) headers['mcp-session-id'] = showSession(edge.deps.keys, session, edge.server, connectionOf(call))
  return headers
}

/* The session of an answer. Where the runtime keeps none and the client can open links, there is one of our own: its id is where the client says so again (TR-45). */
function sessionOf(edge: Edge, call: Call, { status, headers, affinity }: RuntimeResponse): LegacySession | undefined {
  const id = headers['mcp-session-id']
  const declares = declaredAtInitialize(call)
  if (id !== undefined) return { id: String(id), affinity, mark: declares ? 'url' : notesOf(call).session?.mark }
  return declares && status === 200 ? { id: edge.deps.random(18), affinity: undefined, mark: 'own' } : undefined
}

/* Whether a JSON body answers what was asked: at 200 each id has to be one of ours, since clients wait for theirs; an HTTP error may have none. */
function isAnswer(call: Call, isOk: boolean, message: Json | undefined): boolean {
  const { owed, batch } = notesOf(call)
  const ids = new Set<Json | undefined>(owed.map(({ id }) => id))
  const isResponse = (one: Json) => isObject(one) && one.jsonrpc === '2.0' && ('result' in one || 'error' in one) && (!isOk || ids.has(one.id))
  if (message === undefined) return false
  if (Array.isArray(message)) return batch && message.length > 0 && message.every(isResponse)
  return isResponse(message)
}

function note(call: Call, message: Json | undefined): void {
  const code = member(member(message, 'error'), 'code')
  if (typeof code === 'number') call.event.rpcCode = code
}

function keepDiscovery(edge: Edge, call: Call, message: Json): void {
  const owed = notesOf(call).owed.find(({ id }) => id === member(message, 'id'))
  const result = member(message, 'result')
  if (owed?.method === 'server/discover' && result !== undefined) edge.discovery.keep(connectionOf(call).id, result)
}

function mediaType({ headers }: RuntimeResponse): string {
  return (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function isEncoded({ headers }: RuntimeResponse): boolean {
  const encoding = headers['content-encoding']
  return encoding !== undefined && encoding.trim().toLowerCase() !== 'identity'
}

function parse(bytes: Buffer): Json | undefined {
  try {
    return JSON.parse(bytes.toString('utf8')) as Json
  } catch {
    return undefined
  }
}
