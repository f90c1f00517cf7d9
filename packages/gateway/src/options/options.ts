import { randomBytes } from 'node:crypto'
import type { Config, EndpointsConfig, LimitsConfig } from '../config.ts'
import { ConfigError } from '../errors/errors.ts'
import { isLoopbackHost } from '../lib/loopback.ts'
import type { LogOption } from '../log/sink.ts'
import { words } from '../pages/words.ts'
import type { Budget } from '../rules.ts'
import { isKeyv, isMapBacked } from '../store/keyv-like.ts'
import { parseClients } from './clients.ts'
import { closest, explain } from './explain.ts'
import type { GatewayOptions, StoreOptions } from './gateway-options.ts'
import { parseProviders } from './providers.ts'
import { optionsSchema, type ParsedOptions } from './schema.ts'
import { checkRequiredScopes, parseServer } from './servers.ts'
import { parseEnterprise, parseScopeHierarchy, parseTokens } from './tokens.ts'

/** What options come to. */
export interface Parsed {
  /** Complete, with defaults, deeply frozen. */
  config: Config
  store: StoreOptions['store'] | undefined
  replicas: 'one' | 'many'
  secrets: string[]
  log: LogOption
  /** Undefined when the real one counts. */
  clock: (() => number) | undefined
  /** What an operator should read at start. */
  warnings: string[]
}

/** Defaults of `options.limits`. */
export const defaultLimits: LimitsConfig = {
  bodyBytes: 4_194_304,
  jsonDepth: 64,
  responseStartSeconds: 60,
  streamsPerConnection: 100,
  responseBytes: 16_777_216,
  oauthBodyBytes: 65_536,
  bodySeconds: 30,
  storeSeconds: 1,
}

/** Defaults of `options.endpoints`. */
export const defaultEndpoints: EndpointsConfig = {
  authorize: '/authorize',
  consent: '/consent',
  callback: '/callback',
  token: '/token',
  register: '/register',
  revoke: '/revoke',
  introspect: '/introspect',
  jwks: '/jwks',
  par: '/par',
  clientLogo: '/client-logo',
  account: '/account',
  reconnect: '/reconnect',
}

/**
 * Parses the options once, at creation.
 *
 * @throws ConfigError naming the first option that is wrong, with what to change
 */
export function parseOptions(given: GatewayOptions): Parsed {
  const parsed = optionsSchema.safeParse(given)
  if (!parsed.success) throw explain(parsed.error, '')
  const options = parsed.data
  const warnings: string[] = []
  const place = parsePublicUrl(options.publicUrl)
  const providers = parseProviders(options.downstream)
  const shared = { issuer: place.issuer, providers, policy: options.policy, budgets: options.budgets ?? [] }
  const servers = Object.fromEntries(Object.entries(options.servers).map(([id, server]) => [id, parseServer(id, server, shared)]))
  const scopes = Object.values(servers).flatMap((server) => server.scopes)
  checkRequiredScopes('policy', options.policy, scopes)
  checkBudgetNames(options)
  const endpoints = { ...defaultEndpoints, ...options.endpoints }
  checkPaths(endpoints, options)
  const config: Config = {
    ...place,
    endpoints,
    providers,
    servers,
    clients: parseClients(options, scopes, warnings),
    consent: parseConsent(options, place.origin),
    enterprise: parseEnterprise(options),
    scopeHierarchy: parseScopeHierarchy(options, scopes),
    tokens: parseTokens(options),
    limits: { ...defaultLimits, ...options.limits },
    identify: options.identify,
    onMismatch: options.onMismatch ?? 'block',
  }
  for (const server of Object.values(servers)) {
    if (server.provider !== undefined || options.identify) continue
    warnings.push(`servers.${server.id} has neither a downstream nor identify: nobody signs in, and whoever passes the consent page may call it`)
  }
  const secrets = parseSecrets(options, warnings)
  const { store, replicas = 'one', log, clock } = options
  return { config: deepFreeze(config), store, replicas, secrets, log, clock, warnings }
}

/**
 * `publicUrl`, to the character: it is compared as a plain string by every client, so a spelling that a URL parser would change is refused rather than mended.
 */
