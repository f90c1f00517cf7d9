import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** A request as it came over the wire. */
export interface RawRequest {
  /** Head and body, byte for byte. */
  bytes: Buffer
  /** Lines of the head, the request line first. */
  lines: string[]
  body: Buffer
  /** Values of a header, in order, by its name in any case. */
  header(name: string): string[]
  /** Names of all headers, lower case, in order. */
  names: string[]
}

/** Answers one request: writes what it likes to the socket. */
export type RawAnswer = (request: RawRequest, socket: Socket) => void

/** A runtime that is nothing but a TCP server, so that a test reads what really reached it, and answers what no HTTP library would. */
export interface RawRuntime {
  url: string
  requests: RawRequest[]
  answer: RawAnswer
  /** Resolves with the next request that arrives. */
  next(): Promise<RawRequest>
  /** Resolves when the socket of the latest request is closed by the other side. */
  left(): Promise<void>
  close(): Promise<void>
}

/** Answers with a JSON-RPC result for the request's id. */
export const answerJson: RawAnswer = (request, socket) => {
  const id = (JSON.parse(request.body.toString() || '{}') as { id?: unknown }).id ?? null
  const body = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: 'done' }], resultType: 'complete' } })
  socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
}

function parseHead(bytes: Buffer, headEnd: number): { lines: string[]; header: (name: string) => string[]; names: string[] } {
  const lines = bytes.subarray(0, headEnd).toString('latin1').split('\r\n')
  const pairs = lines.slice(1).map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()] as const)
  return { lines, names: pairs.map(([name]) => name), header: (name) => pairs.filter(([each]) => each === name.toLowerCase()).map(([, value]) => value) }
}

/** Bytes of a chunked body that starts at `from`; undefined while it is incomplete. */
function chunkedBody(bytes: Buffer, from: number): { body: Buffer; end: number } | undefined {
  const parts: Buffer[] = []
  let at = from
  for (;;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(bytes.subarray(at, lineEnd).toString('latin1'), 16)
    const end = lineEnd + 2 + size + 2
    if (bytes.length < end) return undefined
    if (size === 0) return { body: Buffer.concat(parts), end }
    parts.push(bytes.subarray(lineEnd + 2, lineEnd + 2 + size))
    at = end
  }
}

/** Takes one whole request off the front of the buffer. */
function takeRequest(bytes: Buffer): { request: RawRequest; rest: Buffer } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n')
  if (headEnd === -1) return undefined
  const head = parseHead(bytes, headEnd)
  const from = headEnd + 4
  const chunked = head.header('transfer-encoding').includes('chunked') ? (chunkedBody(bytes, from) ?? null) : undefined
  if (chunked === null) return undefined
  const length = Number(head.header('content-length')[0] ?? 0)
  const end = chunked?.end ?? from + length
  if (bytes.length < end) return undefined
  const body = chunked?.body ?? bytes.subarray(from, end)
  return { request: { bytes: bytes.subarray(0, end), body, ...head }, rest: bytes.subarray(end) }
}

/** Starts a raw runtime; `answer` may be changed at any time. */
export async function startRawRuntime(answer: RawAnswer = answerJson): Promise<RawRuntime> {
  const sockets = new Set<Socket>()
  const waiting: ((request: RawRequest) => void)[] = []
  let latest: Socket | undefined
  const runtime: RawRuntime = {
    url: '',
    requests: [],
    answer,
    next: () => new Promise((resolve) => waiting.push(resolve)),
    left: async () => {
      if (latest !== undefined && !latest.destroyed) await once(latest, 'close')
    },
    close: async () => {
      for (const socket of sockets) socket.destroy()
      await new Promise((closed) => server.close(closed))
    },
  }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
    let buffer: Buffer = Buffer.alloc(0)
    socket.on('data', (chunk) => {
      buffer = Buffer.concat([buffer, chunk])
      for (let taken = takeRequest(buffer); taken !== undefined; taken = takeRequest(buffer)) {
        buffer = taken.rest
        latest = socket
        runtime.requests.push(taken.request)
        waiting.shift()?.(taken.request)
        runtime.answer(taken.request, socket)
      }
    })
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  runtime.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
  return runtime
}
