import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { z } from 'zod'

/** A runtime that works, except for the tools that say in their name how they fail. */
export interface MoodyRuntime {
  url: string
  /** Lets the tool `count` report one more step; it waits before each. */
  release(): void
  /** Resolves, with the time on `performance.now()`, when the peer of the latest call of `wait` has left. */
  readonly left: Promise<number>
  /** Resolves when a call of `wait` has arrived. */
  readonly waiting: Promise<void>
  stop(): Promise<void>
  /** On the same port as before. */
  start(): Promise<void>
}

const tools = ['fine', 'count', 'wait', 'die_in_stream', 'die_in_json', 'die_before_head', 'html', 'html_error', 'empty'] as const

/** How the failing tools answer. */
const moods: Record<string, (id: unknown, res: ServerResponse, req: IncomingMessage) => void> = {
  die_in_stream: (id, res) => {
    const progress = { jsonrpc: '2.0', method: 'notifications/message', params: { level: 'info', data: `call ${id} begins` } }
    res.writeHead(200, { 'content-type': 'text/event-stream' })
    res.write(`event: message\ndata: ${JSON.stringify(progress)}\n\n`, () => res.socket?.destroy())
  },
  die_in_json: (_id, res) => {
    res.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' })
    res.write('{"jsonrpc":"2.0",', () => res.socket?.destroy())
  },
  die_before_head: (_id, res) => res.socket?.destroy(),
  html: (_id, res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome to the proxy</h1>'),
  html_error: (_id, res) => res.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'),
  empty: (_id, res) => res.writeHead(200, { 'content-type': 'application/json' }).end(),
}

/** Starts it on loopback. */
export async function startMoodyRuntime(): Promise<MoodyRuntime> {
  let steps = Promise.withResolvers<void>()
  let left = Promise.withResolvers<number>()
  let waiting = Promise.withResolvers<void>()

  const mcp = createMcpHandler(() => {
    const server = new McpServer({ name: 'moody', version: '1.0.0' })
    for (const name of tools) {
      server.registerTool(name, { description: name, inputSchema: z.object({}) }, async (_args, context) => {
        for (let step = 1; name === 'count' && step <= 3; step++) {
          await steps.promise
          steps = Promise.withResolvers<void>()
          const progressToken = context.mcpReq._meta?.progressToken
          if (progressToken !== undefined)
            await context.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress: step, total: 3 } })
        }
        return { content: [{ type: 'text' as const, text: `${name} is done` }] }
      })
    }
    return server
  })
  const answer = toNodeHandler(mcp)

  const listener = async (req: IncomingMessage, res: ServerResponse) => {
    const chunks: Buffer[] = []
    for await (const chunk of req) chunks.push(chunk as Buffer)
    const text = Buffer.concat(chunks).toString()
    const message = (text === '' ? {} : JSON.parse(text)) as { id?: unknown; params?: { name?: string } }
    const name = message.params?.name ?? ''
    if (name === 'wait') {
      const mine = left
      left = Promise.withResolvers<number>()
      res.once('close', () => mine.resolve(performance.now()))
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(': waiting\n\n')
      waiting.resolve()
      waiting = Promise.withResolvers<void>()
      return
    }
    const mood = moods[name]
    if (mood !== undefined) return mood(message.id, res, req)
    await answer(req as NodeIncomingMessageLike, res, text === '' ? undefined : message)
  }

  let server = createServer(listener)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    release: () => steps.resolve(),
    get left() {
      return left.promise
    },
    get waiting() {
      return waiting.promise
    },
    async stop() {
      server.closeAllConnections()
      if (server.listening) await new Promise((closed) => server.close(closed))
    },
    async start() {
      server = createServer(listener)
      await once(server.listen(port, '127.0.0.1'), 'listening')
    },
  }
}
