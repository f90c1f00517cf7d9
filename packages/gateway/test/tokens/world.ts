import { randomUUID } from 'node:crypto'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import { type CryptoKey, calculateJwkThumbprint, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { createGateway, type Gateway } from '../../src/gateway.ts'
import { fingerprint } from '../../src/keys/fingerprint.ts'
import { s256Challenge } from '../../src/lib/pkce.ts'
import type { LogEvent } from '../../src/log/events.ts'
import type { GatewayBasics, ServerOptions } from '../../src/options/gateway-options.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { Browser, clientRedirect } from '../authorization/browser.ts'
import { type DownstreamServer, listen, startDownstreamServer, stop } from '../authorization/downstream-server.ts'

export const verifier = 'verifier-of-at-least-forty-three-characters-0123'
export const secrets = { service: 'the secret of the service', inspector: 'the-secret-of-the-inspector', confidential: 'the-secret-of-the-web-app' }

/** What came as JSON; each test says itself what it expects of it. */
type Parsed = ReturnType<typeof JSON.parse>

/** A whole gateway on a port, in front of a real authorization server and a runtime that says what reached it. */
export interface TokenWorld {
  issuer: string
  gateway: Gateway
  store: Store
  provider: DownstreamServer
  events: LogEvent[]
  /** Headers of the last request that reached the runtime. */
  reached(): IncomingHttpHeaders | undefined
  advance(seconds: number): void
  outage(on: boolean): void
  get(path: string): Promise<Parsed>
  post(path: string, members: Record<string, string | undefined>, headers?: Record<string, string>): Promise<Answer>
  token(members: Record<string, string | undefined>, headers?: Record<string, string>): Promise<Answer>
  /** A code of a user who passed through the pages. */
  code(user: string, members?: Record<string, string>): Promise<string>
  /** A code, redeemed. */
  connect(user: string, members?: Record<string, string>, headers?: Record<string, string>): Promise<Answer>
  introspect(token: string): Promise<Parsed>
  /** A tool call at a server's path. */
  call(path: string, headers: Record<string, string>, tool?: string): Promise<Answer>

  close(): Promise<void>
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  body: Parsed
}

export interface TokenWorldOptions {
  gateway?: Partial<GatewayBasics>
  servers?: Record<string, Partial<ServerOptions>>
  /** Of the provider. */
  scopeMap?: Record<string, string[]>
  /** Puts something around the store. */
  around?: (store: Store) => Store
}

export async function startTokenWorld(options: TokenWorldOptions = {}): Promise<TokenWorld> {
  const http = createServer()
  const issuer = await listen(http)
  const provider = await startDownstreamServer(`${issuer}/callback`)
  const events: LogEvent[] = []
  let ahead = 0
  let down = false
  let reached: IncomingHttpHeaders | undefined
  const clock = () => Date.now() + ahead
  const plain = memoryStore({ clock })
  const store = withOutage(options.around?.(plain) ?? plain, () => down)
  const server = (path: string, more: Partial<ServerOptions>): ServerOptions => ({
    path,
    workerSecret: 'worker-secret-of-the-test',
    scopes: ['todos.read', 'todos.write'],
    runtime: (req, res) => {
      reached = req.headers
      const chunks: Buffer[] = []
      req.on('data', (chunk: Buffer) => chunks.push(chunk))
      req.on('end', () => {
        const { id } = JSON.parse(Buffer.concat(chunks).toString()) as { id: number }
        res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } }))
      })
    },
    ...more,
  })
  const servers = Object.entries(options.servers ?? { mcp: {} }).map(([id, more]) => [id, server(`/${id}`, more)] as const)
  const gateway = createGateway({
    publicUrl: issuer,
    downstream: {
      issuer: provider.issuer,
      clientId: 'gateway',
      clientSecret: 'gateway-secret',
      scopes: ['openid', 'todos.read', 'todos.write'],
      scopeMap: options.scopeMap ?? {},
    },
    servers: Object.fromEntries(servers),
    clients: {
      preregistered: [
        { clientId: 'cli', redirectUris: [clientRedirect], name: 'Command line' },
        { clientId: 'other', redirectUris: [clientRedirect], name: 'Another' },
        { clientId: 'web', clientSecret: secrets.confidential, redirectUris: [clientRedirect], name: 'Web app' },
        { clientId: 'bound', redirectUris: [clientRedirect], name: 'Bound tokens only', dpopBoundAccessTokens: true },
        { clientId: 'nightly', clientSecret: secrets.service.replaceAll(' ', '-'), name: 'Nightly job', service: true },
        { clientId: 'reader', clientSecret: secrets.service.replaceAll(' ', '-'), name: 'Reader', service: true, scopes: ['todos.read'] },
        { clientId: 'inspector', clientSecret: secrets.inspector, name: 'Inspector', introspect: true },
      ],
    },
    secrets: ['a secret of the test, long enough for the ring'.replaceAll(' ', '-')],
    store,
    clock,
    log: (event) => void events.push(event),
    ...options.gateway,
  })
  http.on('request', gateway)
  const post = async (path: string, members: Record<string, string | undefined>, headers: Record<string, string> = {}) => {
    const body = new URLSearchParams(Object.entries(members).filter((pair): pair is [string, string] => pair[1] !== undefined))
    return answerOf(await fetch(issuer + path, { method: 'POST', body, headers }))
  }
  const world: TokenWorld = {
    issuer,
    gateway,
    store,
    provider,
    events,
    reached: () => reached,
    advance: (seconds) => {
      ahead += seconds * 1000
    },
    outage: (on) => {
      down = on
    },
    get: async (path) => (await fetch(issuer + path)).json(),
    post,
    token: (members, headers) => post('/token', members, headers),
    async code(user, members = {}) {
      const url = new URL(`${issuer}/authorize`)
      const all = {
        response_type: 'code',
        client_id: 'cli',
        redirect_uri: clientRedirect,
        code_challenge: s256Challenge(verifier),
        code_challenge_method: 'S256',
        ...members,
      }
      for (const [name, value] of Object.entries(all)) url.searchParams.set(name, value)
      const page = await new Browser().authorize(url, user)
      const code = page.toClient?.searchParams.get('code')
      if (!code) throw new Error(`no code: ${page.toClient ?? `${page.status} ${page.text.slice(0, 400)}`}`)
      return code
    },
    async connect(user, members = {}, headers = {}) {
      const code = await world.code(user, members)
      const clientId = members.client_id ?? 'cli'
      const secret = clientId === 'web' ? secrets.confidential : undefined
      return world.token({ grant_type: 'authorization_code', code, code_verifier: verifier, client_id: clientId, client_secret: secret }, headers)
    },
    introspect: async (token) => (await post('/introspect', { token }, basic('inspector', secrets.inspector))).body,
    async call(path, headers, tool = 'list_todos') {
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: tool, arguments: {} } })
      const accept = 'application/json, text/event-stream'
      return answerOf(await fetch(issuer + path, { method: 'POST', body, headers: { 'content-type': 'application/json', accept, ...headers } }))
    },
    async close() {
      await stop(http)
      await gateway.close()
      await provider.close()
    },
  }
  return world
}

