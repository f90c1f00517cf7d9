import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** Options of {@link workerContract}. */
export interface WorkerContractOptions {
  /** The server's `workerSecret`, or several while one replaces another: any of them is accepted. */
  secret: string | undefined | (string | undefined)[]
  /** Header names, where the server's `headers` option gives others than the default ones. */
  headers?: Partial<Record<keyof WorkerContract | 'workerSecret', string>>
}

/** What the gateway says of one call. */
export interface WorkerContract {
  /** The user's downstream access token, to call the team's API with; undefined when the server has no user grants. */
  accessToken: string | undefined
  /** The user: `sub` as the downstream provider names it. */
  subject: string | undefined
  /** The MCP client on whose behalf. */
  clientId: string | undefined
  /** The connection's scopes. */
  scopes: string[]
  /** The id under which the gateway logs this call. */
  requestId: string | undefined
}

const defaultNames: Record<keyof WorkerContract | 'workerSecret', string> = {
  workerSecret: 'x-emcy-worker-secret',
  accessToken: 'x-emcy-access-token',
  subject: 'x-emcy-subject',
  clientId: 'x-emcy-client-id',
  scopes: 'x-emcy-scopes',
  requestId: 'x-emcy-request-id',
}

const contracts = new WeakMap<IncomingMessage, WorkerContract>()

/**
 * The runtime's side of the worker contract, for TypeScript runtimes: a middleware that lets a request pass only when it came through the gateway, which one header
 * proves. Everything else is answered with 401. Works in Express, Connect and plain `http`; mount it before anything that looks at the request.
 *
 * @throws Error at creation, when there is no secret or one is empty: such a runtime would be open
 */
export function workerContract(options: WorkerContractOptions): (req: IncomingMessage, res: ServerResponse, next: (error?: unknown) => void) => void {
  const secrets = [options.secret].flat()
  if (secrets.length === 0) throw new Error('workerContract: secret is an empty list')
  const hashes = secrets.map((secret) => {
    if (typeof secret !== 'string' || secret === '')
      throw new Error('workerContract: secret is not set; does the environment variable that it comes from exist?')
    return hashOf(secret)
  })
  const names = { ...defaultNames, ...options.headers }
  return function workerContract(req, res, next) {
    const given = valuesOf(req, names.workerSecret)
    // Every comparison is made, each in constant time, so that the time tells nothing of which secret is near.
    const accepted = given.length === 1 && hashes.map((hash) => timingSafeEqual(hash, hashOf(given[0] ?? ''))).includes(true)
    if (!accepted) return refuse(res)
    contracts.set(req, read(req, names))
    next()
  }
}

/**
 * What the gateway said of a call.
 *
 * @param req a request that {@link workerContract} let pass
 * @throws Error for any other request: its headers prove nothing
 */
export function readContract(req: IncomingMessage): WorkerContract {
  const contract = contracts.get(req)
  if (!contract) throw new Error('readContract: workerContract has not checked this request')
  return contract
}

function read(req: IncomingMessage, names: typeof defaultNames): WorkerContract {
  const one = (use: keyof WorkerContract) => valuesOf(req, names[use])[0]
  return {
    accessToken: one('accessToken'),
    subject: one('subject'),
    clientId: one('clientId'),
    scopes: (one('scopes') ?? '').split(' ').filter((scope) => scope !== ''),
    requestId: one('requestId'),
  }
}

/* Each value of a header by itself. `req.headers` joins them, so that two secrets would look like one. */
function valuesOf(req: IncomingMessage, name: string): string[] {
  const wanted = name.toLowerCase()
  return req.rawHeaders.filter((_, index) => index % 2 === 1 && req.rawHeaders[index - 1]?.toLowerCase() === wanted)
}

function hashOf(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}

/* RFC 9110 §15.5.2: a 401 names what would be accepted. The scheme is not Bearer, so nobody takes it for a refused user token. */
function refuse(res: ServerResponse): void {
  res.writeHead(401, { 'content-type': 'application/json', 'www-authenticate': 'Emcy-Worker-Secret', 'cache-control': 'no-store' })
  res.end('{"error":"unauthorized","error_description":"This runtime is reached through its gateway only."}')
}
