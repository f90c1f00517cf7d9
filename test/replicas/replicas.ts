import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestServer } from '../../packages/gateway/test/servers/program.ts'
import { startRedis } from '../../packages/gateway/test/servers/redis.ts'
import { startPostgres } from '../../packages/gateway/test/servers/sql.ts'
import type { GatewaySettings } from '../harness/gateway-settings.ts'
import { freePorts } from '../harness/ports.ts'
import { type ServerProcess, startModule } from '../harness/process.ts'
import { ScriptedClient } from '../harness/scripted-client.ts'
import type { ClientTokens } from './hammered-connection.ts'
import type { ProviderCounts } from './strict-provider.ts'

const stores = {
  redis: { start: startRedis, url: (port: number) => `redis://127.0.0.1:${port}` },
  postgres: { start: startPostgres, url: (port: number) => `postgres://app@127.0.0.1:${port}/postgres` },
}

/** One of the two gateway processes. */
export interface Replica {
  readonly url: string
  readonly pid: number
  /** Every event it has logged, its earlier lives included. */
  events(): Record<string, unknown>[]
  /** When it was gone, from each kill to the answer of its successor; milliseconds since the epoch. */
  readonly gone: { from: number; to: number }[]
  /** Ends it as a crash does and starts it again after `downMs`. */
  crash(downMs: number): Promise<void>
  /** Stands it still for that long. */
  standStill(ms: number): Promise<void>
  /** How the process that runs now ended; undefined while it runs. */
  ended(): number | null | undefined
}

/** Two gateways on one store, behind a balancer, with a strict provider and a runtime. */
export interface Replicas {
  /** Public URL, at the balancer. */
  issuer: string
  mcpUrl: string
  runtimeUrl: string
  store: TestServer
  storeUrl: string
  gateways: [Replica, Replica]
  counts(): Promise<ProviderCounts>
  /** Makes connections by the front door, each of a user of its own. */
  signIn(count: number): Promise<ClientTokens[]>
  close(): Promise<void>
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))
const secret = () => randomBytes(32).toString('base64url')
const pause = (ms: number) => new Promise((next) => setTimeout(next, ms))

/**
 * @param options `tokens` is the gateway's option; `downstreamSeconds` is how long the provider's access tokens live
 */
export async function startReplicas(
  kind: keyof typeof stores,
  options: { tokens: object; downstreamSeconds: number; clockOffsetsMs: [number, number] },
): Promise<Replicas> {
  const dataDir = await mkdtemp(join(tmpdir(), 'emcy-replicas-'))
  const store = await stores[kind].start()
  const [balancerPort, providerPort, runtimePort, ...gatewayPorts] = (await freePorts(5)) as [number, number, number, number, number]
  const at = (port: number) => `http://127.0.0.1:${port}`
  const [issuer, providerUrl, audience] = [at(balancerPort), at(providerPort), 'https://api.whoami.example']
  const [workerSecret, clientSecret, ringSecret] = [secret(), secret(), secret()]
  const settings: Omit<GatewaySettings, 'port'> = {
    publicUrl: issuer,
    apiUrl: '',
    store: stores[kind].url(store.port),
    replicas: 'many',
    secrets: [ringSecret],
    tokens: options.tokens,
    clients: { registration: { perSourcePerHour: 10_000 } },
    downstream: { issuer: providerUrl, clientId: 'emcy-gateway', clientSecret, scopes: ['todos.read'], resource: audience, timeoutSeconds: 1 },
    servers: { whoami: { path: '/mcp', runtime: `${at(runtimePort)}/mcp`, workerSecret, scopes: ['todos.read'] } },
  }
  const provider = await startModule(path('./strict-provider.ts'), {
    PORT: String(providerPort),
    DATA_DIR: dataDir,
    AUDIENCE: audience,
    ACCESS_TOKEN_SECONDS: String(options.downstreamSeconds),
    GATEWAY_URL: issuer,
    GATEWAY_CLIENT_ID: 'emcy-gateway',
    GATEWAY_CLIENT_SECRET: clientSecret,
  })
  const others = await Promise.all([
    startModule(path('./whoami-runtime.ts'), { PORT: String(runtimePort), ISSUER: providerUrl, AUDIENCE: audience, WORKER_SECRET: workerSecret }),
    startModule(path('./balancer.ts'), { PORT: String(balancerPort), REPLICAS: gatewayPorts.join(',') }),
  ])
  const start = (index: 0 | 1) => {
    const own = { ...settings, port: gatewayPorts[index] as number, clockOffsetMs: options.clockOffsetsMs[index] }
    return startModule(path('../harness/gateway-process.ts'), { GATEWAY_SETTINGS: JSON.stringify(own) })
  }
  const gateways = (await Promise.all([startReplica(() => start(0)), startReplica(() => start(1))])) as [Replica & Stoppable, Replica & Stoppable]
  return {
    issuer,
    mcpUrl: `${issuer}/mcp`,
    runtimeUrl: `${at(runtimePort)}/mcp`,
    store,
    storeUrl: stores[kind].url(store.port),
    gateways,
    async counts() {
      const already = provider.messages.length
      provider.send({ ask: 'counts' })
      while (provider.messages.length === already) await provider.nextMessage()
      return (provider.messages.at(-1) as { counts: ProviderCounts }).counts
    },
    signIn: (count) => signIn(issuer, `${issuer}/mcp`, count),
    async close() {
      await Promise.all([provider, ...others, ...gateways].map((each) => each.stop()))
      await store.remove()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

interface Stoppable {
  stop(): Promise<unknown>
}

async function startReplica(start: () => Promise<ServerProcess>): Promise<Replica & Stoppable> {
  let current = await start()
  const earlier: unknown[] = []
  let ended: number | null | undefined
  const watch = async (process: ServerProcess) => {
    const code = await process.exited
    if (process === current) ended = code
  }
  void watch(current)
  const replica: Replica & Stoppable = {
    url: current.url,
    get pid() {
      return current.pid
    },
    gone: [],
    events: () =>
      [...earlier, ...current.messages].flatMap((message): Record<string, unknown>[] => {
        const { event } = message as { event?: Record<string, unknown> }
        return event === undefined ? [] : [event]
      }),
    ended: () => ended,
    async crash(downMs) {
      const gap = { from: Date.now(), to: Number.POSITIVE_INFINITY }
      replica.gone.push(gap)
      await current.stop('SIGKILL')
      earlier.push(...current.messages)
      await pause(downMs)
      ended = undefined
      current = await start()
      void watch(current)
      gap.to = Date.now()
    },
    async standStill(ms) {
      process.kill(current.pid, 'SIGSTOP')
      await pause(ms)
      process.kill(current.pid, 'SIGCONT')
    },
    stop: () => current.stop(),
  }
  return replica
}

async function signIn(issuer: string, resource: string, count: number): Promise<ClientTokens[]> {
  const { clientId } = await new ScriptedClient(issuer, resource).register()
  const users = Array.from({ length: count }, (_, index) => `user-${index}`)
  const made: ClientTokens[] = []
  const worker = async () => {
    for (let user = users.pop(); user !== undefined; user = users.pop()) {
      const client = new ScriptedClient(issuer, resource)
      client.clientId = clientId
      const { access_token: accessToken, refresh_token: refreshToken, expires_in: seconds } = await client.signIn(user)
      made.push({ user, clientId, accessToken, refreshToken, refreshAt: Date.now() + seconds * 1000 })
    }
  }
  await Promise.all(Array.from({ length: 6 }, worker))
  return made
}
