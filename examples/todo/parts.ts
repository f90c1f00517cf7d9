import { join } from 'node:path'
import { ensurePythonEnv } from '../../scripts/python-env.mjs'
import { openDataFolder, readOrCreateSecret } from './data-folder.ts'
import type { PartSettings } from './part.ts'

/** Which MCP runtime stands behind the gateway. */
export const RUNTIMES = ['sdk', 'fastmcp', 'local'] as const
export type RuntimeKind = (typeof RUNTIMES)[number]

/** Where everything is, from one port. */
export interface Places {
  gateway: string
  authorizationServer: string
  api: string
  runtime: string
  dataDir: string
}

export function placesOf(port: number, dataDir: string): Places {
  const at = (offset: number) => `http://127.0.0.1:${port + offset}`
  return { gateway: at(0), authorizationServer: at(1), api: at(2), runtime: `${at(3)}/mcp`, dataDir: openDataFolder(dataDir) }
}

const sample = join(import.meta.dirname, '../FastMCP.Sample')
const portOf = (url: string) => new URL(url).port

const secretsOf = (dataDir: string) => ({
  worker: readOrCreateSecret(dataDir, 'worker-secret'),
  registration: { GATEWAY_CLIENT_ID: 'emcy-gateway', GATEWAY_CLIENT_SECRET: readOrCreateSecret(dataDir, 'gateway-client-secret') },
})

const node = (file: string, ...args: string[]) => ({ command: process.execPath, args: [join(import.meta.dirname, file), ...args], tellsWhenListening: true })

/** What a gateway's process has to know of the Todo team, as its environment. */
export function gatewayEnv({ dataDir, authorizationServer, api, runtime }: Places, kind: RuntimeKind): Record<string, string> {
  const { worker, registration } = secretsOf(dataDir)
  return { ISSUER: authorizationServer, API_URL: api, RUNTIME_URL: kind === 'local' ? 'local' : runtime, WORKER_SECRET: worker, ...registration }
}

/** The parts in the order of their start. */
export async function partsOf(places: Places, runtime: RuntimeKind): Promise<PartSettings[]> {
  const gateway: PartSettings = {
    ...node('gateway.ts', '--allow-loopback-client-documents'),
    name: 'gateway',
    env: { PORT: portOf(places.gateway), DATA_DIR: places.dataDir, ...gatewayEnv(places, runtime) },
    log: join(places.dataDir, 'gateway.log'),
    isReady: async () => (await json(`${places.gateway}/.well-known/oauth-protected-resource/mcp`)).resource === `${places.gateway}/mcp`,
  }
  return [...(await teamPartsOf(places, runtime)), gateway]
}

/** What the team has beside the gateway, in the order of its start. A local runtime is no part: it lives in the gateway. */
export async function teamPartsOf(places: Places, runtime: RuntimeKind): Promise<PartSettings[]> {
  const { dataDir } = places
  const { worker: workerSecret, registration } = secretsOf(dataDir)
  const logOf = (name: string) => join(dataDir, `${name}.log`)

  const authorizationServer: PartSettings = {
    ...node('authorization-server.ts'),
    name: 'authorization server',
    env: { PORT: portOf(places.authorizationServer), DATA_DIR: dataDir, API_URL: places.api, GATEWAY_URL: places.gateway, ...registration },
    log: logOf('authorization-server'),
    isReady: async () => (await json(`${places.authorizationServer}/.well-known/openid-configuration`)).issuer === places.authorizationServer,
  }
  const api: PartSettings = {
    ...node('api.ts'),
    name: 'Todo API',
    env: { PORT: portOf(places.api), DATA_DIR: dataDir, API_URL: places.api, ISSUER: places.authorizationServer },
    log: logOf('api'),
    isReady: async () => (await fetch(`${places.api}/todos`)).headers.get('www-authenticate') === 'Bearer realm="todo"',
  }
  const sdkRuntime: PartSettings = {
    ...node('runtime.ts'),
    name: 'MCP runtime',
    env: { PORT: portOf(places.runtime), API_URL: places.api, WORKER_SECRET: workerSecret },
    log: logOf('runtime'),
    isReady: () => takesOnlySecret(places.runtime, workerSecret),
  }
  const fastMcpRuntime = async (): Promise<PartSettings> => ({
    command: await ensurePythonEnv(join(sample, 'requirements.txt')),
    args: [join(sample, 'server.py')],
    tellsWhenListening: false,
    name: 'MCP runtime',
    env: { PORT: portOf(places.runtime), TODO_API_URL: places.api, EMCY_WORKER_SECRET: workerSecret },
    log: logOf('runtime'),
    isReady: () => takesOnlySecret(places.runtime, workerSecret),
  })
  const runtimes = { sdk: async () => [sdkRuntime], fastmcp: async () => [await fastMcpRuntime()], local: async () => [] }
  return [authorizationServer, api, ...(await runtimes[runtime]())]
}

async function json(url: string): Promise<Record<string, unknown>> {
  return (await (await fetch(url)).json()) as Record<string, unknown>
}

/** Nobody else knows the secret, and a runtime that answers without it is not ours. */
async function takesOnlySecret(url: string, secret: string): Promise<boolean> {
  const initialize = (headers: Record<string, string>) =>
    fetch(url, {
      method: 'POST',
      headers: { Accept: 'application/json, text/event-stream', 'Content-Type': 'application/json', ...headers },
      body: JSON.stringify({
        jsonrpc: '2.0',
        id: 1,
        method: 'initialize',
        params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'demo', version: '1' } },
      }),
    })
  const [without, withIt] = [await initialize({}), await initialize({ 'X-Emcy-Worker-Secret': secret })]
  await Promise.all([without.body?.cancel(), withIt.body?.cancel()])
  return without.status === 401 && withIt.status === 200
}
