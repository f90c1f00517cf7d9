import { GatewayError } from '../errors/errors.ts'
import type { Json } from '../lib/json.ts'
import type { RpcMessage } from './call.ts'
import { batchRevision } from './revision.ts'

/* Each member of a batch is judged and charged for itself, which is work for the store. */
const maxBatch = 50

/** The JSON-RPC messages of a body. */
export interface Envelope {
  messages: RpcMessage[]
  batch: boolean
}

/**
 * Reads the JSON-RPC messages of a parsed body: one, or in revision 2025-03-26 a batch (TR-5, TR-6).
 *
 * @param revision what `MCP-Protocol-Version` says
 * @throws GatewayError `body_invalid`, with what is wrong
 */
export function readEnvelope(body: Json, revision: string | undefined): Envelope {
  if (!Array.isArray(body)) return { messages: [readMessage(body)], batch: false }
  if (revision !== undefined && revision !== batchRevision) throw invalid(`Batches do not exist in revision ${revision}.`)
  if (body.length === 0 || body.length > maxBatch) throw invalid(`A batch has 1 to ${maxBatch} messages.`)
  const messages = body.map(readMessage)
  if (messages.some(({ method }) => method === 'initialize')) throw invalid('initialize cannot stand in a batch.')
  const ids = messages.filter(({ kind }) => kind === 'request').map(({ id }) => JSON.stringify(id))
  if (new Set(ids).size < ids.length) throw invalid('Two requests of the batch have the same id.')
  return { messages, batch: true }
}

/** The requests among the messages: what an answer is owed to. */
export function requestsOf(messages: readonly RpcMessage[]): (RpcMessage & { id: string | number; method: string })[] {
  return messages.filter((message): message is RpcMessage & { id: string | number; method: string } => message.kind === 'request')
}

/** A member of a JSON object; undefined for anything else. */
export function member(value: Json | undefined, name: string): Json | undefined {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
}

/** Whether a JSON value is an object. */
export function isObject(value: Json | undefined): value is { [name: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function readMessage(value: Json): RpcMessage {
  if (!isObject(value) || member(value, 'jsonrpc') !== '2.0') throw invalid('A message is a JSON object with "jsonrpc": "2.0".')
  const method = member(value, 'method')
  const params = member(value, 'params')
  const hasId = Object.hasOwn(value, 'id')
  if (method === undefined) return readResponse(value)
  if (typeof method !== 'string' || method === '') throw invalid('method is a string.')
  if (params !== undefined && !isObject(params)) throw invalid('params is an object.')
  if (!hasId) return { kind: 'notification', id: undefined, method, params }
  return { kind: 'request', id: readId(value.id), method, params }
}

function readResponse(value: { [name: string]: Json }): RpcMessage {
  const isError = Object.hasOwn(value, 'error')
  if (isError === Object.hasOwn(value, 'result')) throw invalid('A message has a method, a result or an error.')
  // A peer that could not read our id answers with an error that has none.
  const id = isError && (value.id === undefined || value.id === null) ? undefined : readId(value.id)
  return { kind: 'response', id, method: undefined, params: undefined }
}

/* TR-46. An integer beyond 2^53 would come back as another one. */
function readId(id: Json | undefined): string | number {
  if (typeof id === 'string' || (typeof id === 'number' && Number.isSafeInteger(id))) return id
  throw invalid('An id is a string or an integer, never null.')
}

function invalid(message: string): GatewayError {
  return new GatewayError('body_invalid', { message })
}
