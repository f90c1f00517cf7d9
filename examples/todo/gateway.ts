import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { createGateway, type Gateway, type LogOption } from '@emcy/gateway'
import express, { type Express } from 'express'
import { openDataFolder, readOrCreateSecret } from './data-folder.ts'
import { listen, type Running } from './listen.ts'
import { runAsProcess, type Setting } from './process.ts'
import { createRuntime } from './runtime.ts'

/** What the gateway has to know of the Todo team, wherever it runs and keeps its records. */
export interface TodoGatewayOptions {
  /** Where clients reach the gateway. */
  publicUrl: string
  /** The Todo authorization server, and the gateway's registration there. */
  issuer: string
  clientId: string
  clientSecret: string
  /** The Todo API: the resource for which the gateway asks tokens. */
  apiUrl: string
  /** Where the MCP runtime is; `local`: a handler in this process. */
  runtimeUrl: string
  workerSecret: string
  /** Lets clients name themselves by a metadata document on this machine, as a client under development does. Never in production. */
  allowLoopbackClientDocuments?: boolean
  /** Where the gateway's events go; one JSON line each on the standard output when left out. */
  log?: LogOption
}

/** Settings of the gateway's app. */
export interface GatewayAppOptions extends Omit<TodoGatewayOptions, 'publicUrl'> {
  /** A fixed port: it stands in the gateway's public URL. */
  port: number
  dataDir: string
}

/** The options of `createGateway` for the Todo team; `store` and `secrets` are still to be added. */
export function todoGatewayOptions(options: TodoGatewayOptions) {
  const { apiUrl, workerSecret } = options
  return {
    publicUrl: options.publicUrl,
    downstream: {
      issuer: options.issuer,
      clientId: options.clientId,
      clientSecret: options.clientSecret,
      scopes: ['openid', 'todos.read', 'todos.write'],
      resource: apiUrl,
    },
    servers: {
      todo: {
        path: '/mcp',
        name: 'Todo',
        runtime: options.runtimeUrl === 'local' ? createRuntime({ apiUrl, secret: workerSecret }) : options.runtimeUrl,
        workerSecret,
        scopes: ['todos.read', 'todos.write'],
      },
    },
    consent: { name: 'Todo, Inc.', texts: { 'scope:todos.read': 'See your todos', 'scope:todos.write': 'Add, complete and delete your todos' } },
    clients: { metadataDocuments: { dangerouslyAllowPrivateAddresses: options.allowLoopbackClientDocuments ?? false } },
    log: options.log ?? ('stdout' as const),
  }
}

/** The same by environment, as a process of the demo gets it. */
export function todoGatewayFrom(setting: Setting): Omit<TodoGatewayOptions, 'publicUrl'> {
  return {
    issuer: setting('ISSUER'),
    clientId: setting('GATEWAY_CLIENT_ID'),
    clientSecret: setting('GATEWAY_CLIENT_SECRET'),
    apiUrl: setting('API_URL'),
    runtimeUrl: setting('RUNTIME_URL'),
    workerSecret: setting('WORKER_SECRET'),
  }
}

/** Serves an app that has a gateway in it; 0: the kernel chooses the port. */
export async function serveApp(app: Express, gateway: Gateway, port: number): Promise<Running> {
  app.disable('x-powered-by')
  const { server, url, close } = await listen(port)
  server.on('request', app)
  return {
    url,
    close: async () => {
      await close()
      await gateway.close()
    },
  }
}

/** Starts an Express 5 app with the gateway in it, on one SQLite file. */
export async function startGateway(options: GatewayAppOptions): Promise<Running> {
  const dataDir = openDataFolder(options.dataDir)
  const gateway = createGateway({
    ...todoGatewayOptions({ ...options, publicUrl: `http://127.0.0.1:${options.port}` }),
    store: `sqlite:${join(dataDir, 'gateway.db')}`,
    secrets: [readOrCreateSecret(dataDir, 'gateway-secret')],
  })
  return serveApp(express().use(gateway), gateway, options.port)
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { 'allow-loopback-client-documents': { type: 'boolean', default: false } } })
  await runAsProcess((setting) =>
    startGateway({
      port: Number(setting('PORT')),
      dataDir: setting('DATA_DIR'),
      ...todoGatewayFrom(setting),
      allowLoopbackClientDocuments: values['allow-loopback-client-documents'],
    }),
  )
}
