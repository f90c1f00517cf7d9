import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensurePythonEnv } from '../../scripts/python-env.mjs'
import type { GatewaySettings, Host, ServerSettings } from './gateway-settings.ts'
import { nativeRedirectUri } from './oauth-provider.ts'
import { freePorts } from './ports.ts'
import { type ServerProcess, startModule, startProgram } from './process.ts'
import { type SeenExchange, startRecordingProxy } from './recording-proxy.ts'

/** What a test may say of its Todo world. */
export interface TodoOptions {
  /** `sdk`: the MCP SDK runtime in a process of its own; `local`: the same as a handler in the gateway; `fastmcp`: Python; or a URL of the test's own runtime. */
  runtime?: 'sdk' | 'local' | 'fastmcp' | string
  /** What the gateway is mounted in; with `prefix` and `stripping proxy` it is public below `/gateway`. */
  host?: Host
  /** Members of the gateway's options. */
  gateway?: Partial<Omit<GatewaySettings, 'port' | 'host' | 'publicUrl' | 'apiUrl' | 'servers'>>
  /** Members of the one server `todo`. */
  server?: Partial<ServerSettings>
  /** Further servers. */
  servers?: Record<string, ServerSettings>
  /** Members of the downstream profile. */
  downstream?: object
  /** Whether a proxy in front of the gateway notes every exchange. */
  recorded?: boolean
  /** Further providers by name, which may be started now that the gateway's public URL is known; the Todo team's own goes by `default` then. */
  providers?: (publicUrl: string) => Promise<Record<string, object>>
  /** An https URL that a proxy, which the test leaves out, would serve the gateway at. */
  publicUrl?: string
  /** Certificate that the gateway's process trusts besides the public ones. */
  caFile?: string
}

/** A running Todo world: authorization server, API, runtime, gateway, each a process of its own on loopback. */
export interface TodoWorld {
  issuer: string
  mcpUrl: string
  apiUrl: string
  /** The Todo team's own authorization server. */
  authorizationServerUrl: string
  workerSecret: string
  gateway: ServerProcess
  authorizationServer: ServerProcess
  runtime: ServerProcess | undefined
  /** Every exchange with the gateway, in order; always empty unless `recorded`. */
  readonly exchanges: SeenExchange[]
  /** Every event the gateway has logged, in order. */
  events(): Record<string, unknown>[]
  /** Moves the gateway's clock; resolves when it has. Events come by the same channel: afterwards, even when moved by 0, those of all answered requests are there. */
  advanceClock(milliseconds: number): Promise<void>
  /** Stops the gateway and starts it again on the same port and store. */
  restartGateway(signal?: NodeJS.Signals): Promise<void>
  /** Starts the team's authorization server anew with an empty database: every grant and session there is gone. */
  forgetAuthorizations(): Promise<void>
  stopRuntime(): Promise<void>
  startRuntime(): Promise<void>
  stopAuthorizationServer(): Promise<void>
  startAuthorizationServer(): Promise<void>
  close(): Promise<void>
}

/** A confidential client that the gateway knows by hand in every Todo world, and a public one. */
export const preregistered = {
  confidential: {
    clientId: 'confidential-client',
    clientSecret: 'secret-of-the-confidential-client',
    redirectUris: [nativeRedirectUri],
    name: 'Confidential Client',
  },
  public: { clientId: 'public-client', redirectUris: [nativeRedirectUri], name: 'Public Client' },
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const secret = () => randomBytes(32).toString('base64url')

/** Starts FastMCP's Todo server; ready when it refuses a stranger and answers whoever holds this run's secret. */
async function startFastMcp(port: number, apiUrl: string, workerSecret: string): Promise<ServerProcess> {
  const url = `http://127.0.0.1:${port}/mcp`
  const clientInfo = { name: 'probe', version: '1' }
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'initialize', params })
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream' }
  const ask = async (extra: Record<string, string>) => {
    const response = await fetch(url, { method: 'POST', headers: { ...headers, ...extra }, body })
    await response.body?.cancel()
    return response.status
  }
  const isReady = async () => (await ask({})) === 401 && (await ask({ 'x-emcy-worker-secret': workerSecret })) === 200
  const env = { PORT: String(port), TODO_API_URL: apiUrl, EMCY_WORKER_SECRET: workerSecret }
  return startProgram(await ensurePythonEnv(), [path('../../examples/FastMCP.Sample/server.py')], { url, env, isReady })
}

/** Waits for every start; when one has failed, stops the others and passes the failure on. */
async function allOrNone<T extends (ServerProcess | undefined)[]>(starts: { [K in keyof T]: Promise<T[K]> }): Promise<T> {
  const outcomes = await Promise.allSettled(starts)
  const failed = outcomes.find((outcome) => outcome.status === 'rejected')
  if (failed === undefined) return outcomes.map((outcome) => (outcome as PromiseFulfilledResult<unknown>).value) as T
  await Promise.all(outcomes.map((outcome) => (outcome.status === 'fulfilled' ? (outcome.value as ServerProcess | undefined)?.stop() : undefined)))
  throw failed.reason
}

