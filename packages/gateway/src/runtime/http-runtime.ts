import { createHash } from 'node:crypto'
import http, { type ClientRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import https from 'node:https'
import { createProxyMiddleware, type RequestHandler } from 'http-proxy-middleware'
import { GatewayError } from '../errors/errors.ts'
import type { RuntimeLeg, RuntimeRequest, RuntimeResponse } from './contract.ts'
import { createExchange } from './exchange.ts'

/*
 * A runtime behind HTTP closes idle connections after about five seconds (Node and uvicorn alike). Ours go before that, so that no request is written into a socket which the
 * other side is closing at that moment.
 */
const idleSocketMs = 4000

interface Target {
  url: URL
  affinity: string
  proxy: RequestHandler
}

/* One request on its way: what the events of the proxy belong to. */
interface Flight {
  proxyReq: ClientRequest | undefined
  isConnected: boolean
  onResponse(response: IncomingMessage): void
  onError(error: Error): void
}

/**
 * Runtimes over HTTP, by http-proxy-middleware. Calls without a session take the URLs in turn, and go on to the next one as long as none could be connected to; a call with
 * an affinity goes where it points. The proxy gets an exchange of our own making, never the client's request and response: nothing is forwarded by default, the head of
 * the answer is ours to judge, and its body comes as a stream.
 *
 * @param urls at least one; a query in it is kept
 */
export function httpRuntime(urls: string[]): RuntimeLeg {
  const flights = new WeakMap<object, Flight>()
  // The default agent of the proxy holds 256 sockets: that many open streams would starve every other call.
  const pool = { keepAlive: true, maxSockets: Number.POSITIVE_INFINITY, maxFreeSockets: 256, timeout: idleSocketMs }
  const agents = { 'http:': new http.Agent(pool), 'https:': new https.Agent(pool) }
  const targets = urls.map((text): Target => {
    const url = new URL(text)
    const agent = url.protocol === 'https:' ? agents['https:'] : agents['http:']
    return { url, affinity: affinityOf(text), proxy: createProxy(text, agent, flights) }
  })
  let turn = 0
  return {
    description: urls.join(', '),
    async send(request) {
      let last: unknown
      for (const target of pick(targets, request.affinity, turn++)) {
        try {
          const response = await fly(target, request, flights)
          return targets.length > 1 ? { ...response, affinity: target.affinity } : response
        } catch (error) {
          if (!(error instanceof GatewayError) || error.code !== 'runtime_unreachable' || request.signal.aborted) throw error
          last = error
        }
      }
      throw last
    },
    async close() {
      for (const agent of Object.values(agents)) agent.destroy()
    },
  }
}

function affinityOf(url: string): string {
  return createHash('sha256').update(url).digest('base64url').slice(0, 8)
}

function pick(targets: Target[], affinity: string | undefined, turn: number): Target[] {
  if (affinity === undefined || targets.length === 1) return targets.map((_, index) => targets[(turn + index) % targets.length] as Target)
  const target = targets.find((one) => one.affinity === affinity)
  if (!target) throw new GatewayError('session_ended', { reason: 'its runtime is not configured any more' })
  return [target]
}

function createProxy(target: string, agent: http.Agent, flights: WeakMap<object, Flight>): RequestHandler {
  return createProxyMiddleware({
    target,
    agent,
    ignorePath: true,
    selfHandleResponse: true,
    // The default plugins log URLs and answer errors with them.
    ejectPlugins: true,
    plugins: [
      (server) => {
        server.on('proxyReq', (proxyReq, _req, res) => {
          const flight = flights.get(res)
          if (flight) follow(flight, proxyReq)
        })
        server.on('proxyRes', (proxyRes, _req, res) => flights.get(res)?.onResponse(proxyRes))
        const onError = (error: Error, _req: unknown, res: unknown) => flights.get(res as object)?.onError(error)
        server.on('error', onError)
        server.on('econnreset', onError)
      },
    ],
  })
}

function follow(flight: Flight, proxyReq: ClientRequest): void {
  flight.proxyReq = proxyReq
  const { socket } = proxyReq
  const connected = () => {
    flight.isConnected = true
  }
  if (!socket?.connecting) connected()
  else socket.once('encrypted' in socket ? 'secureConnect' : 'connect', connected)
}

function fly(target: Target, request: RuntimeRequest, flights: WeakMap<object, Flight>): Promise<RuntimeResponse> {
  return new Promise((resolve, reject) => {
    // The runtime sees its own host, as with any proxy; ours is in X-Forwarded-Host.
    const cleaned = { ...request, headers: { ...request.headers, host: target.url.host } }
    const { req, res, leave, finish } = createExchange(cleaned, '/', false)
    const timer = setTimeout(
      () => fail(new GatewayError(flight.isConnected ? 'runtime_timeout' : 'runtime_unreachable', { reason: 'no answer in time' })),
      request.responseStartMs,
    )
    const stop = () => {
      flight.proxyReq?.destroy()
      leave()
    }
    const fail = (error: GatewayError) => {
      clearTimeout(timer)
      request.signal.removeEventListener('abort', onAbort)
      reject(error)
      stop()
    }
    const onAbort = () => fail(new GatewayError('runtime_died', { reason: 'the client left' }))
    const flight: Flight = {
      proxyReq: undefined,
      isConnected: false,
      onError: (error) => fail(errorOf(error, flight.isConnected)),
      onResponse: (response) => {
        clearTimeout(timer)
        request.signal.removeEventListener('abort', onAbort)
        request.signal.addEventListener('abort', stop, { once: true })
        response.once('close', () => {
          request.signal.removeEventListener('abort', stop)
          finish()
        })
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: response, affinity: undefined })
      },
    }
    flights.set(res, flight)
    if (request.signal.aborted) return onAbort()
    request.signal.addEventListener('abort', onAbort, { once: true })
    proxied(target, req, res).catch(flight.onError)
  })
}

async function proxied(target: Target, req: IncomingMessage, res: ServerResponse): Promise<void> {
  await target.proxy(req, res, (error) => {
    if (error) throw error
  })
}

function errorOf(error: Error & { code?: string }, isConnected: boolean): GatewayError {
  const details = { reason: `${error.code ?? error.name}: ${error.message}`, cause: error }
  if (!isConnected) return new GatewayError('runtime_unreachable', details)
  return new GatewayError(error.code?.startsWith('HPE_') ? 'runtime_invalid' : 'runtime_died', details)
}
