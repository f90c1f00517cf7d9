import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { type AddressInfo, connect as connectSocket, createServer as createSocketServer } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import { z } from 'zod'
import type { RuntimeHandler } from '../../src/config.ts'
import type { Middleware } from '../../src/http/middleware.ts'
import { getCall } from '../../src/mcp/call.ts'
import { type HttpListener, reading, startHttpListener } from '../runtime/http-listener.ts'
import { call, mirrored, modern, rpc, startWorld, type World, workerSecret } from './given.ts'

const open: { close(): unknown }[] = []
let runtime: HttpListener
beforeEach(async () => {
  runtime = await startHttpListener()
  open.push(runtime)
})
afterEach(async () => {
  for (const one of open.splice(0).reverse()) await one.close()
})

async function start(given: Parameters<typeof startWorld>[0]): Promise<World> {
  const world = await startWorld(given)
  open.push(world)
  return world
}

/** Serves a listener of the test's own, and sends one call to it. */
async function through(listener: RequestListener, token: string, body: unknown = call(), headers: Record<string, string> = {}) {
  const server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  open.push({ close: () => server.close(() => {}).closeAllConnections() })
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  return { status: response.status, text: await response.text() }
}

const inOrder = ({ steps }: World, between?: Middleware): Middleware[] => {
  const { record, checkBearer, readCall, checkPolicy, reserveBudget, attachGrant, proxy } = steps
  return [record, checkBearer, readCall, ...(between ? [between] : []), checkPolicy, reserveBudget, attachGrant, proxy]
}

describe('the steps of an endpoint', () => {
  const frameworks: [string, (steps: Middleware[]) => RequestListener][] = [
    ['Express 5', (steps) => express().all('/mcp', ...(steps as express.RequestHandler[]))],
    ['Express 4', (steps) => (express4 as unknown as typeof express)().all('/mcp', ...(steps as express.RequestHandler[]))],
    ['Connect', (steps) => steps.reduce<connect.Server>((app, step) => app.use('/mcp', step), connect()) as unknown as RequestListener],
  ]
  it.each(frameworks)('mount in %s, with middleware of the team between that reads the call and adds a header', async (_name, mount) => {
    const world = await start({ runtime: runtime.url })
    const { token } = await world.connect()
    const between: Middleware = (req, _res, next) => {
      const known = getCall(req)
      req.headers['x-tenant'] = `${known?.connection?.identity?.sub} ${known?.body?.messages[0]?.method} ${known?.scopes?.length}`
      next()
    }
    expect((await through(mount(inOrder(world, between)), token)).status).toBe(200)
    expect(runtime.seen[0]?.req.headers['x-tenant']).toBe('ann tools/call 2')
    expect(getCall(runtime.seen[0]?.req as never)).toBeUndefined()
  })

  it('a body that the host read as bytes is taken as it is; one that it parsed is an error of the host', async () => {
    const world = await start({ runtime: runtime.url })
    const { token } = await world.connect()
    const mount = (parser: express.RequestHandler) =>
      express()
        .use(parser)
        .all('/mcp', ...(inOrder(world) as express.RequestHandler[]))
    expect((await through(mount(express.raw({ type: '*/*' })), token)).status).toBe(200)
    expect(JSON.parse(String(runtime.seen[0]?.body))).toEqual(call())
    const ended = world.nextEvent()
    const { status, text } = await through(mount(express.json()), token)
    expect([status, JSON.parse(text).error.code]).toEqual([500, -32603])
    expect(text).not.toContain('express')
    expect((await ended).reason).toContain('express.json()')
  })

  it('a step that is left out or comes too early is not passed over', async () => {
    const world = await start({ runtime: runtime.url })
    const { token } = await world.connect()
    const all = inOrder(world)
    for (let left = 1; left < all.length - 1; left++) {
      const ended = world.nextEvent()
      const { status } = await through(express().all('/mcp', ...(all.filter((_, index) => index !== left) as express.RequestHandler[])), token)
      expect([left, status]).toEqual([left, left < 3 ? 500 : 200])
      expect((await ended).error).toBe('internal_error')
    }
    expect((await through(express().all('/mcp', ...(all.slice(1) as express.RequestHandler[])), token)).status).toBe(500)
    expect(world.events).toContainEqual(expect.objectContaining({ event: 'gateway.error', message: expect.stringContaining('checkBearer') }))
    expect(runtime.seen).toHaveLength(0)
  })

  it('an error of the team’s middleware is the framework’s to answer, and still ends the call', async () => {
    const world = await start({ runtime: runtime.url })
    const { token } = await world.connect()
    const ended = world.nextEvent()
    const app = express().all('/mcp', ...(inOrder(world, (_req, _res, next) => next(new Error('of the team'))) as express.RequestHandler[]))
    app.use(((_error, _req, res, _next) => void res.status(418).end()) as express.ErrorRequestHandler)
    expect((await through(app, token)).status).toBe(418)
    expect(await ended).toMatchObject({ httpStatus: 418, method: 'tools/call' })
  })
})

