import type { IncomingMessage } from 'node:http'
import type { ConsentView, EndpointsConfig, Identity, IssuerKeys, LimitsConfig, ProviderTokens, RuntimeHandler, User, WorkerHeaderNames } from '../config.ts'
import type { Json } from '../lib/json.ts'
import type { LogOption } from '../log/sink.ts'
import type { Budget, Policy } from '../rules.ts'
import type { StoreOption } from '../store/open-store.ts'

/**
 * A secret, usually from the environment. The type takes `undefined` so that `process.env.X` can stand here; when it *is* undefined, `createGateway` throws and
 * names the option.
 */
export type SecretOption = string | undefined

/** Options of {@link createGateway}. Unknown ones are refused. Sizes and durations carry their unit in the name. */
export type GatewayOptions = GatewayBasics & (MemoryOptions | StoreOptions)

/** Everything of {@link GatewayOptions} that does not depend on the store. */
export interface GatewayBasics {
  /**
   * What clients see: the OAuth issuer, to the character. https, or http on a loopback host; no query, no fragment; a path is allowed; one trailing slash is cut.
   * The resource identifier of a server is this plus its `path`. Choose it once: clients bind their tokens to it.
   */
  publicUrl: string
  /** The team's authorization server, or several by name. Left out: no runtime behind this gateway needs a user's grant. */
  downstream?: ProviderOptions | Record<string, ProviderOptions>
  /** The MCP servers by name: letters, digits, `_`, `-`. */
  servers: Record<string, ServerOptions>
  /** Which OAuth clients may connect. All three ways are open unless switched off. */
  clients?: ClientsOptions
  /**
   * The host app's own session: who is looking at this page. Used to find a remembered consent and to notice when somebody else signs in downstream; for servers
   * without a provider it is who the user is.
   */
  identify?: (req: IncomingMessage) => User | undefined | Promise<User | undefined>
  /** What happens when another user signs in downstream than was expected: `block` (default), or `ask` for consent again. */
  onMismatch?: 'block' | 'ask'
  /** Consent page. */
  consent?: ConsentOptions
  /** What the gateway issues: lifetimes, and the format of access tokens. */
  tokens?: TokensOptions
  /**
   * Enterprise-managed authorization: identity providers whose assertions about users (ID-JAG) are taken at the token endpoint, without a visit to the consent page. Left out:
   * off. See docs/enterprise.md.
   */
  enterprise?: EnterpriseOptions
  /**
   * Scope → scopes that it includes: whoever holds the broader one meets every need of the narrower (BC-13). What a narrower one includes is included too. Each is a
   * scope of some server.
   */
  scopeHierarchy?: Record<string, string[]>
  /** Who may call what on every server; a server's own policy comes on top. Left out: everything is allowed. */
  policy?: Policy
  /** Budgets counted over all servers; a server's own come on top. */
  budgets?: Budget[]
  /**
   * Where events go: a logger with `info`, `warn` and `error` (pino, console), a function, `'stdout'` for one JSON line an event, or `false`. Left out: only what
   * the gateway reports of its own troubles, on stderr.
   */
  log?: LogOption
  /** Bounds; see {@link LimitsConfig} for each and docs/options.md for the defaults. */
  limits?: Partial<LimitsConfig>
  /** Other paths for the endpoints of the authorization server, beside a host app that owns one of them. Each starts with a slash. */
  endpoints?: Partial<EndpointsConfig>
  /** Milliseconds since the epoch; for tests. `Date.now` when left out. */
  clock?: () => number
}

/** Nothing outlives the process: for development and for tests. */
export interface MemoryOptions {
  /** `memory:`, or left out with a warning. */
  store?: 'memory:'
  /** At least one of 32 characters or more. Left out: a random one, with a warning. */
  secrets?: SecretOption[]
  replicas?: 'one'
}

/** What is stored outlives the process, so the secrets that seal it have to, too. */
export interface StoreOptions {
  /**
   * `sqlite:PATH`, `redis://…`, `rediss://…`, `valkey://…`, `postgres://…`, any Keyv of version 5 or 6, a `pg.Pool`, or a store of one's own that passes the
   * contract in `@emcy/gateway/testing`.
   */
  store: StoreOption
  /** At least one of 32 characters or more. The first seals and signs, every one opens: put a new one first, and drop the old one when its tokens have expired. */
  secrets: SecretOption[]
  /** `many`: several processes share the store. Refuses one that is not atomic across processes. `one` when left out. */
  replicas?: 'one' | 'many'
}

