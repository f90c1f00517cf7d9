import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { type Gateway, getCall } from '@emcy/gateway'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import type { Host } from './gateway-settings.ts'

type Tell = (message: object) => void

/** What the host app serves itself. */
function own(req: IncomingMessage, res: ServerResponse): void {
  const answers: Record<string, [string, string]> = {
    '/health': ['application/json', '{"host":"app"}'],
    '/.well-known/security.txt': ['text/plain', 'Contact: mailto:security@host.example'],
  }
  const answer = answers[req.url ?? '']
  if (answer === undefined) res.writeHead(404).end()
  else res.writeHead(200, { 'content-type': answer[0] }).end(answer[1])
}

/** The team's own middleware between two steps: it reads the call. */
function between(tell: Tell): express.RequestHandler {
  return (req, _res, next) => {
    const call = getCall(req)
    const [message] = call?.body?.messages ?? []
    const params = message?.params as { name?: string } | undefined
    if (message?.method === 'tools/call') tell({ between: { subject: call?.connection?.identity?.sub, tool: params?.name } })
    next()
  }
}

function steps(gateway: Gateway, tell: Tell): RequestListener {
  const app = express()
  const todo = gateway.server('todo')
  app.use(gateway.discovery, gateway.authorization, gateway.account)
  app.all('/mcp', todo.record, todo.checkBearer, todo.readCall, between(tell), todo.checkPolicy, todo.reserveBudget, todo.attachGrant, todo.proxy)
  return app.use(own)
}

/** Every way to mount a gateway, by name. */
export const hosts: Record<Host, (gateway: Gateway, tell: Tell) => RequestListener> = {
  express5: (gateway) => express().use(gateway).use(own),
  express4: (gateway) => express4().use(gateway).use(own) as unknown as RequestListener,
  connect: (gateway) => connect().use(gateway).use(own) as unknown as RequestListener,
  http: (gateway) => (req, res) => gateway(req, res, (error) => (error === undefined ? own(req, res) : res.writeHead(500).end())),
  steps,
  prefix: (gateway) => express().use(gateway.discovery).use('/gateway', gateway).use(own),
  'stripping proxy': (gateway) => (req, res) => {
    // As a reverse proxy in front does: the process sees the path without the public prefix.
    if (req.url?.startsWith('/gateway/')) req.url = req.url.slice('/gateway'.length)
    gateway(req, res, () => own(req, res))
  },
}
