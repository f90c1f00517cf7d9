// One address for all replicas, as a load balancer would give: each request goes to the next one; one that takes no connection is passed by.
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const ports = String(process.env.REPLICAS).split(',').map(Number)
const agent = new Agent({ keepAlive: false })
let turn = 0

function pass(req: IncomingMessage, res: ServerResponse, body: Buffer, left: number): void {
  const port = ports[turn++ % ports.length]
  const onward = request({ host: '127.0.0.1', port, method: req.method, path: req.url, headers: req.headers, agent }, (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.headers)
    answer.pipe(res)
    answer.on('error', () => res.destroy())
  })
  onward.on('error', (error: NodeJS.ErrnoException) => {
    // Only a replica that has surely not seen the request is passed by; where it broke later, the caller hears so as from any balancer.
    if (error.code === 'ECONNREFUSED' && left > 1) pass(req, res, body, left - 1)
    else if (res.headersSent) res.destroy()
    else res.writeHead(502).end()
  })
  res.on('close', () => onward.destroy())
  onward.end(body)
}

const server = createServer(async (req, res) => {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  pass(req, res, Buffer.concat(chunks), ports.length)
})
server.listen(Number(process.env.PORT), '127.0.0.1', () => process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
process.once('SIGTERM', () => process.exit(0))
process.once('disconnect', () => process.exit(0))