/** Starts a Todo world. Every test that starts one closes it. */
export async function startTodo(options: TodoOptions = {}): Promise<TodoWorld> {
  const dataDir = await mkdtemp(join(tmpdir(), 'emcy-todo-'))
  const [gatewayPort, authorizationPort, apiPort, runtimePort, frontPort] = (await freePorts(5)) as [number, number, number, number, number]
  const at = (port: number) => `http://127.0.0.1:${port}`
  const host = options.host ?? 'express5'
  const prefix = host === 'prefix' || host === 'stripping proxy' ? '/gateway' : ''
  const issuer = options.publicUrl ?? `${at(options.recorded === true ? frontPort : gatewayPort)}${prefix}`
  const [authorizationServerUrl, apiUrl] = [at(authorizationPort), at(apiPort)]
  const kind = options.runtime ?? 'sdk'
  const runtimeUrl = kind === 'local' ? undefined : kind === 'sdk' || kind === 'fastmcp' ? `${at(runtimePort)}/mcp` : kind
  const [workerSecret, clientSecret] = [secret(), secret()]
  const provider = {
    issuer: authorizationServerUrl,
    clientId: 'emcy-gateway',
    clientSecret,
    scopes: ['todos.read', 'todos.write'],
    resource: apiUrl,
    ...options.downstream,
  }
  const further = await options.providers?.(issuer)
  const settings: GatewaySettings = {
    port: gatewayPort,
    host,
    publicUrl: issuer,
    apiUrl,
    store: `sqlite:${join(dataDir, 'gateway.db')}`,
    secrets: [secret()],
    ...options.gateway,
    downstream: further === undefined ? provider : { default: provider, ...further },
    clients: {
      preregistered: Object.values(preregistered),
      metadataDocuments: { dangerouslyAllowPrivateAddresses: true },
      registration: { perSourcePerHour: 10_000 },
      ...options.gateway?.clients,
    },
    servers: {
      todo: {
        path: '/mcp',
        workerSecret,
        name: 'Todo',
        scopes: ['todos.read', 'todos.write'],
        ...(runtimeUrl === undefined ? {} : { runtime: runtimeUrl }),
        ...(further === undefined ? {} : { provider: 'default' }),
        ...options.server,
      },
      ...options.servers,
    },
  }
  const gatewayEnv: Record<string, string> = options.caFile === undefined ? {} : { NODE_EXTRA_CA_CERTS: options.caFile }
  let clockOffsetMs = 0
  const start = {
    authorizationServer: () =>
      startModule(path('../../examples/todo/authorization-server.ts'), {
        PORT: String(authorizationPort),
        DATA_DIR: join(dataDir, 'authorization-server'),
        API_URL: apiUrl,
        GATEWAY_URL: issuer,
        GATEWAY_CLIENT_ID: 'emcy-gateway',
        GATEWAY_CLIENT_SECRET: clientSecret,
      }),
    api: () =>
      startModule(path('../../examples/todo/api.ts'), {
        PORT: String(apiPort),
        DATA_DIR: join(dataDir, 'api'),
        ISSUER: authorizationServerUrl,
        API_URL: apiUrl,
      }),
    runtime: async () => {
      if (kind === 'fastmcp') return startFastMcp(runtimePort, apiUrl, workerSecret)
      if (kind !== 'sdk') return undefined
      return startModule(path('../../examples/todo/runtime.ts'), { PORT: String(runtimePort), API_URL: apiUrl, WORKER_SECRET: workerSecret })
    },
    gateway: () => startModule(path('./gateway-process.ts'), { ...gatewayEnv, GATEWAY_SETTINGS: JSON.stringify({ ...settings, clockOffsetMs }) }),
  }
  const [authorizationServer, api, runtime, gateway] = await allOrNone<[ServerProcess, ServerProcess, ServerProcess | undefined, ServerProcess]>([
    start.authorizationServer(),
    start.api(),
    start.runtime(),
    start.gateway(),
  ])
  const proxy = options.recorded === true ? await startRecordingProxy(frontPort, gatewayPort) : undefined
  const earlier: unknown[] = []
  const world: TodoWorld = {
    issuer,
    mcpUrl: `${issuer}/mcp`,
    apiUrl,
    authorizationServerUrl,
    workerSecret,
    gateway,
    authorizationServer,
    runtime,
    exchanges: proxy?.exchanges ?? [],
    events: () =>
      [...earlier, ...world.gateway.messages].flatMap((message): Record<string, unknown>[] => {
        const { event } = message as { event?: Record<string, unknown> }
        return event === undefined ? [] : [event]
      }),
    async advanceClock(milliseconds) {
      clockOffsetMs += milliseconds
      const wanted = clockOffsetMs
      const known = world.gateway.messages.length
      world.gateway.send({ advanceClockMs: milliseconds })
      while (!world.gateway.messages.slice(known).some((message) => (message as { clockOffsetMs?: number }).clockOffsetMs === wanted))
        await world.gateway.nextMessage()
    },
    async restartGateway(signal) {
      await world.gateway.stop(signal)
      earlier.push(...world.gateway.messages)
      world.gateway = await start.gateway()
    },
    async forgetAuthorizations() {
      await world.authorizationServer.stop()
      for (const suffix of ['', '-wal', '-shm']) await rm(join(dataDir, 'authorization-server', `authorization-server.db${suffix}`), { force: true })
      world.authorizationServer = await start.authorizationServer()
    },
    async stopRuntime() {
      await world.runtime?.stop()
    },
    async startRuntime() {
      world.runtime = await start.runtime()
    },
    async stopAuthorizationServer() {
      await world.authorizationServer.stop()
    },
    async startAuthorizationServer() {
      world.authorizationServer = await start.authorizationServer()
    },
    async close() {
      await proxy?.close()
      await Promise.all([world.authorizationServer, api, world.runtime, world.gateway].map((server) => server?.stop()))
      await rm(dataDir, { recursive: true, force: true })
    },
  }
  return world
}
