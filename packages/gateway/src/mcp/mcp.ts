import type { ServerConfig } from '../config.ts'
import { ConfigError } from '../errors/errors.ts'
import type { Middleware } from '../http/middleware.ts'
import type { RuntimeLeg } from '../runtime/contract.ts'
import { httpRuntime } from '../runtime/http-runtime.ts'
import { localRuntime } from '../runtime/local-runtime.ts'
import { attachGrant } from './attach-grant.ts'
import { checkBearer } from './check-bearer.ts'
import { checkPolicy } from './check-policy.ts'
import type { Edge, ServerDeps } from './edge.ts'
import { LastDiscovery } from './last-discovery.ts'
import { OpenStreams } from './open-streams.ts'
import { proxy } from './proxy.ts'
import { readCall } from './read-call.ts'
import { record } from './record.ts'
import { reserveBudget } from './reserve-budget.ts'

/** The MCP endpoint of one server: all of it, and each step for teams that put their own middleware in between. The order is fixed. */
export interface ServerSteps {
  /** All steps, one after the other. */
  handler: Middleware
  record: Middleware
  checkBearer: Middleware
  readCall: Middleware
  checkPolicy: Middleware
  reserveBudget: Middleware
  attachGrant: Middleware
  proxy: Middleware
  /** Closes idle connections to the runtime. */
  close(): Promise<void>
}

/**
 * Builds the MCP endpoint of one server.
 *
 * @throws ConfigError when the server names a provider that does not exist
 */
export function createServerSteps(deps: ServerDeps, server: ServerConfig): ServerSteps {
  if (server.provider !== undefined && !deps.downstreams[server.provider])
    throw new ConfigError(`servers.${server.id}.provider`, `there is no downstream "${server.provider}"`)
  const edge: Edge = {
    deps,
    server,
    leg: legOf(deps, server),
    streams: new OpenStreams(deps.config.limits.streamsPerConnection),
    discovery: new LastDiscovery(),
    annotations: new Map(),
  }
  const steps = {
    record: record(edge),
    checkBearer: checkBearer(edge),
    readCall: readCall(edge),
    checkPolicy: checkPolicy(edge),
    reserveBudget: reserveBudget(edge),
    attachGrant: attachGrant(edge),
    proxy: proxy(edge),
  }
  return { ...steps, handler: inOrder(Object.values(steps)), close: () => edge.leg.close() }
}

function legOf({ config }: ServerDeps, { path, runtime }: ServerConfig): RuntimeLeg {
  if (runtime.kind === 'http') return httpRuntime(runtime.urls)
  return localRuntime(runtime.handler, { url: path, encrypted: config.origin.startsWith('https:') })
}

function inOrder(steps: Middleware[]): Middleware {
  return function handler(req, res, next) {
    const run = (index: number): void => {
      const step = steps[index]
      if (!step) next()
      else step(req, res, (error) => (error === undefined ? run(index + 1) : next(error)))
    }
    run(0)
  }
}
