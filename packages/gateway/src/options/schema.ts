import { z } from 'zod'
import type { EndpointsConfig, IssuerKeys, LimitsConfig, RuntimeHandler, WorkerHeaderNames } from '../config.ts'
import type { Json } from '../lib/json.ts'
import type { LogOption } from '../log/sink.ts'
import { count, fn, httpUrl, idPattern, lifetime, line, origin, path, scopes, seconds, secret, secureUrl } from './checks.ts'
import { shape } from './explain.ts'
import type {
  ConsentOptions,
  EnterpriseIssuerOptions,
  GatewayBasics,
  PreregisteredClientOptions,
  ServerOptions,
  StoreOptions,
  TokensOptions,
} from './gateway-options.ts'
import { budgetSchema, policySchema } from './policy-schema.ts'

/*
 * What each option may be, taken alone. What several of them have to be together stands in options.ts, servers.ts and providers.ts. `exactOptional` refuses
 * a key that is there with the value undefined, which is mostly a forgotten environment variable: leaving `initialAccessToken` or `clientSecret` away would
 * open what it should close.
 */

const json = z.json() as unknown as z.ZodType<Json>
const jwk = z.record(z.string(), json)
const ids = z.string().regex(idPattern, 'must be 1 to 60 letters, digits, `_` or `-`')
const texts = z.record(z.string().min(1).max(200), z.string().max(4000))
const parameters = z.record(z.string().min(1), z.string())

const secretLength = 32
const sharedSecretLength = 16

const headerName = z.string().regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$/, 'must be a header name')

const runtimeUrls = z.union([httpUrl, z.array(httpUrl).min(1)])

/** Schema of one server. */
export const serverSchema = shape({
  path,
  runtime: z.union([runtimeUrls, fn<RuntimeHandler>()]),
  workerSecret: z.union([secret(sharedSecretLength), z.array(secret(sharedSecretLength)).min(1)]),
  name: line.exactOptional(),
  scopes: scopes.exactOptional(),
  requiredScopes: scopes.exactOptional(),
  serviceGrant: z.literal('client_credentials').exactOptional(),
  provider: ids.exactOptional(),
  grants: z.enum(['own', 'shared', 'none']).exactOptional(),
  headers: shape({
    workerSecret: headerName.exactOptional(),
    accessToken: headerName.exactOptional(),
    subject: headerName.exactOptional(),
    clientId: headerName.exactOptional(),
    scopes: headerName.exactOptional(),
    requestId: headerName.exactOptional(),
  } satisfies Record<keyof WorkerHeaderNames, z.ZodType>).exactOptional(),
  policy: policySchema.exactOptional(),
  budgets: z.array(budgetSchema).exactOptional(),
  origins: z.array(origin).exactOptional(),
  refusals: z.enum(['agent', 'http']).exactOptional(),
} satisfies Record<keyof ServerOptions, z.ZodType>)

/** Schema of one downstream provider. */
export const providerSchema = shape({
  issuer: secureUrl,
  endpoints: shape({
    authorization: secureUrl,
    token: secureUrl,
    userinfo: secureUrl.exactOptional(),
    introspection: secureUrl.exactOptional(),
    revocation: secureUrl.exactOptional(),
    jwks: secureUrl.exactOptional(),
  }).exactOptional(),
  clientId: line,
  clientSecret: z.union([secret(1), shape({ privateKey: jwk })]).exactOptional(),
  clientAuthentication: z.enum(['client_secret_basic', 'client_secret_post', 'private_key_jwt', 'none']).exactOptional(),
  scopes,
  resource: z
    .string()
    .refine((uri) => URL.canParse(uri) && !uri.includes('#'), 'must be an absolute URI without fragment')
    .exactOptional(),
  audience: line.exactOptional(),
  scopeMap: z.record(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/, 'must be a scope'), scopes).exactOptional(),
  authorizeParams: parameters.exactOptional(),
  tokenParams: parameters.exactOptional(),
  identity: z.union([z.enum(['id_token', 'userinfo', 'introspection']), fn<() => unknown>()]).exactOptional(),
  refreshAheadSeconds: z.int().min(0).max(86_400).exactOptional(),
  timeoutSeconds: z.int().min(1).max(60).exactOptional(),
})

