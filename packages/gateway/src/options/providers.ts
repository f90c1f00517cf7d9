import type { Identity, ProviderConfig, ProviderTokens } from '../config.ts'
import { ConfigError } from '../errors/errors.ts'
import { idPattern } from './checks.ts'
import { explain } from './explain.ts'
import { type ParsedProvider, providerSchema } from './schema.ts'

/* Parameters that the gateway itself sets: another value would break the flow or its protection. */
const ownParameters = {
  authorizeParams: [
    'client_id',
    'redirect_uri',
    'response_type',
    'response_mode',
    'scope',
    'state',
    'nonce',
    'code_challenge',
    'code_challenge_method',
    'request',
    'request_uri',
  ],
  tokenParams: [
    'grant_type',
    'client_id',
    'client_secret',
    'client_assertion',
    'client_assertion_type',
    'code',
    'code_verifier',
    'redirect_uri',
    'refresh_token',
  ],
} as const

/**
 * The providers of `downstream`: one, which is called `default`, or several by name.
 *
 * @throws ConfigError naming the option
 */
export function parseProviders(downstream: Record<string, unknown> | undefined): Record<string, ProviderConfig> {
  if (downstream === undefined) return {}
  const single = ['issuer', 'clientId'].some((key) => typeof downstream[key] === 'string')
  const named: [id: string, option: string, given: unknown][] = single
    ? [['default', 'downstream', downstream]]
    : Object.entries(downstream).map(([id, given]) => [id, `downstream.${id}`, given])
  if (named.length === 0) throw new ConfigError('downstream', 'names no provider; leave it out when no runtime needs a grant')
  return Object.fromEntries(named.map(([id, option, given]) => [id, parseProvider(id, option, given)]))
}

function parseProvider(id: string, option: string, given: unknown): ProviderConfig {
  if (!idPattern.test(id)) throw new ConfigError(option, 'must be named by 1 to 60 letters, digits, `_` or `-`')
  const parsed = providerSchema.safeParse(given)
  if (!parsed.success) throw explain(parsed.error, option)
  const provider = parsed.data
  checkAuthentication(option, provider)
  checkScopeMap(option, provider)
  for (const [name, own] of Object.entries(ownParameters)) {
    const taken = Object.keys(provider[name as keyof typeof ownParameters] ?? {}).find((parameter) => (own as readonly string[]).includes(parameter))
    if (taken) throw new ConfigError(`${option}.${name}.${taken}`, 'is set by the gateway itself')
  }
  return {
    id,
    issuer: provider.issuer,
    endpoints: provider.endpoints,
    clientId: provider.clientId,
    clientSecret: provider.clientSecret,
    clientAuthentication: provider.clientAuthentication,
    scopes: withOpenid(provider),
    resource: provider.resource,
    audience: provider.audience,
    scopeMap: provider.scopeMap ?? {},
    authorizeParams: provider.authorizeParams ?? {},
    tokenParams: provider.tokenParams ?? {},
    identity: (provider.identity ?? 'id_token') as 'id_token' | ((tokens: ProviderTokens) => Identity),
    refreshAheadSeconds: provider.refreshAheadSeconds ?? 60,
    timeoutSeconds: provider.timeoutSeconds ?? 10,
  }
}

/* An ID token and the userinfo endpoint are there for those who ask for `openid` (OpenID Connect Core §3.1.2.1). */
function withOpenid({ scopes, identity = 'id_token', endpoints }: ParsedProvider): string[] {
  // An endpoint given by hand may be of a provider that knows OAuth alone and refuses the scope.
  const needed = identity === 'id_token' || (identity === 'userinfo' && !endpoints)
  return needed && !scopes.includes('openid') ? ['openid', ...scopes] : scopes
}

function checkAuthentication(option: string, { clientSecret, clientAuthentication: method }: ParsedProvider): void {
  if (method === undefined) return
  const needed = { none: 'undefined', private_key_jwt: 'object', client_secret_basic: 'string', client_secret_post: 'string' }[method]
  if (typeof clientSecret === needed) return
  const words = { undefined: 'no clientSecret', object: 'a clientSecret of the form { privateKey }', string: 'a clientSecret that is a text' }[needed]
  throw new ConfigError(`${option}.clientAuthentication`, `'${method}' needs ${words}`)
}

function checkScopeMap(option: string, { scopes, scopeMap = {} }: ParsedProvider): void {
  for (const [scope, mapped] of Object.entries(scopeMap)) {
    const foreign = mapped.find((one) => !scopes.includes(one))
    if (foreign) throw new ConfigError(`${option}.scopeMap.${scope}`, `asks for '${foreign}', which is not in ${option}.scopes`)
  }
}

/* Scopes about the sign-in itself. MCP clients are not offered them (clients.md line 14). */
const signInScopes: ReadonlySet<string> = new Set(['openid', 'profile', 'email', 'address', 'phone', 'offline_access'])

/** What clients may be offered at most: the names of the scope map, and the scopes that stand for themselves. */
export function offerable(provider: ProviderConfig): string[] {
  const mapped = new Set(Object.values(provider.scopeMap).flat())
  return [...new Set([...Object.keys(provider.scopeMap), ...provider.scopes.filter((scope) => !mapped.has(scope) && !signInScopes.has(scope))])]
}

/** Whether a scope that clients see leads to scopes that the provider's options list. */
export function isOffered(provider: ProviderConfig, scope: string): boolean {
  return Object.hasOwn(provider.scopeMap, scope) || provider.scopes.includes(scope)
}
