import { randomBytes } from 'node:crypto'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Identity, RuntimeHandler, ServerConfig } from '../../src/config.ts'
import { openConnection, redeemCode } from '../../src/connections/connections.ts'
import type { Deps } from '../../src/deps.ts'
import { createDownstream, type Downstream } from '../../src/grants/downstream.ts'
import { ownGrantKey, sharedGrantKey } from '../../src/grants/grant-key.ts'
import { saveGrant } from '../../src/grants/grants.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { s256Challenge } from '../../src/lib/pkce.ts'
import { subjectKey } from '../../src/lib/subject-key.ts'
import type { LogEvent, McpRequestEvent } from '../../src/log/events.ts'
import { createServerSteps, type ServerSteps } from '../../src/mcp/mcp.ts'
import type { GatewayOptions, ServerOptions } from '../../src/options/gateway-options.ts'
import { parseOptions } from '../../src/options/options.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'

const verifier = 'verifier-of-at-least-forty-three-characters-0123'
export const workerSecret = 'the-secret-of-the-worker'
export const publicUrl = 'https://mcp.example.com'

export interface WorldOptions {
  runtime: string | string[] | RuntimeHandler
  gateway?: Partial<Omit<GatewayOptions, 'servers' | 'store' | 'secrets' | 'replicas'>>
  server?: Partial<ServerOptions>
  /** Puts something around the store, to look at what is asked of it. */
  around?: (store: Store) => Store
  /** What no option says. */
  change?: Partial<ServerConfig>
  /** Of the provider; without one there, nothing answers. */
  issuer?: string
}

export interface Connected {
  token: string
  refreshToken: string
  connectionId: string
  grantKey: string | undefined
}

/** An answer as it came over the wire. */
export interface Answer {
  status: number
  headers: IncomingHttpHeaders
  bytes: Buffer
  text: string
  // biome-ignore lint/suspicious/noExplicitAny: answers of many shapes, looked at by expectations only
  json: any
}

/** The MCP endpoint of one server on a real port, over a real store and key ring; who may call is opened in the store directly. */
export interface World {
  port: number
  steps: ServerSteps
  deps: Deps & { downstreams: Record<string, Downstream> }
  events: LogEvent[]
  time: { ahead: number }
  connect(user?: string, options?: { clientId?: string; scopes?: string[]; server?: string; tokens?: GivenTokens }): Promise<Connected>
  /** Sends bytes, or an object as JSON, and reads the whole answer. */
  ask(token: string | undefined, body?: unknown, headers?: Record<string, string>, method?: string, path?: string): Promise<Answer>
  /** Sends, and gives the answer as soon as its head is there. */
  open(token: string, body: unknown, headers?: Record<string, string>, method?: string): Promise<{ response: IncomingMessage; leave(): void }>
  /** The next event of a request on the endpoint. */
  nextEvent(): Promise<McpRequestEvent>
  close(): Promise<void>
}

export interface GivenTokens {
  accessToken: string
  refreshToken?: string | undefined
  expiresIn?: number | undefined
}

export const call = (name = 'list_todos', args: object = {}, id: unknown = 7) => ({
  jsonrpc: '2.0',
  id,
  method: 'tools/call',
  params: { name, arguments: args },
})
export const rpc = (method: string, id: unknown = 7, params?: object) => ({ jsonrpc: '2.0', id, method, ...(params && { params }) })
export const meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
/** A request of revision 2026-07-28, and the headers that go with it. */
export const modern = (method: string, params: object = {}, id: unknown = 7) => rpc(method, id, { ...params, _meta: meta })
export const mirrored = (method: string, name?: string) => ({
  'mcp-protocol-version': '2026-07-28',
  'mcp-method': method,
  ...(name === undefined ? {} : { 'mcp-name': name }),
})

