import type { IncomingMessage, ServerResponse } from 'node:http'
import type { EndpointsConfig } from '../config.ts'
import { callbackPath } from '../grants/callback-path.ts'
import { cors } from '../http/cors.ts'
import type { Middleware } from '../http/middleware.ts'
import { sendMethodNotAllowed } from '../http/respond.ts'
import { pathMatches } from '../http/route.ts'
import { sendOAuthError } from '../http/send-error.ts'
import { authorize } from './authorize.ts'
import { callback } from './callback.ts'
import { showClientLogo } from './client-logo.ts'
import { answerConsent, showConsent } from './consent.ts'
import type { FrontDeps } from './front-deps.ts'
import { introspect } from './introspect.ts'
import { sendErrorPage } from './notices.ts'
import { par } from './par.ts'
import { showReconnect, startReconnect } from './reconnect.ts'
import { changeRegistration, register, removeRegistration, showRegistration } from './register.ts'
import { revoke } from './revoke.ts'
import { token } from './token.ts'

type Handler = (deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string) => Promise<void>

/** Endpoints that stand elsewhere: a document of discovery, and the account page. */
type Endpoint = Exclude<keyof EndpointsConfig, 'jwks' | 'account'>

/** One endpoint of the authorization server. */
interface Route {
  endpoint: Endpoint
  methods: Record<string, Handler>
  /** `browser`: people see it, errors are pages, and no other origin may read it (AZ-4); `client`: programs call it, errors are JSON, any origin may (TK-11). */
  for: 'browser' | 'client'
}

const routes: Route[] = [
  { endpoint: 'authorize', methods: { GET: authorize, HEAD: authorize, POST: authorize }, for: 'browser' },
  { endpoint: 'consent', methods: { GET: showConsent, HEAD: showConsent, POST: answerConsent }, for: 'browser' },
  { endpoint: 'callback', methods: { GET: callback }, for: 'browser' },
  { endpoint: 'reconnect', methods: { GET: showReconnect, HEAD: showReconnect, POST: startReconnect }, for: 'browser' },
  { endpoint: 'clientLogo', methods: { GET: showClientLogo, HEAD: showClientLogo }, for: 'browser' },
  { endpoint: 'par', methods: { POST: par }, for: 'client' },
  { endpoint: 'token', methods: { POST: token }, for: 'client' },
  { endpoint: 'register', methods: { POST: register, GET: showRegistration, PUT: changeRegistration, DELETE: removeRegistration }, for: 'client' },
  { endpoint: 'revoke', methods: { POST: revoke }, for: 'client' },
  { endpoint: 'introspect', methods: { POST: introspect }, for: 'client' },
]

/**
 * The OAuth 2.1 authorization server of the gateway (AS-1), as one middleware. What is not one of its paths goes to `next`.
 *
 * @param deps with the providers by their key in `config.providers`
 */
export function createAuthorization(deps: FrontDeps): Middleware {
  const { config } = deps
  const { registration, preregistered, pushedRequests } = config.clients
  const off: Endpoint[] = []
  if (registration === false) off.push('register')
  if (pushedRequests === 'off') off.push('par')
  if (!preregistered.some((client) => client.introspect)) off.push('introspect')
  const offered = routes.filter((route) => !off.includes(route.endpoint)).map((route) => ({ route, paths: pathsOf(config, route.endpoint) }))
  return function authorization(req, res, next) {
    const found = offered.find(({ paths }) => paths.some((path) => pathMatches(req, config.basePath, path)))
    if (found) void answer(deps, found.route, req, res)
    else next()
  }
}

function pathsOf(config: FrontDeps['config'], endpoint: Endpoint): string[] {
  const path = config.endpoints[endpoint]
  return endpoint === 'callback' ? [path, ...Object.keys(config.providers).map((id) => callbackPath(config, id))] : [path]
}

async function answer(deps: FrontDeps, route: Route, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const requestId = deps.random(12)
  const methods = Object.keys(route.methods)
  if (route.for === 'client' && cors(req, res, { origin: '*', methods: [...methods, 'OPTIONS'] }) === 'preflight-answered') return
  const handler = route.methods[req.method ?? '']
  if (!handler) return sendMethodNotAllowed(res, methods)
  try {
    await handler(deps, req, res, requestId)
  } catch (error) {
    logError(deps, route, error, requestId)
    if (route.for === 'client') sendOAuthError(res, error, requestId)
    else sendErrorPage(res, deps.config, error, requestId)
  }
}

const events = {
  authorize: 'authorization.request',
  consent: 'authorization.consent',
  callback: 'authorization.callback',
  reconnect: 'authorization.reconnect',
  clientLogo: 'authorization.consent',
  par: 'authorization.request',
  token: 'authorization.token',
  register: 'authorization.register',
  revoke: 'authorization.revoke',
  introspect: 'authorization.introspect',
} as const satisfies Record<Endpoint, string>

function logError(deps: FrontDeps, { endpoint }: Route, error: unknown, requestId: string): void {
  const { code, status, reason, message } = error as { code?: string; status?: number; reason?: string; message?: string }
  // What was thrown to be told is expected, as strangers can bring it about: a client's host that is down, for one. The rest is ours to mend.
  const level = status === undefined || status === 500 ? 'error' : status > 500 ? 'warn' : 'info'
  deps.log.write({ event: events[endpoint], level, outcome: code ?? 'server_error', requestId, reason: reason ?? message ?? 'unknown' })
}
