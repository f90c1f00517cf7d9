import type { IncomingMessage, ServerResponse } from 'node:http'
import { createAccount } from './account/account.ts'
import { type ConnectionsControl, createConnectionsControl } from './account/connections-control.ts'
import { createAuthorization } from './authorization/authorization.ts'
import type { Config } from './config.ts'
import type { Deps } from './deps.ts'
import { createDiscovery } from './discovery/discovery.ts'
import { ConfigError } from './errors/errors.ts'
import { callbackPath } from './grants/callback-path.ts'
import { createDownstream, type Downstream } from './grants/downstream.ts'
import { createGuardedFetch } from './http/guarded-fetch.ts'
import type { Middleware } from './http/middleware.ts'
import { pathMatches } from './http/route.ts'
import { createKeyRing } from './keys/key-ring.ts'
import { randomText } from './keys/random.ts'
import { type ClosableLog, createLog } from './log/logger.ts'
import { createServerSteps, type ServerSteps } from './mcp/mcp.ts'
import type { GatewayOptions } from './options/gateway-options.ts'
import { type Parsed, parseOptions } from './options/options.ts'
import { type Rotation, type RotationProgress, rotateKeys } from './rotation/rotate-keys.ts'
import { openStore } from './store/open-store.ts'
import type { Store } from './store/store.ts'

/**
 * The gateway: itself a middleware that answers all of its paths and leaves every other to `next` (without one, as a bare `http` listener, it answers those with
 * 404). Mount it before body parsers.
 */
export interface Gateway {
  (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void): void
  /** The discovery documents (RFC 9728, RFC 8414). */
  readonly discovery: Middleware
  /** The endpoints of the authorization server. */
  readonly authorization: Middleware
  /** The page on which users see and end their connections. */
  readonly account: Middleware
  /**
   * The steps of one server's MCP endpoint, to be mounted in this order with middleware of one's own between them; or `handler`, which is all of them.
   *
   * @param name key in `options.servers`
   * @throws ConfigError when there is no such server
   */
  server(name: string): ServerSteps
  /** Connections for an admin page or a script. */
  readonly connections: ConnectionsControl
  /**
   * Seals everything anew that another secret than the first of `secrets` sealed, while traffic runs, and says until when the others are needed. Run it once every process has the
   * new secret first; it can be run again at any time.
   *
   * @throws StoreUnavailable running it again goes on where it failed
   */
  rotateKeys(options?: { onProgress?: (progress: RotationProgress) => void }): Promise<Rotation>
  /** What is mounted where, one line each, for printing at start. */
  describe(): string[]
  /** Ends what the gateway holds: connections to runtimes, the log, the store. Requests must have ended before; call it after `server.close()`. */
  close(): Promise<void>
}

/** How long a sink may take for what is left in the log when the gateway closes. */
const flushMs = 5_000

/**
 * Creates a gateway. Nothing is asked of the network until the first request needs it.
 *
 * @throws ConfigError naming the option that is wrong
 */
export function createGateway(options: GatewayOptions): Gateway {
  const parsed = parseOptions(options)
  const { config } = parsed
  const store = openStoreOf(parsed)
  const log = createLog(parsed.log, parsed.clock ?? Date.now, secretsOf(parsed))
  const deps = { ...depsOf(parsed, store, log), downstreams: {} as Record<string, Downstream> }
  for (const provider of Object.values(config.providers)) deps.downstreams[provider.id] = createDownstream(provider, deps)
  const discovery = createDiscovery(deps)
  const authorization = createAuthorization(deps)
  const account = createAccount(deps)
  const steps = new Map(Object.values(config.servers).map((server) => [server.id, createServerSteps(deps, server)]))
  for (const message of parsed.warnings) log.write({ event: 'gateway.warning', level: 'warn', message })
  log.write({ event: 'gateway.started', level: 'info', message: `${config.issuer} on ${store.name}` })

  const endpoints = Object.values(config.servers).map((server): Middleware => {
    const { handler } = steps.get(server.id) as ServerSteps
    return (req, res, next) => (pathMatches(req, config.basePath, server.path) ? handler(req, res, next) : next())
  })
  const route = inTurn([discovery, authorization, account, ...endpoints])

  const gateway = (req: IncomingMessage, res: ServerResponse, next?: (error?: unknown) => void) => route(req, res, next ?? lastResort(res))
  let closing: Promise<void> | undefined
  const close = async () => {
    await Promise.all([...steps.values()].map((one) => one.close()))
    log.write({ event: 'gateway.closed', level: 'info', message: config.issuer })
    await log.flush(flushMs)
    await store.close()
  }
  return Object.assign(gateway, {
    discovery,
    authorization,
    account,
    server(name: string) {
      const found = steps.get(name)
      if (!found) throw new ConfigError(`server('${name}')`, `there is no such server; known: ${[...steps.keys()].join(', ')}`)
      return found
    },
    connections: createConnectionsControl(deps),
    rotateKeys: (options: { onProgress?: (progress: RotationProgress) => void } = {}) => rotateKeys(deps, options),
    describe: () => describe(config, store),
    close: () => {
      closing ??= close()
      return closing
    },
  })
}