export async function startWorld(options: WorldOptions): Promise<World> {
  const time = { ahead: 0 }
  const clock = () => Date.now() + time.ahead
  const events: LogEvent[] = []
  const waiting: ((event: McpRequestEvent) => void)[] = []
  const { config } = parseOptions({
    publicUrl,
    downstream: {
      issuer: options.issuer ?? 'http://127.0.0.1:9',
      clientId: 'gateway',
      clientSecret: 'the-gateway-s-secret-at-the-provider',
      scopes: ['openid', 'todos.read', 'todos.write', 'todos.admin'],
      scopeMap: {},
    },
    ...options.gateway,
    servers: {
      todo: { path: '/mcp', runtime: options.runtime, workerSecret, scopes: ['todos.read', 'todos.write'], ...options.server } as ServerOptions,
      other: { path: '/other', runtime: 'http://127.0.0.1:9/mcp', workerSecret, scopes: ['todos.read'] },
    },
  })
  const store = memoryStore({ clock })
  const random = (bytes: number) => randomBytes(bytes).toString('base64url')
  const deps = {
    config,
    clock,
    random,
    store: options.around?.(store) ?? store,
    keys: createKeyRing(['a-secret-of-at-least-thirty-two-characters']),
    guardedFetch: () => Promise.reject(new Error('nothing is fetched here')),
    log: {
      dropped: 0,
      write(event: LogEvent) {
        events.push(event)
        if (event.event === 'mcp.request') waiting.shift()?.(event)
      },
    },
    downstreams: {} as Record<string, Downstream>,
  }
  for (const provider of Object.values(config.providers)) deps.downstreams[provider.id] = createDownstream(provider, { random, clock })
  const server: ServerConfig = { ...(config.servers.todo as ServerConfig), ...options.change }
  const steps = createServerSteps(deps, server)
  const listener: Server = createServer((req, res) => steps.handler(req, res, (error) => void res.destroy(error as Error)))
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
  const { port } = listener.address() as AddressInfo

  const world: World = {
    port,
    steps,
    deps,
    events,
    time,
    async connect(user = 'ann', { clientId = 'client-1', scopes = ['todos.read', 'todos.write'], server: serverId = 'todo', tokens } = {}) {
      const target = config.servers[serverId] as typeof server
      const connectionId = random(16)
      const identity: Identity | undefined =
        target.provider === undefined ? undefined : { issuer: 'https://login.example.com', sub: user, claims: { role: ['support'] } }
      const grantKey = grantKeyOf(target.provider, target.grants, identity, connectionId, serverId)
      const wanted = {
        identity,
        client: { clientId, name: 'A client', trust: 'document' as const },
        server: target,
        scopes,
        grantKey,
        provider: target.provider,
        code: { challenge: s256Challenge(verifier), redirectUri: 'http://127.0.0.1:1/callback' },
        connectionId,
      }
      const { code } = await openConnection(deps, wanted)
      if (grantKey !== undefined && identity && target.provider !== undefined) {
        const given = tokens ?? { accessToken: `downstream-of-${user}`, refreshToken: 'downstream-refresh', expiresIn: 3600 }
        await saveGrant(deps, grantKey, { ...given, scopes, identity, provider: target.provider, owner: connectionId, lifeSeconds: 86_400 })
      }
      const { response } = await redeemCode(deps, { code, clientId, verifier })
      return { token: response.access_token, refreshToken: response.refresh_token, connectionId, grantKey }
    },
    open(token, body, headers = {}, method = 'POST') {
      return new Promise((resolve, reject) => {
        const leaving = new AbortController()
        const sent = request(
          { host: '127.0.0.1', port, method, path: '/mcp', headers: headersOf(token, headers), agent: false, signal: leaving.signal },
          (response) => {
            response.on('error', () => {})
            resolve({ response, leave: () => leaving.abort() })
          },
        )
        sent.on('error', reject)
        sent.end(bytesOf(body))
      })
    },
    ask(token, body, headers = {}, method = 'POST', path = '/mcp') {
      return new Promise((resolve, reject) => {
        const sent = request({ host: '127.0.0.1', port, method, path, headers: headersOf(token, headers), agent: false }, (response) => {
          const chunks: Buffer[] = []
          response.on('data', (chunk: Buffer) => chunks.push(chunk))
          response.on('error', reject)
          response.on('end', () => {
            const bytes = Buffer.concat(chunks)
            resolve({ status: response.statusCode ?? 0, headers: response.headers, bytes, text: bytes.toString(), json: jsonOf(bytes) })
          })
        })
        sent.on('error', reject)
        sent.end(bytesOf(body))
      })
    },
    nextEvent: () => new Promise((resolve) => waiting.push(resolve)),
    async close() {
      await steps.close()
      await new Promise<void>((resolve) => {
        listener.close(() => resolve())
        listener.closeAllConnections()
      })
    },
  }
  return world
}

function grantKeyOf(provider: string | undefined, grants: string, identity: Identity | undefined, connectionId: string, serverId: string): string | undefined {
  if (provider === undefined || grants === 'none' || !identity) return undefined
  return grants === 'shared' ? sharedGrantKey(provider, subjectKey(identity), serverId) : ownGrantKey(provider, connectionId)
}

function headersOf(token: string | undefined, headers: Record<string, string>): Record<string, string> {
  return {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...headers,
  }
}

function bytesOf(body: unknown): Buffer | string | undefined {
  return body === undefined || Buffer.isBuffer(body) || typeof body === 'string' ? body : JSON.stringify(body)
}

function jsonOf(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString())
  } catch {
    return undefined
  }
}
