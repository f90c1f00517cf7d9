// The full edge: token check, JSON-RPC read, policy, budget, downstream grant, worker contract, one log line a call.
import { createGateway } from '@emcy/gateway'
import express from 'express'
import { report } from './measured.mjs'

const { PUBLIC_URL, RUNTIME_URL, STORE, ISSUER, CLIENT_SECRET, API_URL, SECRET } = process.env
const gateway = createGateway({
  publicUrl: PUBLIC_URL,
  downstream: { issuer: ISSUER, clientId: 'emcy-gateway', clientSecret: CLIENT_SECRET, scopes: ['openid', 'todos.read', 'todos.write'], resource: API_URL },
  servers: { todo: { path: '/mcp', runtime: RUNTIME_URL, workerSecret: SECRET, scopes: ['todos.read', 'todos.write'] } },
  policy: { default: 'deny', rules: [{ allow: ['*_todo', 'list_*'] }, { deny: ['delete_*'], when: { client: { trust: 'dynamic' } } }] },
  budgets: [{ name: 'calls', limit: 1_000_000_000, per: ['user'], window: 'day' }],
  store: STORE,
  secrets: [SECRET],
  log: 'stdout',
})
const app = express().disable('x-powered-by')
app.use(gateway)
app.listen(Number(new URL(PUBLIC_URL).port), '127.0.0.1', () => report(`${PUBLIC_URL}/mcp`))