const preregistered = shape({
  clientId: line,
  clientSecret: secret(sharedSecretLength).exactOptional(),
  redirectUris: z.array(z.string()).min(1).exactOptional(),
  name: line,
  jwks: shape({ keys: z.array(jwk).min(1) }).exactOptional(),
  jwksUri: secureUrl.exactOptional(),
  scopes: scopes.exactOptional(),
  service: z.boolean().exactOptional(),
  introspect: z.boolean().exactOptional(),
  dpopBoundAccessTokens: z.boolean().exactOptional(),
  requirePushedRequests: z.boolean().exactOptional(),
} satisfies Record<keyof PreregisteredClientOptions, z.ZodType>)

const enterprise = shape({
  issuers: z
    .record(
      secureUrl,
      shape({
        jwks: shape({ keys: z.array(jwk).min(1) }).exactOptional(),
        jwksUri: secureUrl.exactOptional(),
        identify: fn<NonNullable<EnterpriseIssuerOptions['identify']>>().exactOptional(),
      } satisfies Record<keyof EnterpriseIssuerOptions, z.ZodType>),
    )
    .refine((issuers) => Object.keys(issuers).length > 0, 'names no issuer; leave enterprise out to switch it off'),
})

const host = z.string().regex(/^(\*|(\*\.)?[a-z0-9-]+(\.[a-z0-9-]+)*)$/, "must be a host in lower case, with '*.' in front for its subdomains, or '*'")

const issuerKeys = shape({ jwks: shape({ keys: z.array(jwk).min(1) }).exactOptional(), jwksUri: secureUrl.exactOptional() })
  .refine(({ jwks, jwksUri }) => (jwks === undefined) !== (jwksUri === undefined), 'needs one of jwks and jwksUri')
  .transform((keys) => keys as IssuerKeys)

const clients = shape({
  preregistered: z.array(preregistered).exactOptional(),
  metadataDocuments: z
    .union([
      z.literal(false),
      shape({
        allow: z.array(host).min(1).exactOptional(),
        ask: z.array(host).exactOptional(),
        deny: z.array(host).exactOptional(),
        dangerouslyAllowPrivateAddresses: z.boolean().exactOptional(),
      }),
    ])
    .exactOptional(),
  registration: z
    .union([
      z.literal(false),
      shape({
        initialAccessToken: secret(sharedSecretLength).exactOptional(),
        unusedExpirySeconds: lifetime.exactOptional(),
        perSourcePerHour: count.exactOptional(),
        maxClients: count.exactOptional(),
        softwareStatements: shape({
          issuers: z
            .record(line, issuerKeys)
            .refine((issuers) => Object.keys(issuers).length > 0, 'names no issuer; leave softwareStatements out to ignore statements'),
          required: z.boolean().exactOptional(),
        }).exactOptional(),
      }),
    ])
    .exactOptional(),
  pushedRequests: z.enum(['off', 'offered', 'required']).exactOptional(),
})

