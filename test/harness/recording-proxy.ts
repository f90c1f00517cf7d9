import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, request } from 'node:http'

/** One exchange as the server saw it. It is noted when the request's head is there and filled in as more comes, always before the client has the answer. */
export interface SeenExchange {
  method: string
  /** Path and query as sent. */
  url: URL
  requestHeaders: IncomingHttpHeaders
  body: string
  /** 0 until the answer's head is there. */
  status: number
  headers: IncomingHttpHeaders
  answer: string
}

/** A running recording proxy. */
export interface RecordingProxy {
  readonly exchanges: SeenExchange[]
  close(): Promise<void>
}

/**
 * Stands in front of a server as a reverse proxy that passes on every header, Host included, and every byte, and notes each exchange: what programs of other
 * languages send is seen nowhere else.
 *
 * @param port where clients come to, on loopback
 * @param target port of the server
 */
export async function startRecordingProxy(port: number, target: number): Promise<RecordingProxy> {
  const exchanges: SeenExchange[] = []
  const server = createServer((req, res) => {
    const exchange: SeenExchange = {
      method: req.method ?? '',
      url: new URL(req.url ?? '/', `http://${req.headers.host}`),
      requestHeaders: req.headers,
      body: '',
      status: 0,
      headers: {},
      answer: '',
    }
    exchanges.push(exchange)
    const upstream = request({ host: '127.0.0.1', port: target, method: req.method, path: req.url, headers: req.rawHeaders, setHost: false, agent: false })
    upstream.on('response', (answer) => {
      Object.assign(exchange, { status: answer.statusCode, headers: answer.headers })
      // Before the pipe, so that a chunk is noted before it goes out.
      answer.on('data', (chunk: Buffer) => {
        exchange.answer += chunk.toString()
      })
      const connection = (index: number) => /^(connection|keep-alive)$/i.test(answer.rawHeaders[index - (index % 2)] ?? '')
      res.writeHead(
        answer.statusCode ?? 502,
        answer.rawHeaders.filter((_, index) => !connection(index)),
      )
      answer.on('error', () => res.destroy())
      answer.pipe(res)
    })
    upstream.on('error', () => res.destroy())
    res.on('close', () => upstream.destroy())
    req.on('data', (chunk: Buffer) => {
      exchange.body += chunk.toString()
    })
    req.pipe(upstream)
  }).listen(port, '127.0.0.1')
  await once(server, 'listening')
  return {
    exchanges,
    async close() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
}
