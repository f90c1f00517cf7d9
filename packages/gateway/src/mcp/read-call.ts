import type { IncomingMessage } from 'node:http'
import { GatewayError } from '../errors/errors.ts'
import { BodyTooLarge, mediaType, readBody } from '../http/body.ts'
import type { Middleware } from '../http/middleware.ts'
import type { Json } from '../lib/json.ts'
import { parseStrictJson, StrictJsonError } from '../lib/strict-json.ts'
import type { Call, RpcMessage } from './call.ts'
import { connectionOf, type Edge, notesOf } from './edge.ts'
import { member, readEnvelope, requestsOf } from './envelope.ts'
import { findId } from './find-id.ts'
import { checkMirroredHeaders, type Protocol, revisionHeader, revisionText } from './mirrored-headers.ts'
import { takeReply } from './request-state.ts'
import { isModern } from './revision.ts'
import { findSession, type LegacySession } from './session.ts'
import { step } from './step.ts'
import { askingOf } from './url-elicitation.ts'

const tailBytes = 1024
/* A client that goes on sending beyond this gets no more attention. */
const mostTimesBody = 4

/**
 * Reads what is asked: the body, kept byte for byte as it came, its JSON-RPC envelope, the protocol it speaks, and the legacy session it belongs to.
 */
export function readCall(edge: Edge): Middleware {
  return step(edge, 'readCall', 'checkBearer', undefined, async (call, req) => {
    if (req.method === 'POST') await readCallBody(edge, call, req)
    else if (req.method !== 'GET' && req.method !== 'DELETE') throw new GatewayError('method_not_allowed', { headers: { allow: 'GET, POST, DELETE' } })
    const session = readSession(edge, call, req)
    const notes = notesOf(call)
    if (session?.mark !== 'own') notes.session = session
    // There is nothing to end, neither here nor at the runtime.
    else if (req.method === 'DELETE') throw new GatewayError('method_not_allowed', { headers: { allow: 'GET, POST' } })
    notes.asking = askingOf(call, req.headers, session)
    if (notes.modern && call.body) notes.reply = takeReply(edge.deps, connectionOf(call).id, call.body)
    return 'go-on'
  })
}

/**
 * The part of {@link readCall} that looks at the body. What is owed an answer is noted as early as it is known, so that a refusal finds the ids.
 *
 * @throws GatewayError every row of api.md that speaks of bodies and headers
 */
export async function readCallBody(edge: Edge, call: Call, req: IncomingMessage): Promise<void> {
  if (req.method !== 'POST' || call.body) return
  if (mediaType(req) !== 'application/json') throw new GatewayError('media_type_unsupported', { reason: 'Content-Type' })
  const { bodyBytes, bodySeconds, jsonDepth } = edge.deps.config.limits
  const notes = notesOf(call)
  const raw = await readBody(req, { maxBytes: bodyBytes, timeoutMs: bodySeconds * 1000 }).catch(async (error: unknown) => {
    if (error instanceof BodyTooLarge) {
      const id = findId(error.prefix, await readTail(req, bodyBytes * mostTimesBody))
      if (id !== undefined) notes.owed = [{ id, method: '' }]
    }
    throw error
  })
  call.event.bytesIn = raw.length
  const { messages, batch } = readEnvelope(parse(raw, jsonDepth), revisionText(req.headers))
  notes.owed = requestsOf(messages).map(({ id, method }) => ({ id, method }))
  notes.batch = batch
  note(call, messages)
  const protocols = messages.map((message) => checkMirroredHeaders(req.headers, message))
  const modern = protocols.some(({ era }) => era === 'modern')
  if (modern && batch) throw new GatewayError('body_invalid', { message: 'Batches do not exist in this revision.' })
  notes.modern = modern
  for (const message of messages) checkTool(message)
  const protocol = protocols[0] as Protocol
  call.body = { raw, messages, batch, era: protocol.era, revision: protocol.revision }
  if (protocol.revision !== undefined) call.event.revision = protocol.revision
}

function parse(raw: Buffer, maxDepth: number): Json {
  try {
    return parseStrictJson(raw, maxDepth) as Json
  } catch (error) {
    if (!(error instanceof StrictJsonError)) throw error
    const { fault } = error
    if (fault === 'not UTF-8' || fault === 'not JSON') throw new GatewayError('body_not_json', { reason: fault })
    const message =
      fault === 'too deep'
        ? `The request body is nested deeper than ${maxDepth} levels.`
        : 'The request body has a member name twice in one object (RFC 7493 §2.3).'
    throw new GatewayError('body_invalid', { message, reason: fault })
  }
}

/* A call of no tool cannot be judged, and every revision gives the same answer to it (JR-3). */
function checkTool({ kind, method, params }: RpcMessage): void {
  if (kind !== 'request' || method !== 'tools/call' || typeof member(params, 'name') === 'string') return
  throw new GatewayError('tool_unknown', { message: 'Unknown tool: params.name is missing' })
}

function note(call: Call, messages: RpcMessage[]): void {
  const methods = new Set(messages.map(({ method }) => method).filter((method) => method !== undefined))
  const tools = new Set(messages.filter(({ method }) => method === 'tools/call').map(({ params }) => member(params, 'name')))
  if (methods.size > 0) call.event.method = [...methods].join(',')
  const names = [...tools].filter((name) => typeof name === 'string')
  if (names.length > 0) call.event.tool = names.join(',')
}

/* TR-44: in a modern request a session id means nothing. */
function readSession(edge: Edge, call: Call, req: IncomingMessage): LegacySession | undefined {
  const shown = req.headers['mcp-session-id']
  if (shown === undefined || call.body?.era === 'modern' || (!call.body && isModern(revisionHeader(req.headers)))) return undefined
  return findSession(edge.deps.keys, String(shown), edge.server, connectionOf(call))
}

/* The end of a body that is being thrown away: many clients write the id last. Resolves with nothing when it does not come within the bound. */
function readTail(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    if (req.readableEnded || req.destroyed) return resolve(Buffer.alloc(0))
    let tail = Buffer.alloc(0)
    let size = 0
    const finish = (found: Buffer) => {
      req.off('data', onData).off('end', onEnd).off('close', onClose)
      resolve(found)
    }
    const onData = (chunk: Buffer) => {
      size += chunk.length
      tail = Buffer.concat([tail, chunk.subarray(-tailBytes)]).subarray(-tailBytes)
      if (size > maxBytes) finish(Buffer.alloc(0))
    }
    const onEnd = () => finish(tail)
    const onClose = () => finish(Buffer.alloc(0))
    req.on('data', onData).on('end', onEnd).on('close', onClose)
  })
}
