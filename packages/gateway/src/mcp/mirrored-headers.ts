import type { IncomingHttpHeaders } from 'node:http'
import { GatewayError } from '../errors/errors.ts'
import type { Json } from '../lib/json.ts'
import type { RpcMessage } from './call.ts'
import { isObject, member } from './envelope.ts'
import { isModern, isRevision, knownRevisions, metaNames, UnsupportedVersion } from './revision.ts'

/** What a message says of its protocol. */
export interface Protocol {
  era: 'legacy' | 'modern'
  revision: string | undefined
}

/* Which member of `params` the Mcp-Name header repeats (TR-22). */
const nameSources: Record<string, 'name' | 'uri' | 'taskId'> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'tasks/get': 'taskId',
  'tasks/update': 'taskId',
  'tasks/cancel': 'taskId',
}

/** The text of `MCP-Protocol-Version`, whatever it is; undefined without one. */
export function revisionText(headers: IncomingHttpHeaders): string | undefined {
  return headerOf(headers, 'mcp-protocol-version')
}

/**
 * What `MCP-Protocol-Version` says; undefined without one.
 *
 * @throws GatewayError `header_mismatch` for what cannot be a revision, for example two of them
 */
export function revisionHeader(headers: IncomingHttpHeaders): string | undefined {
  const text = revisionText(headers)
  if (text !== undefined && !isRevision(text)) throw mismatch('MCP-Protocol-Version is malformed.')
  return text
}

/**
 * Finds a message's era and, in a modern one, holds `_meta` and the mirrored headers against the body (TR-12, TR-21 to TR-24, JR-15). Who decides by the body must do so,
 * since whoever stands before us may have decided by the headers. Which versions are spoken is the runtime's matter; in legacy traffic these headers are decoration (TR-25).
 *
 * @throws GatewayError `header_mismatch`, `meta_missing`
 */
export function checkMirroredHeaders(headers: IncomingHttpHeaders, message: RpcMessage): Protocol {
  const header = revisionHeader(headers)
  const meta = member(message.params, '_meta')
  const claim = member(meta, metaNames.protocolVersion)
  if (message.method === 'initialize' && claim === undefined) return { era: 'legacy', revision: textOf(member(message.params, 'protocolVersion')) ?? header }
  const isModernMessage = isModern(header) || (claim !== undefined && !(typeof claim === 'string' && isRevision(claim) && !isModern(claim)))
  if (!isModernMessage) return { era: 'legacy', revision: header }
  if (claim !== undefined && header !== undefined && claim !== header) throw mismatch('MCP-Protocol-Version does not say what _meta says.')
  const revision = header ?? textOf(claim)
  if (revision !== undefined && !knownRevisions.includes(revision)) throw new UnsupportedVersion(revision)
  if (message.kind === 'request') {
    checkMeta(meta)
    if (header === undefined) throw mismatch('The MCP-Protocol-Version header is missing.')
  }
  checkMethod(headers, message)
  if (message.kind === 'request') checkName(headers, message)
  return { era: 'modern', revision }
}

function checkMeta(meta: Json | undefined): void {
  if (typeof member(meta, metaNames.protocolVersion) !== 'string') throw missing(metaNames.protocolVersion)
  if (!isObject(member(meta, metaNames.clientCapabilities))) throw missing(metaNames.clientCapabilities)
}

/* The revision leaves header rules of posted notifications open (TR-21): they may lack the header, but not contradict it. */
function checkMethod(headers: IncomingHttpHeaders, message: RpcMessage): void {
  const header = headerOf(headers, 'mcp-method')
  if (header === undefined && message.kind !== 'request') return
  if (header === undefined) throw mismatch('The Mcp-Method header is missing.')
  if (header !== message.method) throw mismatch('Mcp-Method does not say what the body says.')
}

function checkName(headers: IncomingHttpHeaders, message: RpcMessage): void {
  const source = message.method !== undefined && Object.hasOwn(nameSources, message.method) ? nameSources[message.method] : undefined
  if (!source) return
  const name = member(message.params, source)
  const header = headerOf(headers, 'mcp-name')
  if (typeof name !== 'string') {
    if (header !== undefined) throw mismatch(`Mcp-Name is there, but params.${source} is not.`)
    return
  }
  if (header === undefined) throw mismatch('The Mcp-Name header is missing.')
  if (decodeMirrored(header) !== name) throw mismatch(`Mcp-Name does not say what params.${source} says.`)
}

/** The value of a mirrored header: `=?base64?…?=` decoded, anything else as it stands; undefined when it cannot be decoded (TR-23). */
export function decodeMirrored(header: string): string | undefined {
  const encoded = /^=\?base64\?(.*)\?=$/.exec(header)?.[1]
  if (encoded === undefined) return header
  const bytes = Buffer.from(encoded, 'base64')
  if (bytes.toString('base64') !== encoded) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name]
  return Array.isArray(value) ? value.join(', ') : value?.trim()
}

function textOf(value: Json | undefined): string | undefined {
  return typeof value === 'string' && isRevision(value) ? value : undefined
}

function mismatch(message: string): GatewayError {
  return new GatewayError('header_mismatch', { message })
}

function missing(name: string): GatewayError {
  return new GatewayError('meta_missing', { message: `The request lacks _meta["${name}"].` })
}
