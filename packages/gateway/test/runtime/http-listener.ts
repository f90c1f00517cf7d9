import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { freePorts } from '../../../../test/harness/ports.ts'

/** A request that a runtime got. */
export interface Seen {
  req: IncomingMessage
  body: Buffer
}

/** A runtime of `node:http` whose answers the test writes. */
export interface HttpListener {
  url: string
  seen: Seen[]
  answer: (req: IncomingMessage, res: ServerResponse, body: Buffer) => void
  /** Ends all connections, those of streams too. */
  close(): Promise<void>
  /** Listens on the same port again. */
  reopen(): Promise<void>
}

/** Answers a JSON-RPC request with a result. */
export const answerResult: HttpListener['answer'] = (_req, res, body) => {
  const { id } = JSON.parse(body.toString() || '{}') as { id?: unknown }
  if (id === undefined) return void res.writeHead(202).end()
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } }))
}

export async function startHttpListener(answer: HttpListener['answer'] = answerResult): Promise<HttpListener> {
  const onRequest: RequestListener = (req, res) => {
    const chunks: Buffer[] = []
    req.on('error', () => {})
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('end', () => {
      const body = Buffer.concat(chunks)
      runtime.seen.push({ req, body })
      runtime.answer(req, res, body)
    })
  }
  let server = createServer(onRequest)
  const listenAt = (at: number) => new Promise<void>((resolve) => server.listen(at, '127.0.0.1', resolve))
  // Nobody else may get the port while it is closed.
  const [port = 0] = await freePorts(1)
  await listenAt(port)
  const runtime: HttpListener = {
    url: `http://127.0.0.1:${port}/mcp`,
    seen: [],
    answer,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
    async reopen() {
      server = createServer(onRequest)
      await listenAt(port)
    },
  }
  return runtime
}

/** Bytes in the order in which they arrive, to be waited for. */
export function reading(stream: NodeJS.ReadableStream): { until(text: string): Promise<string>; end(): Promise<string> } {
  let seen = ''
  let hasEnded = false
  const waiting = new Set<() => void>()
  const look = () => {
    for (const one of waiting) one()
  }
  stream.on('data', (chunk: Buffer) => {
    seen += chunk.toString()
    look()
  })
  for (const last of ['end', 'close', 'error'])
    stream.on(last, () => {
      hasEnded = true
      look()
    })
  const wait = (isDone: () => boolean) =>
    new Promise<string>((resolve, reject) => {
      const check = () => {
        if (!isDone() && !hasEnded) return
        waiting.delete(check)
        if (isDone()) resolve(seen)
        else reject(new Error(`the stream ended before that: ${seen}`))
      }
      waiting.add(check)
      check()
    })
  return { until: (text) => wait(() => seen.includes(text)), end: () => wait(() => hasEnded) }
}
