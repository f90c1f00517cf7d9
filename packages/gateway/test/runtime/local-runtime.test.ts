import type { IncomingMessage, ServerResponse } from 'node:http'
import { pipeline } from 'node:stream'
import { describe, expect, it } from '@jest/globals'
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import express from 'express'
import express4 from 'express4'
import { z } from 'zod'
import type { RuntimeHandler } from '../../src/config.ts'
import type { RuntimeRequest } from '../../src/runtime/contract.ts'
import { localRuntime } from '../../src/runtime/local-runtime.ts'
import { reading } from './http-listener.ts'

const text = '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"who","arguments":{}}}'

const request = (body: string | undefined, more: Partial<RuntimeRequest> = {}): RuntimeRequest => ({
  method: body === undefined ? 'GET' : 'POST',
  headers: {
    host: 'mcp.example.com',
    accept: 'application/json, text/event-stream',
    ...(body !== undefined && { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }),
    'x-emcy-subject': 'ann',
  },
  body: body === undefined ? undefined : Buffer.from(body),
  signal: new AbortController().signal,
  responseStartMs: 5000,
  affinity: undefined,
  ...more,
})

const send = (handler: RuntimeHandler, given: RuntimeRequest) => localRuntime(handler, { url: '/mcp', encrypted: true }).send(given)

async function whole(handler: RuntimeHandler, given = request(text)): Promise<{ status: number; type: string | undefined; body: string }> {
  const { status, headers, body } = await send(handler, given)
  return { status, type: headers['content-type'], body: await reading(body).end() }
}

function newServer(): McpServer {
  const server = new McpServer({ name: 'local', version: '1.0.0' })
  server.registerTool('who', { inputSchema: z.object({}) }, async () => ({ content: [{ type: 'text' as const, text: 'done' }] }))
  return server
}