/** Tries middlewares in turn; what none takes, and every error, goes to `next`. */
function inTurn(middlewares: Middleware[]): Middleware {
  return (req, res, next) => {
    const tryFrom = (index: number): void => {
      const middleware = middlewares[index]
      if (middleware) middleware(req, res, (error) => (error === undefined || error === null ? tryFrom(index + 1) : next(error)))
      else next()
    }
    tryFrom(0)
  }
}

/** Without a host app behind it the gateway answers what is not its own. */
function lastResort(res: ServerResponse): (error?: unknown) => void {
  return (error) => {
    if (res.headersSent) return void res.destroy()
    res.writeHead(error === undefined ? 404 : 500, { 'content-type': 'text/plain; charset=utf-8' })
    res.end(error === undefined ? 'Not found\n' : 'Something failed\n')
  }
}

function openStoreOf({ store: option, replicas, config, clock }: Parsed): Store {
  const store = openStore(option, config.limits.storeSeconds * 1000, clock)
  if (replicas === 'many' && !store.atomicAcrossProcesses) {
    throw new ConfigError('replicas', `'many' needs a store that is atomic across processes, and ${store.name} is not: two replicas could redeem one code`)
  }
  return store
}

function depsOf({ config, secrets, clock = Date.now }: Parsed, store: Store, log: ClosableLog): Deps {
  const documents = config.clients.metadataDocuments
  return {
    config,
    store,
    log,
    clock,
    keys: createKeyRing(secrets),
    random: randomText,
    guardedFetch: createGuardedFetch({ allowPrivateAddresses: documents !== false && documents.dangerouslyAllowPrivateAddresses }),
  }
}

/** Everything that the log must never show, should an error message quote it. */
function secretsOf({ config, secrets }: Parsed): string[] {
  const { preregistered, registration } = config.clients
  const others = [
    ...Object.values(config.servers).flatMap((server) => server.workerSecrets),
    ...Object.values(config.providers).map((provider) => provider.clientSecret),
    ...preregistered.map((client) => client.clientSecret),
    registration === false ? undefined : registration.initialAccessToken,
  ]
  return [...secrets, ...others.filter((secret) => typeof secret === 'string')]
}

function describe(config: Config, store: Store): string[] {
  const servers = Object.values(config.servers).map((server) => {
    const { runtime } = server
    const target = runtime.kind === 'local' ? 'a handler in this process' : runtime.urls.map(withoutQuery).join(', ')
    return `${server.displayName}: ${server.resource} → ${target}`
  })
  const providers = Object.values(config.providers).map(
    (provider) => `users sign in at ${provider.issuer}, which sends them back to ${config.issuer}${callbackPath(config, provider.id)}`,
  )
  const { account } = config.endpoints
  return [...servers, ...providers, `issuer ${config.issuer}, connected apps at ${config.issuer}${account}`, `store: ${store.name}`]
}

/** A runtime's URL may carry a key. */
function withoutQuery(url: string): string {
  const { origin, pathname } = new URL(url)
  return origin + pathname
}
