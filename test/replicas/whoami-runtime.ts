// An MCP runtime whose one tool says whose downstream token came with the call; a token that is over is refused, as an API would.
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { readContract, workerContract } from '@emcy/gateway/worker'
import { NodeStreamableHTTPServerTransport, toNodeHandler } from '@modelcontextprotocol/node'
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server'
import { createRemoteJWKSet, jwtVerify } from 'jose'
import { listen } from '../../examples/todo/listen.ts'
import { runAsProcess } from '../../examples/todo/process.ts'

interface Caller {
  sub: string
}

const callers = new WeakMap<IncomingMessage, Caller>()

function whoami(callerOf: () => Caller | undefined): McpServer {
  const server = new McpServer({ name: 'whoami', version: '1.0.0' })
  server.registerTool('whoami', { description: 'Whose token came with this call' }, () => ({ content: [{ type: 'text', text: callerOf()?.sub ?? 'nobody' }] }))
  return server
}

/** Sessions of the legacy revisions, each with a transport of its own; what has no session is answered without. */
function sessions() {
  const open = new Map<string, { transport: NodeStreamableHTTPServerTransport; latest: { caller: Caller | undefined } }>()
  return async (req: IncomingMessage, res: ServerResponse, body: { method?: string } | undefined): Promise<boolean> => {
    const known = open.get(String(req.headers['mcp-session-id']))
    if (known) {
      // One call of a session at a time in these tests.
      known.latest.caller = callers.get(req)
      await known.transport.handleRequest(req, res, body)
      return true
    }
    if (req.headers['mcp-session-id'] !== undefined) {
      res.writeHead(404).end()
      return true
    }
    if (body?.method !== 'initialize') return false
    const latest = { caller: callers.get(req) }
    const transport = new NodeStreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID,
      enableJsonResponse: true,
      onsessioninitialized: (id) => void open.set(id, { transport, latest }),
    })
    await whoami(() => latest.caller).connect(transport)
    await transport.handleRequest(req, res, body)
    return true
  }
}

async function bodyOf(req: IncomingMessage): Promise<{ method?: string } | undefined> {
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  const text = Buffer.concat(chunks).toString()
  return text === '' ? undefined : (JSON.parse(text) as { method?: string })
}

await runAsProcess(async (setting) => {
  const [issuer, audience] = [setting('ISSUER'), setting('AUDIENCE')]
  const keys = createRemoteJWKSet(new URL(`${issuer}/jwks`))
  const guard = workerContract({ secret: setting('WORKER_SECRET') })
  const inSession = sessions()
  const { server, url, close } = await listen(Number(setting('PORT')))

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { accessToken } = readContract(req)
    const body = await bodyOf(req)
    if (accessToken !== undefined) {
      try {
        const { payload } = await jwtVerify(accessToken, keys, { issuer, audience, typ: 'at+jwt' })
        callers.set(req, { sub: String(payload.sub) })
      } catch {
        // Rule 5 of the worker contract: so the gateway knows that the token is over.
        return void res.writeHead(401, { 'www-authenticate': 'Bearer error="invalid_token"' }).end()
      }
    }
    if (await inSession(req, res, body)) return
    const handler = toNodeHandler(createMcpHandler(() => whoami(() => callers.get(req))))
    await handler(req as never, res, body)
  }
  server.on('request', (req, res) =>
    guard(req, res, () => {
      serve(req, res).catch((error: unknown) => {
        console.error(error)
        res.destroy()
      })
    }),
  )
  return { url, close }
})