/** One MCP server behind the gateway. */
export interface ServerOptions {
  /** Path below `publicUrl`, for example `/mcp`. Unique; no trailing slash. */
  path: string
  /** URL of the private MCP runtime, several that are tried in turn, or a handler `(req, res)` in this process. */
  runtime: string | string[] | RuntimeHandler
  /** Shared with the runtime, 16 characters or more. Of several the first is sent. */
  workerSecret: SecretOption | SecretOption[]
  /**
   * `own` (default with a `downstream`): one downstream grant a connection; `shared`: one for a user at this server, for providers that keep few grants a user;
   * `none`: the runtime gets no access token, though users still sign in where there is a provider.
   */
  grants?: 'own' | 'shared' | 'none'
  /**
   * Where the downstream token of a service comes from, which calls without a user: `client_credentials`, a token of the gateway's own at the provider. Left out: services
   * get no token for a server whose runtime works with users' grants, since no user's is ever lent to them.
   */
  serviceGrant?: 'client_credentials'
  /** Which provider, when there are several in `downstream`. */
  provider?: string
  /** What the consent page calls it; its key in `servers` when left out. */
  name?: string
  /**
   * What a client may get here, and what it gets when it asks for nothing. A subset of the provider's scopes as `scopeMap` names them. Left out: all of these but
   * those of OpenID Connect (`openid`, `profile`, `email`, `address`, `phone`, `offline_access`).
   */
  scopes?: string[]
  /** Those of `scopes` without which nothing works here: a user cannot leave them out on the consent page. None when left out. */
  requiredScopes?: string[]
  /** Other names for the headers of the worker contract. */
  headers?: Partial<WorkerHeaderNames>
  /** On top of the gateway's. */
  policy?: Policy
  /** On top of the gateway's; names are unique over all of them. */
  budgets?: Budget[]
  /** Browser origins that may call, besides the one of `publicUrl`; `*` for every one. */
  origins?: string[]
  /** `agent` (default): refusals that MCP clients survive; `http`: HTTP statuses, for callers that are no MCP clients. */
  refusals?: 'agent' | 'http'
}

/** The team's authorization server, at which the gateway is an OAuth client with the redirect URI `publicUrl` + `/callback`. */
export type ProviderOptions = ProviderBasics & (ProviderPublicClient | ProviderSecretClient | ProviderKeyClient)

/** The gateway is a public client there. */
export interface ProviderPublicClient {
  clientSecret?: never
  clientAuthentication?: 'none'
}

/** The gateway has a secret there. */
export interface ProviderSecretClient {
  clientSecret: SecretOption
  /** From the provider's metadata when left out. */
  clientAuthentication?: 'client_secret_basic' | 'client_secret_post'
}

/** The gateway signs there (RFC 7523). */
export interface ProviderKeyClient {
  /** A private JWK. */
  clientSecret: { privateKey: Record<string, Json> }
  clientAuthentication?: 'private_key_jwt'
}

/** Everything of {@link ProviderOptions} that does not depend on how the gateway authenticates. */
export interface ProviderBasics {
  /** To the character as its metadata says it; https, or http on a loopback host. Endpoints are found by discovery. */
  issuer: string
  /** Endpoints by hand, for a provider without discovery. */
  endpoints?: { authorization: string; token: string; userinfo?: string; introspection?: string; revocation?: string; jwks?: string }
  /** The gateway's client id there. */
  clientId: string
  /** All that the gateway may ever ask for; `openid` is added where `identity` needs it. */
  scopes: string[]
  /** RFC 8707: the API that the tokens are for. */
  resource?: string
  /** The same for providers that want an `audience` parameter. */
  audience?: string
  /** Scope that MCP clients see → scopes asked for here. A scope that is not in it stands for itself. */
  scopeMap?: Record<string, string[]>
  /** Further parameters of the authorization request, for example `{ access_type: 'offline' }`. */
  authorizeParams?: Record<string, string>
  /** Further parameters of token requests. */
  tokenParams?: Record<string, string>
  /** Where the user's identity comes from; `id_token` when left out. */
  identity?: 'id_token' | 'userinfo' | 'introspection' | ((tokens: ProviderTokens) => Identity | Promise<Identity>)
  /** How long before its end an access token is refreshed; 60. */
  refreshAheadSeconds?: number
  /** Of one request to the provider; 10. */
  timeoutSeconds?: number
}