function parsePublicUrl(given: string): Pick<Config, 'issuer' | 'origin' | 'basePath' | 'loopback'> {
  const refuse = (message: string): never => {
    throw new ConfigError('publicUrl', message)
  }
  const url = URL.parse(given) ?? refuse("must be an absolute URL, for example 'https://mcp.example.com'")
  const loopback = url.protocol === 'http:' && isLoopbackHost(url.hostname)
  if (url.protocol !== 'https:' && !loopback) refuse('must be an https URL; http only on a loopback host')
  if (url.username !== '' || url.password !== '') refuse('must have no user name and no password')
  if (/[?#]/.test(given)) refuse('must have no query and no fragment')
  const issuer = given.replace(/\/$/, '')
  const canonical = url.href.replace(/\/$/, '')
  if (issuer !== canonical) refuse(`must be written as '${canonical}'`)
  const basePath = url.pathname.replace(/\/$/, '')
  if (!/^(\/[A-Za-z0-9._~-]+)*$/.test(basePath)) refuse('must have a path of segments of letters, digits, `.`, `_`, `~` and `-`, or none')
  return { issuer, origin: url.origin, basePath, loopback }
}

function checkPaths(endpoints: EndpointsConfig, { servers }: ParsedOptions): void {
  const owners = new Map<string, string>()
  const all = [
    ...Object.entries(endpoints).map(([name, path]) => [`endpoints.${name}`, path] as const),
    ...Object.entries(servers).map(([id, server]) => [`servers.${id}.path`, server.path] as const),
  ]
  for (const [option, path] of all) {
    const owner = owners.get(path)
    if (owner) throw new ConfigError(option, `'${path}' is taken by ${owner}`)
    owners.set(path, option)
  }
}

/* A counter is found by its budget's name, so a name that stood twice would mix two budgets. */
function checkBudgetNames({ budgets = [], servers }: ParsedOptions): void {
  const seen = new Map<string, string>()
  const all: [option: string, budgets: Budget[]][] = [
    ['budgets', budgets],
    ...Object.entries(servers).map(([id, server]): [string, Budget[]] => [`servers.${id}.budgets`, server.budgets ?? []]),
  ]
  for (const [option, list] of all) {
    for (const [index, { name }] of list.entries()) {
      const owner = seen.get(name)
      if (owner) throw new ConfigError(`${option}[${index}].name`, `'${name}' is taken by ${owner}`)
      seen.set(name, `${option}[${index}]`)
    }
  }
}

function parseConsent({ consent = {} }: ParsedOptions, origin: string): Config['consent'] {
  const known = Object.keys(words)
  for (const key of Object.keys(consent.texts ?? {})) {
    if (known.includes(key) || key.startsWith('scope:')) continue
    const meant = closest(key, known)
    throw new ConfigError(`consent.texts.${key}`, `is no text of the pages; ${meant ? `did you mean '${meant}'?` : `known: ${known.join(', ')}, scope:NAME`}`)
  }
  const { remember = true, name = new URL(origin).host, logo, colours = {}, texts = {}, chooseScopes = true, render } = consent
  return { remember, name, logo, colours, texts, chooseScopes, render }
}

/* Without secrets of its own a gateway forgets what it sealed at the next start, so that is only good enough where everything is forgotten. */
function parseSecrets({ secrets, store, replicas }: ParsedOptions, warnings: string[]): string[] {
  const memory = isMemory(store)
  if (store === undefined) warnings.push("store is left out: everything is kept in memory and lost at the end of the process; 'sqlite:./gateway.db' keeps it")
  if (memory && replicas === 'many') throw new ConfigError('replicas', "'many' needs a store that the replicas share")
  if (secrets) return secrets
  if (!memory) throw new ConfigError('secrets', 'must be set when there is a store: without it nothing in the store can be opened after a restart')
  warnings.push('secrets is left out: a random one is used until the end of the process')
  return [randomBytes(32).toString('base64url')]
}

function isMemory(store: ParsedOptions['store']): boolean {
  if (store === undefined || store === 'memory:') return true
  if (typeof store === 'string') return false
  return isKeyv(store) ? isMapBacked(store) : 'name' in store && store.name === 'memory'
}

/** Freezes objects and lists of our own making; functions and instances of classes are the team's and stay as they are. */
function deepFreeze<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value
  if (!Array.isArray(value) && Object.getPrototypeOf(value) !== Object.prototype) return value
  for (const inner of Object.values(value)) deepFreeze(inner)
  return Object.freeze(value)
}
