import type { ProviderConfig, RuntimeTarget, ServerConfig, WorkerHeaderNames } from '../config.ts'
import { ConfigError } from '../errors/errors.ts'
import type { Budget, Policy, Rule } from '../rules.ts'
import { isOffered, offerable } from './providers.ts'
import type { ParsedServer } from './schema.ts'

const headerNames: WorkerHeaderNames = {
  workerSecret: 'x-emcy-worker-secret',
  accessToken: 'x-emcy-access-token',
  subject: 'x-emcy-subject',
  clientId: 'x-emcy-client-id',
  scopes: 'x-emcy-scopes',
  requestId: 'x-emcy-request-id',
}

/* Headers that mean something to HTTP, MCP or tracing, so the contract cannot use their names. */
const reservedHeaders =
  /^(accept.*|authorization|baggage|connection|content-.*|cookie|expect|forwarded|host|keep-alive|last-event-id|mcp-.*|origin|proxy-.*|referer|te|trace(parent|state)|trailer|transfer-encoding|upgrade|user-agent|via|x-forwarded-.*)$/

/** What servers share. */
export interface ServerContext {
  issuer: string
  providers: Record<string, ProviderConfig>
  policy: Policy | undefined
  budgets: Budget[]
}

/**
 * The configuration of one server.
 *
 * @throws ConfigError naming the option
 */
export function parseServer(id: string, given: ParsedServer, shared: ServerContext): ServerConfig {
  const option = `servers.${id}`
  const provider = providerOf(option, given, shared.providers)
  const scopes = scopesOf(option, given, provider)
  const policies = [named(shared.policy, 'gateway'), named(given.policy, 'server')].filter((policy) => policy !== undefined)
  checkRequiredScopes(`${option}.policy`, given.policy, scopes)
  return {
    id,
    displayName: given.name ?? id,
    path: given.path,
    resource: shared.issuer + given.path,
    runtime: runtimeOf(given.runtime),
    workerSecrets: secretsOf(option, given.workerSecret),
    scopes,
    requiredScopes: requiredScopesOf(option, given, scopes),
    provider: provider?.id,
    grants: given.grants ?? (provider ? 'own' : 'none'),
    serviceGrant: serviceGrantOf(option, given, provider),
    headers: headersOf(option, given.headers),
    policies,
    budgets: [...shared.budgets, ...(given.budgets ?? [])],
    origins: given.origins ?? [],
    refusals: given.refusals ?? 'agent',
  }
}

function providerOf(option: string, given: ParsedServer, providers: Record<string, ProviderConfig>): ProviderConfig | undefined {
  const ids = Object.keys(providers)
  if (given.provider !== undefined) {
    const provider = Object.hasOwn(providers, given.provider) ? providers[given.provider] : undefined
    if (!provider) throw new ConfigError(`${option}.provider`, ids.length === 0 ? 'there is no downstream' : `is none of ${ids.join(', ')}`)
    return provider
  }
  if (ids.length > 1) throw new ConfigError(`${option}.provider`, `must say which of ${ids.join(', ')}, since downstream has several`)
  if (ids.length === 0 && given.grants !== undefined && given.grants !== 'none') {
    throw new ConfigError(`${option}.grants`, `'${given.grants}' needs a downstream, and there is none`)
  }
  return providers[ids[0] ?? '']
}

function scopesOf(option: string, given: ParsedServer, provider: ProviderConfig | undefined): string[] {
  if (!given.scopes) return provider ? offerable(provider) : []
  const foreign = provider && given.scopes.find((scope) => !isOffered(provider, scope))
  if (foreign) throw new ConfigError(`${option}.scopes`, `'${foreign}' is neither in the provider's scopes nor in its scopeMap`)
  return given.scopes
}

function requiredScopesOf(option: string, { requiredScopes = [] }: ParsedServer, scopes: readonly string[]): string[] {
  const unknown = requiredScopes.find((scope) => !scopes.includes(scope))
  if (unknown) throw new ConfigError(`${option}.requiredScopes`, `'${unknown}' is no scope that a client can get here`)
  return requiredScopes
}

/* A public client has nothing to prove itself with, so no server gives it a token of its own (RFC 6749 §4.4). */
function serviceGrantOf(option: string, given: ParsedServer, provider: ProviderConfig | undefined): ServerConfig['serviceGrant'] {
  if (given.serviceGrant === undefined) return undefined
  if (!provider || given.grants === 'none')
    throw new ConfigError(`${option}.serviceGrant`, 'is for a server with grants; this one gives its runtime no access token')
  if (provider.clientSecret === undefined) throw new ConfigError(`${option}.serviceGrant`, `needs a clientSecret at the provider '${provider.id}'`)
  return given.serviceGrant
}

function runtimeOf(runtime: ParsedServer['runtime']): RuntimeTarget {
  if (typeof runtime === 'function') return { kind: 'local', handler: runtime }
  return { kind: 'http', urls: typeof runtime === 'string' ? [runtime] : runtime }
}

function secretsOf(option: string, given: string | string[]): string[] {
  const secrets = typeof given === 'string' ? [given] : given
  if (new Set(secrets).size < secrets.length) throw new ConfigError(`${option}.workerSecret`, 'names a secret twice')
  return secrets
}

function headersOf(option: string, given: ParsedServer['headers']): WorkerHeaderNames {
  const headers = { ...headerNames }
  for (const [use, name] of Object.entries(given ?? {})) {
    const lower = name.toLowerCase()
    if (reservedHeaders.test(lower)) throw new ConfigError(`${option}.headers.${use}`, `'${name}' has a meaning of its own`)
    headers[use as keyof WorkerHeaderNames] = lower
  }
  // Compared as the strip rule does: with - and _ alike.
  const spellings = Object.values(headers).map((name) => name.replaceAll('_', '-'))
  if (new Set(spellings).size < spellings.length) throw new ConfigError(`${option}.headers`, 'gives two uses one name')
  return headers
}

/** Rules without a name get one that says where they stand. */
function named(policy: Policy | undefined, whose: 'gateway' | 'server'): Policy | undefined {
  return policy && { ...policy, rules: policy.rules.map((rule, index): Rule => ({ ...rule, name: rule.name ?? `${whose} rule ${index + 1}` })) }
}

/** A scope that no client can get here would be asked for in vain, again and again. */
export function checkRequiredScopes(option: string, policy: Policy | undefined, scopes: readonly string[]): void {
  for (const [index, rule] of (policy?.rules ?? []).entries()) {
    const unknown = rule.tools && rule.requireScopes.find((scope) => !scopes.includes(scope))
    if (unknown) throw new ConfigError(`${option}.rules[${index}].requireScopes`, `'${unknown}' is no scope that a client can get here`)
  }
}
