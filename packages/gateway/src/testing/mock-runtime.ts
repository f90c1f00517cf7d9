import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** One request as it reached the runtime. */
export interface RuntimeCall {
  method: string
  url: string
  headers: IncomingHttpHeaders
  /** Names and values as they came over the wire, repeated ones included. */
  rawHeaders: string[]
  /** Byte for byte. */
  body: Buffer
}

/** Options of {@link mockRuntime}. */
export interface MockRuntimeOptions {
  /** Tools in `tools/list`; one called `echo`, which gives back its arguments, when left out. */
  tools?: { name: string; description?: string; inputSchema?: object; annotations?: object }[]
  /** Answers `tools/call` with the text of a result; the arguments as JSON when left out. A throw becomes an `isError` result. */
  call?: (name: string, args: unknown, call: RuntimeCall) => string | Promise<string>
}

/** A running mock runtime. */
export interface MockRuntime {
  /** Its MCP endpoint, for `servers.NAME.runtime`. */
  url: string
  /** What reached it, in order. */
  calls: RuntimeCall[]
  close(): Promise<void>
}

interface Request {
  id?: string | number
  method?: string
  params?: { name?: string; arguments?: unknown; protocolVersion?: string }
}

/**
 * Starts a small MCP runtime on a free loopback port, for tests of one's own gateway set-up: it answers `initialize`, `ping`, `tools/list` and `tools/call` of every
 * protocol revision without sessions, and keeps what reached it. It checks no worker secret: a test reads it in `calls`.
 */
export async function mockRuntime(options: MockRuntimeOptions = {}): Promise<MockRuntime> {
  const calls: RuntimeCall[] = []
  const server = createServer((req, res) => {
    answer(req, res, calls, options).catch((error: unknown) => res.destroy(error instanceof Error ? error : new Error(String(error))))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}/mcp`,
    calls,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function answer(req: IncomingMessage, res: ServerResponse, calls: RuntimeCall[], options: MockRuntimeOptions): Promise<void> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  const { method = '', url = '', headers, rawHeaders } = req
  const call: RuntimeCall = { method, url, headers, rawHeaders, body: Buffer.concat(chunks) }
  calls.push(call)
  if (method !== 'POST') return void res.writeHead(405, { allow: 'POST' }).end()
  const body = JSON.parse(call.body.toString()) as Request | Request[]
  const requests = [body].flat().filter((request) => request.id !== undefined && request.method !== undefined)
  if (requests.length === 0) return void res.writeHead(202).end()
  const answers = await Promise.all(requests.map(async (request) => ({ jsonrpc: '2.0', id: request.id, ...(await outcomeOf(request, call, options)) })))
  res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(Array.isArray(body) ? answers : answers[0]))
}

async function outcomeOf({ method, params }: Request, call: RuntimeCall, options: MockRuntimeOptions): Promise<object> {
  // From 2026-07-28 on a result says that it is one (JR-14).
  const modern = call.headers['mcp-protocol-version'] !== undefined && String(call.headers['mcp-protocol-version']) >= '2026-07-28'
  const complete = modern ? { resultType: 'complete' } : {}
  const about = { capabilities: { tools: {} }, serverInfo: { name: 'mock-runtime', version: '1.0.0' } }
  switch (method) {
    case 'initialize':
      return { result: { protocolVersion: params?.protocolVersion ?? '2025-11-25', ...about } }
    case 'server/discover':
      return { result: { ...complete, supportedVersions: ['2026-07-28'], ...about, ttlMs: 0, cacheScope: 'private' } }
    case 'ping':
      return { result: { ...complete } }
    case 'tools/list':
      return { result: { ...complete, tools: toolsOf(options), ...(modern ? { ttlMs: 0, cacheScope: 'private' } : {}) } }
    case 'tools/call':
      return toolsOf(options).some(({ name }) => name === params?.name)
        ? { result: { ...complete, ...(await resultOf(params?.name ?? '', params?.arguments, call, options)) } }
        : { error: { code: -32602, message: `Unknown tool: ${params?.name}` } }
    default:
      return { error: { code: -32601, message: 'Method not found' } }
  }
}

function toolsOf({ tools = [{ name: 'echo', description: 'Gives back its arguments' }] }: MockRuntimeOptions) {
  return tools.map((tool) => ({ inputSchema: { type: 'object' }, ...tool }))
}

async function resultOf(name: string, args: unknown, call: RuntimeCall, options: MockRuntimeOptions): Promise<object> {
  try {
    const text = options.call ? await options.call(name, args, call) : JSON.stringify(args ?? {})
    return { content: [{ type: 'text', text }] }
  } catch (error) {
    return { content: [{ type: 'text', text: error instanceof Error ? error.message : String(error) }], isError: true }
  }
}
