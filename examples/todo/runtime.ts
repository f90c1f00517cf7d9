import type { IncomingMessage, ServerResponse } from 'node:http'
import { readContract, workerContract } from '@emcy/gateway/worker'
import { type NodeIncomingMessageLike, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler } from '@modelcontextprotocol/server'
import { listen, type Running } from './listen.ts'
import { runAsProcess } from './process.ts'
import { type TodoApi, TokenRefused, todoApi } from './todo-api-client.ts'
import { todoServer } from './todo-tools.ts'

/** Settings of the MCP runtime. */
export interface RuntimeOptions {
  /** Where the Todo API is. */
  apiUrl: string
  /** The worker secret that the gateway sends, or several while one replaces another. */
  secret: string | string[]
}

/** One request's user token, and the API's refusal of it if there was one. */
interface Call {
  accessToken: string | undefined
  refused?: TokenRefused
}

/**
 * The MCP runtime as a request handler: MCP SDK server, both protocol eras, behind the worker contract. It runs as a server of its own (`startRuntime`) or as a
 * local handler in the gateway's process.
 */
export function createRuntime({ apiUrl, secret }: RuntimeOptions): (req: IncomingMessage, res: ServerResponse) => void {
  const guard = workerContract({ secret })
  return (req, res) => {
    guard(req, res, () => {
      const call: Call = { accessToken: readContract(req).accessToken }
      const mcp = createMcpHandler(() => todoServer((signal) => recordRefusal(call, userApi(apiUrl, call, signal))))
      const answer = toNodeHandler({ fetch: async (request, options) => afterFirstByte(call, await mcp.fetch(request, options)) })
      void answer(req as NodeIncomingMessageLike, res)
    })
  }
}

function userApi(apiUrl: string, { accessToken }: Call, signal: AbortSignal): TodoApi {
  if (!accessToken) throw new Error('The gateway sent no access token for this call')
  return todoApi(apiUrl, accessToken, signal)
}

/** Notes on the call that the API refused its token, and lets the tool fail as before. */
function recordRefusal(call: Call, api: TodoApi): TodoApi {
  const noting = <A extends unknown[], T>(method: (...args: A) => Promise<T>) => {
    return (...args: A) =>
      method(...args).catch((error) => {
        if (error instanceof TokenRefused) call.refused = error
        throw error
      })
  }
  return { list: noting(api.list), add: noting(api.add), complete: noting(api.complete), remove: noting(api.remove) }
}

/**
 * Rule 5 of the worker contract: the API's refusal of the token becomes the status of this answer, so that the gateway refreshes the token and tries again. A tool's
 * exception alone would be a result with status 200. So the head waits for the first byte of the body: later than that the status cannot change.
 */
async function afterFirstByte(call: Call, response: Response): Promise<Response> {
  if (!response.body) return response
  const reader = response.body.getReader()
  const first = await reader.read()
  if (call.refused) {
    await reader.cancel()
    const { status, challenge } = call.refused
    return new Response(null, { status, ...(challenge ? { headers: { 'WWW-Authenticate': challenge } } : {}) })
  }
  const body = new ReadableStream({
    start: (controller) => (first.done ? controller.close() : controller.enqueue(first.value)),
    pull: async (controller) => {
      const { done, value } = await reader.read()
      if (done) controller.close()
      else controller.enqueue(value)
    },
    cancel: (reason) => reader.cancel(reason),
  })
  return new Response(body, response)
}

/** Starts the runtime on loopback; its MCP endpoint is `/mcp` there, as every other path: the contract comes before any routing. Port 0: the kernel chooses. */
export async function startRuntime({ port, ...options }: RuntimeOptions & { port: number }): Promise<Running> {
  const handler = createRuntime(options)
  const { server, url, close } = await listen(port)
  server.on('request', handler)
  return { url, close }
}

if (import.meta.main) {
  await runAsProcess((setting) => startRuntime({ port: Number(setting('PORT')), apiUrl: setting('API_URL'), secret: setting('WORKER_SECRET') }))
}
