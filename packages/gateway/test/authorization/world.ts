import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { createAccount } from '../../src/account/account.ts'
import { createAuthorization } from '../../src/authorization/authorization.ts'
import type { Config, ProviderConfig, ServerConfig } from '../../src/config.ts'
import type { EndingDeps } from '../../src/ending/ending.ts'
import { createDownstream, type Downstream } from '../../src/grants/downstream.ts'
import { createGuardedFetch } from '../../src/http/guarded-fetch.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import type { LogEvent } from '../../src/log/events.ts'
import { defaultEndpoints, defaultLimits } from '../../src/options/options.ts'
import { defaultTokens } from '../../src/options/tokens.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { providerAt } from '../grants/given.ts'
import { type Browser, clientRedirect, type Page } from './browser.ts'
import { type DownstreamServer, listen, startDownstreamServer, stop } from './downstream-server.ts'

/** A gateway's OAuth endpoints in front of a real authorization server. */
export interface World {
  issuer: string
  config: Config
  deps: EndingDeps
  provider: DownstreamServer
  events: LogEvent[]
  /** Moves the gateway's clock. */
  advance(seconds: number): void
  /** Makes every store operation fail, or work again. */
  outage(on: boolean): void
  authorizeUrl(members?: Record<string, string | undefined>): URL
  token(members: Record<string, string | undefined>, headers?: Record<string, string>): Promise<Answer>
  post(path: string, members: Record<string, string | undefined>, headers?: Record<string, string>): Promise<Answer>
  close(): Promise<void>
}

export interface Answer {
  status: number
  headers: Headers
  text: string
  body: Record<string, unknown>
}

export const verifier = randomBytes(32).toString('base64url')
export const challenge = createHash('sha256').update(verifier).digest('base64url')

export interface WorldOptions {
  config?: Partial<Config>
  server?: Partial<ServerConfig>
  moreServers?: Record<string, Partial<ServerConfig>>
  provider?: Partial<ProviderConfig>
  /** Lets the gateway fetch what clients name, from loopback too. */
  fetches?: boolean
}

/** Starts both on free ports of 127.0.0.1. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const http = createServer()
  const issuer = await listen(http)
  const provider = await startDownstreamServer(`${issuer}/callback`)
  const events: LogEvent[] = []
  let skew = 0
  let down = false
  const clock = () => Date.now() + skew
  const config = testConfig(issuer, provider.issuer, options)
  const deps: EndingDeps = {
    config,
    store: withOutage(memoryStore({ clock }), () => down),
    keys: createKeyRing(['a secret of the test, long enough for the ring']),
    clock,
    random: (bytes) => randomBytes(bytes).toString('base64url'),
    guardedFetch: options.fetches ? createGuardedFetch({ allowPrivateAddresses: true }) : () => Promise.reject(new Error('no outgoing requests in this test')),
    log: { write: (event) => void events.push(event), dropped: 0 },
    downstreams: {},
  }
  const downstreams: Record<string, Downstream> = {}
  for (const each of Object.values(config.providers)) downstreams[each.id] = createDownstream(each, deps)
  deps.downstreams = downstreams
  const parts = [createAuthorization(deps), createAccount(deps)]
  http.on('request', (req, res) => {
    const run = (index: number): void => {
      const part = parts[index]
      if (part) part(req, res, () => run(index + 1))
      else res.writeHead(404).end('not ours')
    }
    run(0)
  })
  const post = async (path: string, members: Record<string, string | undefined>, headers: Record<string, string> = {}): Promise<Answer> => {
    const body = new URLSearchParams(Object.entries(members).filter((pair): pair is [string, string] => pair[1] !== undefined))
    const response = await fetch(issuer + path, { method: 'POST', body, headers, redirect: 'manual' })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: text.startsWith('{') ? JSON.parse(text) : {} }
  }
  return {
    issuer,
    config,
    deps,
    provider,
    events,
    advance: (seconds) => {
      skew += seconds * 1000
    },
    outage: (on) => {
      down = on
    },
    authorizeUrl: (members = {}) => authorizeUrl(issuer, members),
    post,
    token: (members, headers) => post('/token', { client_id: 'cli', ...members }, headers),
    close: async () => {
      await stop(http)
      await provider.close()
    },
  }
}

function authorizeUrl(issuer: string, members: Record<string, string | undefined>): URL {
  const url = new URL(`${issuer}/authorize`)
  const all = {
    response_type: 'code',
    client_id: 'cli',
    redirect_uri: clientRedirect,
    code_challenge: challenge,
    code_challenge_method: 'S256',
    state: 'the state',
    ...members,
  }
  for (const [name, value] of Object.entries(all)) if (value !== undefined) url.searchParams.set(name, value)
  return url
}

/** The code that a browser was sent to the client with. */
export function codeOf(page: Page): string {
  const code = page.toClient?.searchParams.get('code')
  if (!code) throw new Error(`no code: ${page.toClient ?? `${page.status} ${page.url} ${page.text.slice(0, 400)}`}`)
  return code
}

