import type { ServerResponse } from 'node:http'
import { proofAlgorithms } from '../dpop/proof.ts'
import { type ErrorCode, GatewayError } from '../errors/errors.ts'
import { type Challenge, challenge } from '../http/challenge.ts'
import type { Json } from '../lib/json.ts'
import { resourceMetadataUrl } from '../lib/well-known.ts'
import type { Call } from './call.ts'
import { type Edge, type Notes, notesOf, type Owed } from './edge.ts'
import { reconnectKey } from './request-state.ts'
import { knownRevisions, UnsupportedVersion } from './revision.ts'

/*
 * How each failure is told:
 *
 * - challenge  401, or 403 for scopes, with WWW-Authenticate; that is how clients find the way to authorize
 * - protocol   the HTTP status that a revision fixes, with a JSON-RPC error (TR-7, TR-10, TR-11)
 * - agent      HTTP 200 with a JSON-RPC error that has the request's id: what every measured client survives (refusals.md)
 * - result     as `agent`, but a tools/call gets a result with isError, so that the agent can act on the words
 *
 * - ask      a link for the user, in the way that the client declared: a result that requires input, or an error; always HTTP 200
 *
 * Without a request to answer (GET, DELETE, notifications, an id that could not be read), and with `refusals: 'http'`, the last two go out under the HTTP status of the catalogue.
 */
type Telling = 'challenge' | 'protocol' | 'agent' | 'result' | 'ask'

const tellings: Record<ErrorCode, [telling: Telling, rpcCode: number]> = {
  unauthorized: ['challenge', -31001],
  invalid_token: ['challenge', -31001],
  grant_dead: ['challenge', -31001],
  invalid_dpop_proof: ['challenge', -31001],
  insufficient_scope: ['challenge', -31001],
  reconnect_required: ['ask', -31001],
  reconnect_declined: ['result', -31001],
  request_state_invalid: ['agent', -32602],
  origin_forbidden: ['protocol', -31001],
  session_ended: ['protocol', -32600],
  method_not_allowed: ['protocol', -32600],
  media_type_unsupported: ['protocol', -32600],
  body_timeout: ['protocol', -32600],
  body_invalid: ['protocol', -32600],
  body_not_json: ['protocol', -32700],
  header_mismatch: ['protocol', -32020],
  version_unsupported: ['protocol', -32022],
  meta_missing: ['protocol', -32602],
  body_too_large: ['agent', -32600],
  tool_unknown: ['agent', -32602],
  call_denied: ['result', -31001],
  budget_spent: ['result', -31002],
  too_many_streams: ['result', -31002],
  store_unavailable: ['agent', -31003],
  provider_unavailable: ['agent', -31003],
  runtime_unreachable: ['agent', -31004],
  runtime_timeout: ['agent', -31004],
  runtime_invalid: ['agent', -31004],
  runtime_died: ['agent', -31004],
  internal_error: ['agent', -32603],
  config_invalid: ['agent', -32603],
}

/** Thrown where more scopes would help: `scopes` is all that the operation needs with what the token has (BC-10, BC-11). */
export class InsufficientScope extends GatewayError {
  readonly scopes: string[]
  constructor(scopes: string[], reason: string) {
    super('insufficient_scope', { reason, message: `This operation needs more rights. Authorize again with these scopes: ${scopes.join(' ')}` })
    this.name = 'InsufficientScope'
    this.scopes = scopes
  }
}

/** Thrown where the user has to open a link before the call can go on. */
export class ReconnectRequired extends GatewayError {
  readonly url: string
  /** By `input_required` (EL-1), by `-32042` (EL-3), or in words. */
  readonly ask: { by: 'result'; requestState: string } | { by: 'error'; elicitationId: string } | { by: 'words' }
  constructor(url: string, ask: ReconnectRequired['ask'], words: { message: string; reason: string }) {
    super('reconnect_required', words)
    this.name = 'ReconnectRequired'
    this.url = url
    this.ask = ask
  }
}

/** Puts anything thrown into the terms of the catalogue; what is not of it, or speaks of our own options, becomes `internal_error`. */
export function failureOf(error: unknown): GatewayError {
  if (error instanceof GatewayError && error.code !== 'config_invalid') return error
  return new GatewayError('internal_error', { reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error), cause: error })
}

/**
 * Answers a request that is refused or has failed, once and leak-free. The one place that knows what a refusal looks like; docs/errors.md describes it.
 */
export function refuse(edge: Edge, res: ServerResponse, call: Call, error: unknown): void {
  const failure = failureOf(error)
  const [telling, rpcCode] = tellings[failure.code]
  const notes = notesOf(call)
  noteFailure(call, failure, telling === 'challenge' && notes.owed.length === 0 ? null : failure instanceof ReconnectRequired ? askCode(failure) : rpcCode)
  if (res.headersSent) {
    res.destroy()
    return
  }
  for (const [name, value] of Object.entries(failure.headers)) res.setHeader(name, value)
  if (telling === 'challenge') {
    res.setHeader('www-authenticate', challengesOf(edge, notes, failure))
    const body = failure.code === 'insufficient_scope' && notes.owed.length > 0 ? rpcBody(call, notes, failure) : oauthBody(failure)
    send(res, call, failure.status, body)
    return
  }
  const isAgent = telling !== 'protocol' && notes.owed.length > 0 && (telling === 'ask' || edge.server.refusals === 'agent')
  send(res, call, isAgent ? 200 : failure.status, rpcBody(call, notes, failure))
}

