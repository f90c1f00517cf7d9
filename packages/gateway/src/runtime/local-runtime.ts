import type { IncomingHttpHeaders, IncomingMessage, OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import type { RuntimeHandler } from '../config.ts'
import { GatewayError } from '../errors/errors.ts'
import type { RuntimeLeg, RuntimeRequest, RuntimeResponse } from './contract.ts'
import { createExchange } from './exchange.ts'

/** How a local runtime sees its requests. */
export interface LocalRuntimeOptions {
  /** `req.url`: the server's path. */
  url: string
  /** Whether `publicUrl` is https. */
  encrypted: boolean
}

/**
 * A runtime in this process: any `(req, res)` handler, an Express app included. It gets the same request with the same headers as a runtime over HTTP (worker contract,
 * rule 6), and a client that leaves shows as `close` on `res`, as usual.
 */
export function localRuntime(handler: RuntimeHandler, options: LocalRuntimeOptions): RuntimeLeg {
  return {
    description: 'handler in this process',
    send: (request) => call(handler, request, options),
    close: async () => {},
  }
}

function call(handler: RuntimeHandler, request: RuntimeRequest, options: LocalRuntimeOptions): Promise<RuntimeResponse> {
  return new Promise((resolve, reject) => {
    const { req, res, leave, finish } = createExchange(request, options.url, options.encrypted)
    const onAbort = () => leave()
    const timer = setTimeout(() => fail(new GatewayError('runtime_timeout')), request.responseStartMs)
    const fail = (error: GatewayError) => {
      clearTimeout(timer)
      body.destroy(error)
      leave()
      reject(error)
    }
    const body = bodyOf(res, (response) => {
      clearTimeout(timer)
      resolve(response)
    })
    body.once('close', () => {
      request.signal.removeEventListener('abort', onAbort)
      if (!res.writableFinished) leave()
    })
    res.once('finish', () => setImmediate(finish))
    res.once('close', () => {
      if (!res.headersSent) fail(new GatewayError('runtime_died', { reason: 'the handler closed its response without an answer' }))
      else if (!res.writableEnded) body.destroy(new GatewayError('runtime_died'))
    })
    if (request.signal.aborted) onAbort()
    else request.signal.addEventListener('abort', onAbort, { once: true })
    run(handler, req, res).catch((error: unknown) => fail(new GatewayError('runtime_died', { reason: `the handler threw: ${String(error)}`, cause: error })))
  })
}

/* Makes a throw of the handler a rejection. */
async function run(handler: RuntimeHandler, req: IncomingMessage, res: ServerResponse): Promise<unknown> {
  return handler(req, res)
}

/*
 * Turns what is written to the response into a stream. The methods are replaced on the object itself, since Express gives the object another prototype; the ones of
 * node:http still run, so that `headersSent`, `writableEnded`, `finish` and the rest mean what they always do.
 */
function bodyOf(res: ServerResponse, onHead: (response: RuntimeResponse) => void): Readable {
  const original = { writeHead: res.writeHead, end: res.end }
  let isFull = false
  const body = new Readable({
    read() {
      if (!isFull) return
      isFull = false
      res.emit('drain')
    },
  })
  // Whoever reads the body hears of its errors; before it is handed over, and after the client left, nobody does.
  body.on('error', () => {})
  const push = (chunk: unknown, encoding: unknown) => {
    const bytes =
      typeof chunk === 'string' ? Buffer.from(chunk, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8') : Buffer.from(chunk as Uint8Array)
    if (bytes.length > 0 && !body.destroyed && !body.push(bytes)) isFull = true
  }
  const head = () => {
    if (!res.headersSent) res.writeHead(res.statusCode)
  }
  const own = {
    writeHead(status: number, second?: string | OutgoingHttpHeaders | OutgoingHttpHeader[], third?: OutgoingHttpHeaders | OutgoingHttpHeader[]) {
      const given = typeof second === 'string' ? third : (second ?? third)
      if (!res.headersSent) setAll(res, given)
      if (typeof second === 'string') original.writeHead.call(res, status, second as never)
      else original.writeHead.call(res, status)
      onHead({ status: res.statusCode, headers: plainHeaders(res.getHeaders()), body, affinity: undefined })
      return res
    },
    flushHeaders: head,
    write(chunk: unknown, encoding?: unknown, done?: unknown) {
      if (res.writableEnded || res.destroyed) return false
      head()
      push(chunk, encoding)
      const callback = typeof encoding === 'function' ? encoding : done
      if (typeof callback === 'function') queueMicrotask(callback as () => void)
      return !isFull
    },
    end(chunk?: unknown, encoding?: unknown, done?: unknown) {
      if (res.writableEnded) return res
      const last = typeof chunk === 'function' ? undefined : chunk
      head()
      if (last !== undefined && last !== null) push(last, encoding)
      if (!body.destroyed) body.push(null)
      const callback = [chunk, encoding, done].find((one) => typeof one === 'function')
      return (original.end as (callback?: unknown) => ServerResponse).call(res, callback)
    },
  }
  return Object.assign(res, own) && body
}

function setAll(res: ServerResponse, given: OutgoingHttpHeaders | OutgoingHttpHeader[] | undefined): void {
  if (given === undefined) return
  const pairs = Array.isArray(given) ? pairsOf(given) : Object.entries(given)
  const seen = new Set<string>()
  for (const [name, value] of pairs) {
    if (value === undefined) continue
    const plain = typeof value === 'number' ? String(value) : value
    if (seen.has(name.toLowerCase())) res.appendHeader(name, plain)
    else res.setHeader(name, plain)
    seen.add(name.toLowerCase())
  }
}

/* `writeHead` takes lists flat, [name, value, name, value], or in pairs. */
function pairsOf(list: OutgoingHttpHeader[]): [string, OutgoingHttpHeader][] {
  if (Array.isArray(list[0])) return (list as unknown as [string, OutgoingHttpHeader][]).map(([name, value]) => [name, value])
  return list.flatMap((name, index) => (index % 2 === 0 ? [[String(name), list[index + 1] ?? ''] as [string, OutgoingHttpHeader]] : []))
}

function plainHeaders(headers: OutgoingHttpHeaders): IncomingHttpHeaders {
  const plain: IncomingHttpHeaders = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue
    plain[name] = name === 'set-cookie' ? [value].flat().map(String) : [value].flat().map(String).join(', ')
  }
  return plain
}