describe('worker contract, rule 6: a handler in this process', () => {
  it('sees the request as it would over HTTP', async () => {
    let seen: IncomingMessage | undefined
    const answer = await whole(async (req, res) => {
      seen = req
      const chunks: Buffer[] = []
      for await (const chunk of req) chunks.push(chunk as Buffer)
      res.writeHead(201, 'Made', ['x-a', '1', 'content-type', 'text/plain'])
      res.end(Buffer.concat(chunks))
    })
    expect(answer).toEqual({ status: 201, type: 'text/plain', body: text })
    expect([seen?.method, seen?.url, seen?.httpVersion, seen?.headers['x-emcy-subject']]).toEqual(['POST', '/mcp', '1.1', 'ann'])
    expect(seen?.rawHeaders).toContain('x-emcy-subject')
  })

  it('MCP SDK v2: NodeStreamableHTTPServerTransport, as JSON and as a stream', async () => {
    for (const [enableJsonResponse, type] of [
      [true, 'application/json'],
      [false, 'text/event-stream'],
    ] as const) {
      const answer = await whole(async (req, res) => {
        const transport = new NodeStreamableHTTPServerTransport({ sessionIdGenerator: undefined, enableJsonResponse })
        await newServer().connect(transport)
        await transport.handleRequest(req, res)
      })
      expect(answer).toMatchObject({ status: 200, type, body: expect.stringContaining('"done"') })
    }
  })

  it('MCP SDK v2: createMcpHandler by toNodeHandler', async () => {
    const handler = toNodeHandler(createMcpHandler(() => newServer()))
    expect(await whole(handler as RuntimeHandler)).toMatchObject({ status: 200, body: expect.stringContaining('"done"') })
  })

  for (const [name, make] of [
    ['Express 5', express],
    ['Express 4', express4 as unknown as typeof express],
  ] as const) {
    it(`${name} with its body parser, and its own answer to what it does not know`, async () => {
      const app = make()
      app.use(make.json())
      app.post('/mcp', (req, res) => {
        res.set('x-subject', req.get('x-emcy-subject')).status(200).json({ got: req.body.id, secure: req.secure, ip: req.ip })
      })
      expect(await whole(app)).toEqual({ status: 200, type: 'application/json; charset=utf-8', body: '{"got":1,"secure":true,"ip":"127.0.0.1"}' })
      expect(await whole(app, request(undefined))).toMatchObject({ status: 404 })
      app.post('/throws', () => {
        throw new Error('inside')
      })
    })

    it(`${name} streams event by event`, async () => {
      const app = make()
      let more = () => {}
      app.post('/mcp', (_req, res) => {
        res.set('content-type', 'text/event-stream')
        res.flushHeaders()
        more = () => {
          res.write('data: 2\n\n')
          more = () => res.end('data: 3\n\n')
        }
        res.write('data: 1\n\n')
      })
      const { body } = await send(app, request(text))
      const seen = reading(body)
      expect(await seen.until('data: 1\n\n')).toBe('data: 1\n\n')
      more()
      expect(await seen.until('2\n\n')).toBe('data: 1\n\ndata: 2\n\n')
      more()
      expect(await seen.end()).toBe('data: 1\n\ndata: 2\n\ndata: 3\n\n')
    })
  }

  it('gives finish and close as node:http does', async () => {
    const events: string[] = []
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    await whole((_req, res) => {
      for (const name of ['prefinish', 'finish', 'close']) res.on(name, () => events.push(name))
      res.on('close', () => {
        expect([res.writableEnded, res.writableFinished, res.destroyed]).toEqual([true, true, true])
        resolve()
      })
      res.setHeader('content-type', 'application/json')
      res.end('{}', () => events.push('callback'))
    })
    await closed
    expect(events).toEqual(['prefinish', 'callback', 'finish', 'close'])
  })

  it('TR-32: sees a client that leaves, before the head and in a stream', async () => {
    for (const writes of [false, true]) {
      const leaving = new AbortController()
      const { promise: closed, resolve } = Promise.withResolvers<boolean>()
      const { promise: arrived, resolve: arrive } = Promise.withResolvers<void>()
      const sent = send(
        (req, res) => {
          req.resume()
          res.on('close', () => resolve(res.writableFinished))
          if (writes) res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
          arrive()
        },
        request(text, { signal: leaving.signal }),
      )
      const outcome = sent.then(
        ({ status }) => status,
        (error: { code: string }) => error.code,
      )
      await arrived
      leaving.abort()
      expect(await closed).toBe(false)
      expect(await outcome).toBe(writes ? 200 : 'runtime_died')
    }
  })

  it('holds a handler back that writes faster than the client reads', async () => {
    let written = 0
    const { promise: drained, resolve } = Promise.withResolvers<void>()
    const { body } = await send((_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      while (res.write(Buffer.alloc(16_384, 'x'))) written++
      res.once('drain', () => {
        resolve()
        res.end('the end')
      })
    }, request(text))
    expect(written).toBeLessThan(20)
    const seen = reading(body)
    await drained
    expect((await seen.end()).endsWith('xxxthe end')).toBe(true)
  })

  it('a throw, a rejection, silence and a closed response are failures of the runtime', async () => {
    const failures: [RuntimeHandler, string][] = [
      [
        () => {
          throw new Error('inside')
        },
        'runtime_died',
      ],
      [async () => Promise.reject(new Error('inside')), 'runtime_died'],
      [(_req, res) => res.destroy(), 'runtime_died'],
      [() => {}, 'runtime_timeout'],
    ]
    for (const [handler, code] of failures) {
      const outcome = await send(handler, request(text, { responseStartMs: 30 })).then(
        () => 'answered',
        (error: { code: string }) => error.code,
      )
      expect(outcome).toBe(code)
    }
  })

  it('a handler that fails in its stream breaks the stream off', async () => {
    const { body } = await send((_req, res: ServerResponse) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      setImmediate(() => res.destroy())
    }, request(text))
    const failed = new Promise((resolve) => body.once('error', resolve))
    body.resume()
    expect(await failed).toMatchObject({ code: 'runtime_died' })
    expect(body.readableEnded).toBe(false)
  })

  it('takes a stream that is piped into it', async () => {
    const { Readable } = await import('node:stream')
    expect(
      await whole((_req, res) => {
        res.setHeader('content-type', 'text/plain')
        pipeline(Readable.from([Buffer.from('a'), Buffer.from('b')]), res, () => {})
      }),
    ).toEqual({ status: 200, type: 'text/plain', body: 'ab' })
  })
})