/** The JSON-RPC message that tells one request of a failure. */
export function refusalMessage(call: Call, owed: Owed | undefined, failure: GatewayError): Json {
  const [telling, code] = tellings[failure.code]
  const about = { error: failure.code, requestId: call.id }
  const message = failure.code === 'internal_error' ? `${failure.message} Its id in the log is ${call.id}.` : failure.message
  if (telling === 'result' && owed?.method === 'tools/call' && call.server.refusals === 'agent') {
    const result = { content: [{ type: 'text', text: failure.message }], isError: true, _meta: { 'ai.emcy/error': failure.code, 'ai.emcy/requestId': call.id } }
    return { jsonrpc: '2.0', id: owed.id, result: notesOf(call).modern ? { resultType: 'complete', ...result } : result }
  }
  if (failure instanceof ReconnectRequired) return askMessage(failure, owed, about)
  const scopes = failure instanceof InsufficientScope ? { scope: failure.scopes.join(' ') } : {}
  const versions = failure instanceof UnsupportedVersion ? { supported: knownRevisions, requested: failure.requested } : {}
  // Nothing of ours beside the words: a hidden tool must look like one that the runtime does not have (JR-3).
  if (failure.code === 'tool_unknown') return { jsonrpc: '2.0', ...(owed && { id: owed.id }), error: { code, message } }
  return { jsonrpc: '2.0', ...(owed && { id: owed.id }), error: { code, message, data: { ...about, ...scopes, ...versions } } }
}

/* The one place where the gateway asks a client for something: a link, and never a form (EL-12). */
function askMessage(failure: ReconnectRequired, owed: Owed | undefined, about: { [name: string]: Json }): Json {
  const { url, ask, message } = failure
  const head = { jsonrpc: '2.0', ...(owed && { id: owed.id }) }
  if (ask.by === 'result') {
    const inputRequests = { [reconnectKey]: { method: 'elicitation/create', params: { mode: 'url', url, message } } }
    return { ...head, result: { resultType: 'input_required', inputRequests, requestState: ask.requestState } }
  }
  // The words have the link too: hosts that know no better show them (refusals.md).
  const error = { code: askCode(failure) as number, message: `${message} ${url}` }
  if (ask.by === 'words') return { ...head, error: { ...error, data: about } }
  return { ...head, error: { ...error, data: { ...about, elicitations: [{ mode: 'url', elicitationId: ask.elicitationId, url, message }] } } }
}

/* -32042 is no code of modern revisions (JR-7), and a result has none. */
function askCode({ ask }: ReconnectRequired): number | null {
  return { result: null, error: -32042, words: tellings.reconnect_required[1] }[ask.by]
}

/** Writes a failure into the event of its request; `null`: its answer carries no JSON-RPC code. */
export function noteFailure(call: Call, failure: GatewayError, rpcCode: number | null = tellings[failure.code][1]): void {
  const { event } = call
  event.error = failure.code
  if (rpcCode !== null) event.rpcCode = rpcCode
  if (failure.reason !== undefined) event.reason = failure.reason
  if (failure.code === 'internal_error') event.level = 'error'
  else if (failure.status >= 500) event.level = 'warn'
}

function rpcBody(call: Call, notes: Notes, failure: GatewayError): Json {
  if (notes.owed.length === 0) return refusalMessage(call, undefined, failure)
  const messages = notes.owed.map((owed) => refusalMessage(call, owed, failure))
  return notes.batch ? messages : (messages[0] as Json)
}

/* RFC 6750 §3.1: a request without a token hears of no error code. */
function oauthBody(failure: GatewayError): Json {
  if (failure.code === 'unauthorized') return { error: 'unauthorized', error_description: failure.message }
  if (failure instanceof InsufficientScope) return { error: failure.code, error_description: failure.message, scope: failure.scopes.join(' ') }
  return { error: failure.code === 'invalid_dpop_proof' ? failure.code : 'invalid_token', error_description: failure.message }
}

/* Clients that know Bearer alone read the first challenge and find their way as always; the second tells a DPoP client what was wrong (RFC 9449 §7.1). */
function challengesOf(edge: Edge, notes: Notes, failure: GatewayError): string[] {
  const { config } = edge.deps
  const scope = failure instanceof InsufficientScope ? failure.scopes : edge.server.scopes
  const shared = { resourceMetadata: resourceMetadataUrl(config, edge.server.path), ...(scope.length > 0 && { scope: scope.join(' ') }) }
  const error = challengeError(failure)
  const named = error && { error, errorDescription: failure.message }
  // A proof that fails says nothing against the token, nor would another bearer token help.
  const bearer = challenge('Bearer', { ...shared, ...(error !== 'invalid_dpop_proof' && named) })
  return notes.dpop ? [bearer, challenge('DPoP', { ...shared, ...named, algs: proofAlgorithms.join(' ') })] : [bearer]
}

/* RFC 6750 §3.1: a request without a token hears of no error code. */
function challengeError({ code }: GatewayError): Challenge['error'] {
  if (code === 'unauthorized') return undefined
  return code === 'insufficient_scope' || code === 'invalid_dpop_proof' ? code : 'invalid_token'
}

function send(res: ServerResponse, call: Call, status: number, body: Json): void {
  const text = JSON.stringify(body)
  call.event.bytesOut += Buffer.byteLength(text)
  res.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  })
  res.end(text)
}

/** Sends a JSON-RPC message of our own that is no refusal. */
export function answer(res: ServerResponse, call: Call, message: Json): void {
  send(res, call, 200, message)
}

/** Whether a request has been answered already, or has nobody left to answer. */
export function isOver(res: ServerResponse): boolean {
  return res.headersSent || res.writableEnded || res.destroyed
}