describe('record: one event a request', () => {
  it('says who, what, how much and how long', async () => {
    const world = await start({ runtime: runtime.url })
    const { token, connectionId } = await world.connect()
    const ended = world.nextEvent()
    const body = JSON.stringify(modern('tools/call', { name: 'list' }))
    const answer = await world.ask(token, body, { ...mirrored('tools/call', 'list'), traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' })
    expect(await ended).toEqual({
      event: 'mcp.request',
      level: 'info',
      requestId: runtime.seen[0]?.req.headers['x-emcy-request-id'],
      traceId: '0af7651916cd43dd8448eb211c80319c',
      server: 'todo',
      subject: 'https://login.example.com|ann',
      clientId: 'client-1',
      connectionId,
      httpMethod: 'POST',
      method: 'tools/call',
      tool: 'list',
      revision: '2026-07-28',
      decision: 'allow',
      rule: 'default',
      httpStatus: 200,
      bytesIn: Buffer.byteLength(body),
      bytesOut: answer.bytes.length,
      ms: {
        total: expect.any(Number),
        authorize: expect.any(Number),
        policy: expect.any(Number),
        budget: expect.any(Number),
        grant: expect.any(Number),
        runtime: expect.any(Number),
      },
    })
    expect(world.events).toHaveLength(1)
  })

  it('no token, no argument and no answer of the runtime stands in any event', async () => {
    const world = await start({ runtime: runtime.url, server: { policy: { default: 'allow', rules: [{ deny: ['bad'] }] } } })
    const { token, refreshToken } = await world.connect()
    runtime.answer = (_req, res) => void res.writeHead(502, { 'content-type': 'text/html' }).end('planted-answer')
    await world.ask(token, call('x', { secret: 'planted-argument' }))
    await world.ask(token, call('bad', { secret: 'planted-argument' }))
    await world.ask(`${token}x`, call(), {}, 'POST', '/mcp?access_token=planted-query')
    await world.ask(token, '{"planted-body"')
    const text = JSON.stringify(world.events)
    for (const secret of ['planted', token, refreshToken, 'downstream-of-ann', workerSecret, 'emcy_at_']) expect(text).not.toContain(secret)
    expect(world.events.length).toBeGreaterThanOrEqual(3)
  })
})

describe('worker contract, rules 1, 2 and 6', () => {
  /** A runtime that is a bare socket, so that what is seen is what came. */
  async function rawRuntime(): Promise<{ url: string; seen: Promise<string> }> {
    const { promise: seen, resolve } = Promise.withResolvers<string>()
    const server = createSocketServer((socket) => {
      let bytes = ''
      socket.on('data', (chunk) => {
        bytes += chunk.toString('latin1')
        const [head, body] = bytes.split('\r\n\r\n')
        if (body === undefined || body.length < Number(/content-length: (\d+)/i.exec(head as string)?.[1] ?? 0)) return
        resolve(bytes)
        socket.end('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 36\r\n\r\n{"jsonrpc":"2.0","id":7,"result":{}}')
      })
    })
    await once(server.listen(0, '127.0.0.1'), 'listening')
    open.push({ close: () => server.close() })
    return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`, seen }
  }

  it('BC-4 BC-5: over the wire, under Expect: 100-continue, there is nothing but the contract', async () => {
    const raw = await rawRuntime()
    const world = await start({ runtime: raw.url })
    const { token } = await world.connect()
    const body = JSON.stringify(call())
    const head = [
      'POST /mcp?access_token=spoofed HTTP/1.1',
      'Host: evil.example',
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      'Expect: 100-continue',
      'Connection: keep-alive, X-Hop, mcp-name',
      'X-Hop: spoofed',
      'X-Emcy-Subject: spoofed',
      'x_emcy_subject: spoofed',
      'X-EMCY_Worker-Secret: spoofed',
      'X-Emcy-Access-Token: spoofed',
      'X-Emcy-Access-Token: spoofed twice',
      'Cookie: a=spoofed',
      'Proxy-Authorization: spoofed',
      'Forwarded: for=spoofed',
      'X-Forwarded-For: spoofed',
      'X-Forwarded-Host: spoofed',
      'Accept: application/json, text/event-stream',
      'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      'Transfer-Encoding: chunked',
    ]
    const socket = connectSocket(world.port, '127.0.0.1')
    open.push({ close: () => socket.destroy() })
    socket.write(`${head.join('\r\n')}\r\n\r\n`)
    const answer = reading(socket)
    await answer.until('100 Continue')
    socket.write(`${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`)
    await answer.until('"result":{}')
    const [lines, sent] = (await raw.seen).split('\r\n\r\n')
    const [first, ...headers] = String(lines).split('\r\n')
    expect([first, sent]).toEqual(['POST /mcp HTTP/1.1', body])
    const seen = headers.map((line) => line.toLowerCase().replace(/^(x-emcy-request-id): [\w-]{16}$/, '$1: 16 characters')).sort()
    expect(seen).toEqual(
      [
        'accept: application/json, text/event-stream',
        'accept-encoding: identity',
        'connection: keep-alive',
        `content-length: ${body.length}`,
        'content-type: application/json',
        `host: ${new URL(raw.url).host}`,
        'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'x-emcy-access-token: downstream-of-ann',
        'x-emcy-client-id: client-1',
        'x-emcy-request-id: 16 characters',
        'x-emcy-scopes: todos.read todos.write',
        'x-emcy-subject: ann',
        `x-emcy-worker-secret: ${workerSecret}`,
        'x-forwarded-host: mcp.example.com',
        'x-forwarded-proto: https',
      ].sort(),
    )
  })

  it('rule 3: of several secrets the first is sent, under the name the server gives it', async () => {
    const world = await start({
      runtime: runtime.url,
      server: { workerSecret: ['the-new-secret-of-the-worker', 'the-old-secret-of-the-worker'], headers: { workerSecret: 'x-worker' } },
    })
    const { token } = await world.connect()
    await world.ask(token, call(), { 'x-worker': 'spoofed', X_Worker: 'spoofed' })
    expect(runtime.seen[0]?.req.headers).toMatchObject({ 'x-worker': 'the-new-secret-of-the-worker' })
    expect(runtime.seen[0]?.req.headers).not.toHaveProperty('x_worker')
  })

  it('rule 6: a handler in this process gets the same request, in either era, and streams', async () => {
    const seen: Record<string, unknown>[] = []
    const handler = toNodeHandler(
      createMcpHandler(() => {
        const server = new McpServer({ name: 'local', version: '1.0.0' })
        server.registerTool('count', { inputSchema: z.object({ to: z.number() }) }, async ({ to }) => ({
          content: [{ type: 'text' as const, text: `counted to ${to}` }],
        }))
        return server
      }),
    )
    const world = await start({
      runtime: ((req, res) => {
        seen.push({ ...req.headers })
        return handler(req as NodeIncomingMessageLike, res)
      }) as RuntimeHandler,
    })
    const { token } = await world.connect()
    const legacy = await world.ask(token, call('count', { to: 3 }), { 'x-emcy-subject': 'spoofed', 'x-forwarded-for': 'spoofed' })
    expect([legacy.status, legacy.text]).toEqual([200, expect.stringContaining('counted to 3')])
    const inModern = await world.ask(token, modern('tools/call', { name: 'count', arguments: { to: 4 } }), mirrored('tools/call', 'count'))
    expect([inModern.status, inModern.text]).toEqual([200, expect.stringContaining('counted to 4')])
    expect((await world.ask(token, modern('server/discover'), mirrored('server/discover'))).text).toContain('2026-07-28')
    expect((await world.ask(token, rpc('ping'))).text).toContain('"result"')
    for (const headers of seen) {
      expect(headers).toMatchObject({
        'x-emcy-worker-secret': workerSecret,
        'x-emcy-subject': 'ann',
        'x-emcy-access-token': 'downstream-of-ann',
        host: 'mcp.example.com',
      })
      expect(JSON.stringify(headers)).not.toMatch(/spoofed|emcy_at_/)
    }
  })
})
