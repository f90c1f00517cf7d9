// The runtime of the bench: reads a JSON-RPC request and answers a small tool result. As light as Node allows, so that what stands before it shows.
import { createServer } from 'node:http'
import { report } from './measured.mjs'

const server = createServer((req, res) => {
  let body = ''
  req.on('data', (chunk) => {
    body += chunk
  })
  req.on('end', () => {
    const { id } = JSON.parse(body)
    const answer = JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: '[{"id":1,"title":"buy milk","done":false}]' }] } })
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) }).end(answer)
  })
})
server.listen(0, '127.0.0.1', () => report(`http://127.0.0.1:${server.address().port}/mcp`))
