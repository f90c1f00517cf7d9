// What a team would have without the gateway: bare express and http-proxy-middleware, with a keep-alive agent.
import { Agent } from 'node:http'
import express from 'express'
import { createProxyMiddleware } from 'http-proxy-middleware'
import { report } from './measured.mjs'

const target = new URL(process.env.RUNTIME_URL).origin
const app = express().disable('x-powered-by')
app.use(createProxyMiddleware({ target, changeOrigin: true, agent: new Agent({ keepAlive: true }) }))
const server = app.listen(0, '127.0.0.1', () => report(`http://127.0.0.1:${server.address().port}/mcp`))