export function basic(id: string, secret: string): Record<string, string> {
  return { authorization: `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}` }
}

/** Of the two services. */
export const serviceSecret = secrets.service.replaceAll(' ', '-')

async function answerOf(response: Response): Promise<Answer> {
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: text.startsWith('{') ? JSON.parse(text) : undefined }
}

/** A key of a client's, and proofs made with it (RFC 9449 §4.2). */
export interface ProofKey {
  jkt: string
  jwk: JWK
  privateKey: CryptoKey
  /** @param members override claims; undefined leaves one out */
  proof(method: string, url: string, accessToken?: string, members?: Record<string, unknown>, header?: Record<string, unknown>): Promise<string>
}

export async function newProofKey(alg = 'ES256'): Promise<ProofKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true })
  const jwk = await exportJWK(publicKey)
  return {
    jkt: await calculateJwkThumbprint(jwk),
    jwk,
    privateKey,
    proof(method, url, accessToken, members = {}, header = {}) {
      const ath = accessToken === undefined ? {} : { ath: fingerprint(accessToken) }
      const claims = { jti: randomUUID(), htm: method, htu: url, iat: Math.floor(Date.now() / 1000), ...ath, ...members }
      return new SignJWT(JSON.parse(JSON.stringify(claims))).setProtectedHeader({ alg, typ: 'dpop+jwt', jwk, ...header }).sign(privateKey)
    },
  }
}

function withOutage(store: Store, isDown: () => boolean): Store {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function' || name === 'close') return value
      return async (...given: unknown[]) => {
        if (isDown()) throw new Error('switched off by the test')
        return value.apply(target, given)
      }
    },
  })
}