/** Consents, logs in, redeems the code. */
export async function connect(world: World, browser: Browser, user: string, members: Record<string, string | undefined> = {}): Promise<Record<string, string>> {
  const code = codeOf(await browser.authorize(world.authorizeUrl(members), user))
  const answer = await world.token({ grant_type: 'authorization_code', code, code_verifier: verifier, client_id: members.client_id ?? 'cli' })
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.text}`)
  return answer.body as Record<string, string>
}

/** Holds reads of transactions back until `count` of them are waiting: callers then decide on the same state, as they may on several replicas. */
export function holdReads(world: World, count: number): void {
  const { store } = world.deps
  const waiting: (() => void)[] = []
  world.deps.store = new Proxy(store, {
    get(target, name) {
      if (name !== 'get') return Reflect.get(target, name)
      return async (key: string) => {
        const value = await target.get(key)
        if (!key.startsWith('pending:')) return value
        await new Promise<void>((resolve) => {
          waiting.push(resolve)
          if (waiting.length < count) return
          world.deps.store = store
          for (const go of waiting) go()
        })
        return value
      }
    },
  })
}

function withOutage(store: Store, isDown: () => boolean): Store {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function' || name === 'close') return value
      return async (...given: unknown[]) => {
        if (isDown()) throw new (await import('../../src/errors/errors.ts')).StoreUnavailable('switched off by the test')
        return value.apply(target, given)
      }
    },
  })
}

function testServer(issuer: string, id: string, more: Partial<ServerConfig>): ServerConfig {
  return {
    id,
    displayName: `The ${id} server`,
    path: `/${id}`,
    resource: `${issuer}/${id}`,
    runtime: { kind: 'http', urls: ['http://127.0.0.1:9/mcp'] },
    workerSecrets: ['worker-secret-of-the-test'],
    scopes: ['todos.read', 'todos.write'],
    provider: 'default',
    grants: 'own',
    requiredScopes: [],
    serviceGrant: undefined,
    headers: { workerSecret: 'a', accessToken: 'b', subject: 'c', clientId: 'd', scopes: 'e', requestId: 'f' },
    policies: [],
    budgets: [],
    origins: [],
    refusals: 'agent',
    ...more,
  }
}

/** The configuration of clients of these tests, with what is given on top. */
export function clientsConfig(members: Partial<Config['clients']> = {}): Config['clients'] {
  return {
    preregistered: [
      { clientId: 'cli', redirectUris: [clientRedirect], name: 'Command <b>line</b> & "Co"' },
      { clientId: 'web', redirectUris: ['https://app.example/done?tenant=1'], name: 'Web app' },
      { clientId: 'two', redirectUris: ['https://two.example/a', 'https://two.example/b'], name: 'Two URIs' },
      { clientId: 'secret', clientSecret: 'correct horse battery staple', redirectUris: ['https://app.example/secret'], name: 'Confidential' },
      { clientId: 'typo', redirectUris: [clientRedirect], name: 'Typo', scopes: ['todos.raed'] },
      { clientId: 'reader', redirectUris: [clientRedirect], name: 'Reader', scopes: ['todos.read'] },
      { clientId: 'pusher', redirectUris: [clientRedirect], name: 'Pusher', requirePushedRequests: true },
    ],
    metadataDocuments: false,
    registration: {
      initialAccessToken: undefined,
      unusedExpirySeconds: 86_400,
      perSourcePerHour: 1000,
      maxClients: 100_000,
      softwareStatements: undefined,
    },
    pushedRequests: 'offered',
    ...members,
  }
}

function testConfig(issuer: string, downstream: string, options: WorldOptions): Config {
  const more = Object.entries(options.moreServers ?? {}).map(([id, server]) => [id, testServer(issuer, id, server)] as const)
  return {
    issuer,
    basePath: '',
    origin: issuer,
    loopback: true,
    endpoints: defaultEndpoints,
    providers: {
      default: providerAt(downstream, { clientSecret: 'gateway-secret', ...options.provider }),
    },
    servers: { mcp: testServer(issuer, 'mcp', options.server ?? {}), ...Object.fromEntries(more) },
    clients: clientsConfig(),
    consent: { remember: true, name: 'Todo, Inc.', logo: undefined, colours: {}, texts: {}, chooseScopes: true, render: undefined },
    enterprise: {},
    scopeHierarchy: {},
    tokens: defaultTokens,
    limits: defaultLimits,
    identify: undefined,
    onMismatch: 'block',
    ...options.config,
  }
}