/** Which OAuth clients may connect. */
export interface ClientsOptions {
  /** Clients that the team names itself. */
  preregistered?: PreregisteredClientOptions[]
  /**
   * Client ID Metadata Documents (the client id is a URL). On unless `false`. `allow`, `ask` and `deny` list hosts, with `*.` for subdomains and `*` for every host. `deny` beats
   * `allow`, and that beats `ask`, whose clients come with a warning on the consent page. Without `allow` every other host is admitted, with it none.
   * `dangerouslyAllowPrivateAddresses` lets documents stand on private and loopback addresses: for development only, with a warning at start.
   */
  metadataDocuments?: false | { allow?: string[]; ask?: string[]; deny?: string[]; dangerouslyAllowPrivateAddresses?: boolean }
  /**
   * Dynamic Client Registration (RFC 7591). On unless `false`. `initialAccessToken` closes it to those who hold that token; `unusedExpirySeconds` 30 days;
   * `perSourcePerHour` 1000 registrations; `maxClients` 100,000 that are live at a time. `softwareStatements` says whose statements are taken (RFC 7591 §2.3), by issuer; left
   * out, statements are ignored.
   */
  registration?:
    | false
    | {
        initialAccessToken?: SecretOption
        unusedExpirySeconds?: number
        perSourcePerHour?: number
        maxClients?: number
        softwareStatements?: { issuers: Record<string, IssuerKeys>; required?: boolean }
      }
  /** Pushed authorization requests (RFC 9126): `offered` (default), `required` of every client, or `off`. */
  pushedRequests?: 'off' | 'offered' | 'required'
}

/** A client that the team names itself: public without `clientSecret` and keys. */
export interface PreregisteredClientOptions {
  clientId: string
  /** 16 characters or more: a confidential client. */
  clientSecret?: SecretOption
  /** https, or http on a loopback host, where the port is free. Left out only where nobody signs in with it: with `service` or `introspect`. */
  redirectUris?: string[]
  /** What the consent page calls it. */
  name: string
  /** Public keys, for `private_key_jwt`. */
  jwks?: { keys: Record<string, Json>[] }
  jwksUri?: string
  /** Upper bound on its scopes. */
  scopes?: string[]
  /** It may get tokens for itself, without a user (grant `client_credentials`). Needs a secret or keys. */
  service?: boolean
  /** It may ask about tokens at the introspection endpoint (RFC 7662). Needs a secret or keys. */
  introspect?: boolean
  /** It gets access tokens only with a DPoP proof (RFC 9449 §5.2). */
  dpopBoundAccessTokens?: boolean
  /** Its authorization requests have to be pushed (RFC 9126 §6). */
  requirePushedRequests?: boolean
}

/** What the gateway issues. */
export interface TokensOptions {
  /** Life of an access token; 3600. */
  accessTokenSeconds?: number
  /** Idle life of a refresh token, started anew by each use; 2592000, which is 30 days. */
  refreshTokenSeconds?: number
  /** Life of an authorization code; 60. */
  codeSeconds?: number
  /** How long a rotated refresh token still answers; 60. */
  refreshGraceSeconds?: number
  /**
   * `opaque` (default), or `jwt` (RFC 9068) where other services of the team verify access tokens by themselves. At the gateway both are checked against the store, so a revoked
   * one is refused at once; a service that only verifies the signature learns of it when the token expires.
   */
  accessTokenFormat?: 'opaque' | 'jwt'
  /** Private JWKs for `jwt`: EC on P-256, OKP on Ed25519, or RSA of 2048 bits or more. The first signs, all are published: put a new one first, drop an old one when its tokens have expired. */
  signingKeys?: Record<string, Json>[]
}

/** Identity providers whose assertions are taken, by issuer to the character. */
export interface EnterpriseOptions {
  issuers: Record<string, EnterpriseIssuerOptions>
}

/** One identity provider of {@link EnterpriseOptions}. */
export interface EnterpriseIssuerOptions {
  /** Its public keys as they are. */
  jwks?: { keys: Record<string, Json>[] }
  /** Where its public keys stand; found by OpenID Connect Discovery when both are left out. */
  jwksUri?: string
  /**
   * Who its user is at the downstream provider. Left out: the provider itself made the assertion, or knows the same issuer and `sub`. Undefined refuses the user.
   *
   * @param claims of the assertion, checked
   */
  identify?: (claims: Record<string, Json>) => Identity | undefined | Promise<Identity | undefined>
}

/** The consent page. Nothing here can remove a warning or a field of it. */
export interface ConsentOptions {
  /** Whether an approval is remembered for the same user, client, server, redirect host and scopes; true. */
  remember?: boolean
  /** What the page calls the gateway; the host of `publicUrl` when left out. */
  name?: string
  /** https URL or `data:` URI of an image. */
  logo?: string
  /** CSS hex colours. */
  colours?: { accent?: string; accentDark?: string }
  /** Other words, by key; `scope:NAME` describes a scope. Keys stand in docs/options.md. */
  texts?: Record<string, string>
  /** Whether the user may leave scopes out that the server does not require; true. */
  chooseScopes?: boolean
  /**
   * The page's own body: HTML around the parts that the gateway makes, which it has to hold, each once and in order. Only elements that hide nothing are let through; when the
   * result is not like that, or it throws, the gateway's own page is shown and the log says why. See docs/consent.md.
   */
  render?: (view: ConsentView) => string | Promise<string>
}
