import type { RequestListener } from 'node:http'
import { createGateway } from '@emcy/gateway'
import { toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import express from 'express'

const port = Number(process.env.PORT || 3000)

const mcp = createMcpHandler(() => {
  const server = new McpServer({ name: 'hello', version: '1.0.0' })
  server.registerTool('hello', { description: 'Says hello', annotations: { readOnlyHint: true } }, () => ({ content: [{ type: 'text', text: 'Hello!' }] }))
  return server
})

const gateway = createGateway({
  publicUrl: `http://127.0.0.1:${port}`,
  identify: () => ({ sub: 'you' }), // the session of your own app says who is there
  servers: {
    hello: { path: '/mcp', name: 'Hello', runtime: toNodeHandler(mcp) as RequestListener, scopes: ['hello'], workerSecret: crypto.randomUUID() },
  },
})

const app = express().use(gateway)
app.listen(port, '127.0.0.1', () => console.log(`Emcy Gateway ready http://127.0.0.1:${port}/mcp`))
