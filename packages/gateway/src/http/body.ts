import type { IncomingMessage } from 'node:http'
import { ConfigError, GatewayError } from '../errors/errors.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { type Params, parseParams } from './params.ts'

/** Bounds of a request body. */
export interface BodyLimits {
  maxBytes: number
  /** From this call to the last byte. */
  timeoutMs: number
}

/** Thrown when a body passes its bound; `prefix` is what had been read, so that a JSON-RPC id may still be found in it. */
export class BodyTooLarge extends GatewayError {
  readonly prefix: Buffer
  constructor(prefix: Buffer) {
    super('body_too_large')
    this.name = 'BodyTooLarge'
    this.prefix = prefix
  }
}

// How much is read of a body whose Content-Length already says that it is too large: enough to find a JSON-RPC id.
const prefixBytes = 65_536

/**
 * Reads a request body whole. A body that is too large is read no further than its bound; what follows is thrown away until the deadline, so that the client
 * gets to read the answer.
 *
 * @throws GatewayError `media_type_unsupported` for a Content-Encoding, `body_timeout`, `body_invalid` when the client left; {@link BodyTooLarge};
 *   ConfigError when a body parser of the host app was here first and left only an object: the bytes are gone then
 */
export async function readBody(req: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  const encoding = req.headers['content-encoding']
  if (encoding !== undefined && encoding.trim().toLowerCase() !== 'identity') throw new GatewayError('media_type_unsupported', { reason: 'Content-Encoding' })
  const parsed = bodyOfHost(req)
  if (parsed !== undefined) {
    if (parsed.length > limits.maxBytes) throw new BodyTooLarge(parsed.subarray(0, limits.maxBytes))
    return parsed
  }
  return readStream(req, limits)
}

/**
 * Reads an `application/x-www-form-urlencoded` body (RFC 6749 §3.2, appendix B).
 *
 * @throws OAuthError `invalid_request` for another media type, text that is not UTF-8, or what {@link parseParams} refuses; otherwise as {@link readBody}
 */
export async function readForm(req: IncomingMessage, limits: BodyLimits): Promise<Params> {
  if (mediaType(req) !== 'application/x-www-form-urlencoded') {
    throw new OAuthError('invalid_request', 'Send the parameters as application/x-www-form-urlencoded.')
  }
  const text = utf8(await readBody(req, limits))
  if (text === undefined) throw new OAuthError('invalid_request', 'The request body is not UTF-8.')
  return parseParams(text)
}

/**
 * Reads a JSON body that is one object.
 *
 * @throws GatewayError `media_type_unsupported` for another media type, `body_not_json` for what is not a UTF-8 JSON object; otherwise as {@link readBody}
 */
export async function readJsonObject(req: IncomingMessage, limits: BodyLimits): Promise<Record<string, unknown>> {
  if (mediaType(req) !== 'application/json') throw new GatewayError('media_type_unsupported', { reason: 'Content-Type' })
  const text = utf8(await readBody(req, limits))
  const value = text === undefined ? undefined : parseJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new GatewayError('body_not_json')
  return value as Record<string, unknown>
}

/** The media type of a request in lower case, without parameters; '' when there is none. */
export function mediaType(req: IncomingMessage): string {
  return (req.headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

function utf8(bytes: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function bodyOfHost(req: IncomingMessage): Buffer | undefined {
  const body: unknown = (req as IncomingMessage & { body?: unknown }).body
  if (Buffer.isBuffer(body)) return body
  if (typeof body === 'string') return Buffer.from(body)
  // Express 4's parsers leave `{}` on requests that they did not read.
  if (!req.readableDidRead) return undefined
  throw new ConfigError(
    'mounting',
    'a body parser (express.json() or express.urlencoded()) read the request before the gateway did. Mount the gateway before it, or use express.raw() on these paths.',
  )
}

function readStream(req: IncomingMessage, limits: BodyLimits): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const bound = Number(req.headers['content-length']) > limits.maxBytes ? Math.min(limits.maxBytes, prefixBytes) : limits.maxBytes
    const chunks: Buffer[] = []
    let size = 0
    const discard = () => {
      chunks.length = 0
    }
    const timer = setTimeout(() => {
      // Answered already as too large, and still sending: now the socket goes.
      if (size > bound) req.destroy()
      done()
      reject(new GatewayError('body_timeout', { headers: { connection: 'close' } }))
    }, limits.timeoutMs)
    timer.unref()
    const done = () => {
      clearTimeout(timer)
      req.off('data', onData).off('end', onEnd).off('error', onLost).off('close', onLost)
    }
    const onData = (chunk: Buffer) => {
      const before = size
      size += chunk.length
      if (before > bound) return
      chunks.push(chunk)
      if (size <= bound) return
      reject(new BodyTooLarge(Buffer.concat(chunks).subarray(0, bound)))
      discard()
    }
    const onEnd = () => {
      done()
      resolve(Buffer.concat(chunks))
    }
    const onLost = () => {
      done()
      reject(new GatewayError('body_invalid', { reason: 'the client left before its body was complete' }))
    }
    req.on('data', onData).on('end', onEnd).on('error', onLost).on('close', onLost)
  })
}