const colour = z.string().regex(/^#([0-9a-f]{3}|[0-9a-f]{6})$/i, "must be a CSS hex colour, for example '#0a7'")

const consent = shape({
  remember: z.boolean().exactOptional(),
  name: line.exactOptional(),
  logo: z
    .string()
    .refine(
      (given) => URL.parse(given)?.protocol === 'https:' || /^data:image\/[\w.+-]+;base64,[A-Za-z0-9+/=]+$/.test(given),
      'must be an https URL or a base64 data: URI of an image',
    )
    .exactOptional(),
  colours: shape({ accent: colour.exactOptional(), accentDark: colour.exactOptional() }).exactOptional(),
  texts: texts.exactOptional(),
  chooseScopes: z.boolean().exactOptional(),
  render: fn<NonNullable<ConsentOptions['render']>>().exactOptional(),
} satisfies Record<keyof ConsentOptions, z.ZodType>)

const tokens = shape({
  accessTokenSeconds: lifetime.exactOptional(),
  refreshTokenSeconds: lifetime.exactOptional(),
  codeSeconds: z.int().min(1).max(600).exactOptional(),
  refreshGraceSeconds: z.int().min(0).max(3600).exactOptional(),
  accessTokenFormat: z.enum(['opaque', 'jwt']).exactOptional(),
  signingKeys: z.array(jwk).min(1).exactOptional(),
} satisfies Record<keyof TokensOptions, z.ZodType>)

const limits = shape({
  bodyBytes: z.int().min(1024).max(1_073_741_824).exactOptional(),
  jsonDepth: z.int().min(8).max(10_000).exactOptional(),
  responseStartSeconds: seconds.exactOptional(),
  streamsPerConnection: count.exactOptional(),
  responseBytes: z.int().min(1024).max(1_073_741_824).exactOptional(),
  oauthBodyBytes: z.int().min(1024).max(10_485_760).exactOptional(),
  bodySeconds: seconds.exactOptional(),
  storeSeconds: z.number().min(0.01).max(60).exactOptional(),
} satisfies Record<keyof LimitsConfig, z.ZodType>)

const endpoints = shape({
  authorize: path.exactOptional(),
  consent: path.exactOptional(),
  callback: path.exactOptional(),
  token: path.exactOptional(),
  register: path.exactOptional(),
  revoke: path.exactOptional(),
  introspect: path.exactOptional(),
  jwks: path.exactOptional(),
  par: path.exactOptional(),
  clientLogo: path.exactOptional(),
  account: path.exactOptional(),
  reconnect: path.exactOptional(),
} satisfies Record<keyof EndpointsConfig, z.ZodType>)

const log = z.custom<LogOption>(isLog, "must be a logger with info, warn and error, a function, 'stdout' or false").optional()

function isLog(given: unknown): boolean {
  if (given === undefined || given === false || given === 'stdout' || typeof given === 'function') return true
  return (
    typeof given === 'object' && given !== null && ['info', 'warn', 'error'].every((level) => typeof (given as Record<string, unknown>)[level] === 'function')
  )
}

/** Schema of all options; `downstream` and the members of `servers` are parsed by their own schemas, so that errors say which one. */
export const optionsSchema = shape({
  publicUrl: z.string(),
  downstream: z.record(z.string(), z.unknown()).exactOptional(),
  servers: z.record(ids, serverSchema).refine((servers) => Object.keys(servers).length > 0, 'needs at least one server'),
  clients: clients.exactOptional(),
  identify: fn<NonNullable<GatewayBasics['identify']>>().exactOptional(),
  onMismatch: z.enum(['block', 'ask']).exactOptional(),
  consent: consent.exactOptional(),
  tokens: tokens.exactOptional(),
  enterprise: enterprise.exactOptional(),
  scopeHierarchy: z.record(z.string(), scopes).exactOptional(),
  policy: policySchema.exactOptional(),
  budgets: z.array(budgetSchema).exactOptional(),
  log,
  limits: limits.exactOptional(),
  endpoints: endpoints.exactOptional(),
  clock: fn<() => number>().exactOptional(),
  store: z
    .custom<StoreOptions['store']>(
      (given) => typeof given === 'string' || (typeof given === 'object' && given !== null),
      "must be a Keyv, a pg.Pool, a text such as 'sqlite:./gateway.db' or 'redis://localhost', or a store",
    )
    .exactOptional(),
  secrets: z.array(secret(secretLength)).min(1).exactOptional(),
  replicas: z.enum(['one', 'many']).exactOptional(),
} satisfies Record<keyof GatewayBasics | keyof StoreOptions, z.ZodType>)

/** What {@link optionsSchema} gives. */
export type ParsedOptions = z.output<typeof optionsSchema>
/** What {@link serverSchema} gives. */
export type ParsedServer = z.output<typeof serverSchema>
/** What {@link providerSchema} gives. */
export type ParsedProvider = z.output<typeof providerSchema>
