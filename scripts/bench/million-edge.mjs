// The full edge on a store full of connections: token check, grant, policy, and a runtime in this very process, so that what the store takes shows.
import { createServer } from 'node:http'
import { createGateway } from '@emcy/gateway'
import { report } from './measured.mjs'

const { PUBLIC_URL, STORE, ISSUER, SECRETS } = process.env
const answerTo = (id) => JSON.stringify({ jsonrpc: '2.0', id, result: { content: [{ type: 'text', text: '[{"id":1,"title":"buy milk","done":false}]' }] } })
const runtime = (req, res) => {
  let body = ''
  req.on('data', (chunk) => {
    body += chunk
  })
  req.on('end', () => res.writeHead(200, { 'content-type': 'application/json' }).end(answerTo(JSON.parse(body).id)))
}
const gateway = createGateway({
  publicUrl: PUBLIC_URL,
  downstream: { issuer: ISSUER, clientId: 'emcy-gateway', clientSecret: 'never-used-here', scopes: ['todos.read'] },
  servers: { todo: { path: '/mcp', runtime, workerSecret: 'w'.repeat(40), scopes: ['todos.read'] } },
  policy: { default: 'deny', rules: [{ allow: ['list_*'] }] },
  store: STORE,
  secrets: SECRETS.split(','),
  log: false,
})
createServer((req, res) => gateway(req, res)).listen(Number(new URL(PUBLIC_URL).port), '127.0.0.1', () => report(`${PUBLIC_URL}/mcp`))
