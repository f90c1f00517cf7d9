import type { IncomingMessage, ServerResponse } from 'node:http'
import type { SigningKey } from './keys/signing-key.ts'
import type { Json } from './lib/json.ts'
import type { ScopeHierarchy } from './lib/scope-hierarchy.ts'
import type { Budget, Policy } from './rules.ts'

/*
 * The complete, frozen configuration that `options/` parses a team's options into. Everything is present, defaults filled in, units in the names.
 * Public option types stand in options/gateway-options.ts; policies and budgets, the same in both, in rules.ts.
 */

/** A request handler in this process that answers as an MCP server: `(req, res)`, for example of the MCP SDK. */
export type RuntimeHandler = (req: IncomingMessage, res: ServerResponse) => unknown

/** Where a server's runtime is. Several URLs are tried in turn by calls without a session. */
export type RuntimeTarget = { kind: 'http'; urls: string[] } | { kind: 'local'; handler: RuntimeHandler }

/** The names under which the worker contract's headers reach one runtime, lower case. */
export interface WorkerHeaderNames {
  workerSecret: string
  accessToken: string
  subject: string
  clientId: string
  scopes: string
  requestId: string
}

/** One MCP server attached to the gateway. */
export interface ServerConfig {
  /** Key in `options.servers`. */
  id: string
  /** What the consent page calls it. */
  displayName: string
  /** Path below `publicUrl`, with leading and without trailing slash. */
  path: string
  /** The resource identifier (RFC 8707): publicUrl + path, to the character. */
  resource: string
  runtime: RuntimeTarget
  /** First is sent; several exist only so that a rotation reads well in the options. */
  workerSecrets: string[]
  /** What a client may get here, and the default when it asks for none. Ordered. */
  scopes: string[]
  /** Those of `scopes` that a user cannot leave out on the consent page. */
  requiredScopes: string[]
  /** Key in `providers`; undefined: this server's runtime needs no user grant. */
  provider: string | undefined
  /** `own`: one downstream grant a connection; `shared`: one a user at this server; `none`: no access token goes to the runtime. */
  grants: 'own' | 'shared' | 'none'
  /** Where the downstream token of a service, which has no user, comes from; undefined: services get no token for a server with grants (EX-5). */
  serviceGrant: 'client_credentials' | undefined
  headers: WorkerHeaderNames
  /** The gateway's policy first, then the server's own; none: everything is allowed. Each has to let a call pass. */
  policies: Policy[]
  /** The gateway's and the server's own. */
  budgets: Budget[]
  /** Browser origins allowed besides publicUrl's; `*` for every one. */
  origins: string[]
  refusals: 'agent' | 'http'
}

/** How the gateway authenticates at the downstream authorization server. */
export type ProviderAuthentication = 'client_secret_basic' | 'client_secret_post' | 'private_key_jwt' | 'none'

/** What the downstream provider says of a user. */
export interface Identity {
  /** Issuer of the provider. */
  issuer: string
  /** `sub` there. */
  sub: string
  name?: string
  /** Claims that rules and budgets may use. */
  claims: Record<string, Json>
}

/** Tokens as an identity function sees them. */
export interface ProviderTokens {
  accessToken: string
  idTokenClaims: Record<string, Json> | undefined
  raw: Record<string, Json>
}

/** One downstream authorization server at which the gateway is an OAuth client. */
export interface ProviderConfig {
  /** Key in `options.downstream`, or `default`. */
  id: string
  issuer: string
  /** Endpoints given by hand, for a provider without discovery. */
  endpoints: { authorization: string; token: string; userinfo?: string; introspection?: string; revocation?: string; jwks?: string } | undefined
  clientId: string
  clientSecret: string | { privateKey: Record<string, Json> } | undefined
  clientAuthentication: ProviderAuthentication | undefined
  scopes: string[]
  resource: string | undefined
  audience: string | undefined
  scopeMap: Record<string, string[]>
  authorizeParams: Record<string, string>
  tokenParams: Record<string, string>
  identity: 'id_token' | 'userinfo' | 'introspection' | ((tokens: ProviderTokens) => Identity | Promise<Identity>)
  refreshAheadSeconds: number
  timeoutSeconds: number
}

/** A client that the team registered by hand. */
export interface PreregisteredClient {
  clientId: string
  clientSecret?: string
  redirectUris: string[]
  name: string
  jwks?: { keys: Record<string, Json>[] }
  jwksUri?: string
  scopes?: string[]
  /** May get tokens for itself, without a user (`client_credentials`). */
  service?: boolean
  /** May ask about tokens (RFC 7662). */
  introspect?: boolean
  /** Gets no access token without a DPoP proof (RFC 9449 §5.2). */
  dpopBoundAccessTokens?: boolean
  /** Its authorization requests have to be pushed (RFC 9126 §6). */
  requirePushedRequests?: boolean
}

/** Public keys of someone whose signatures are taken: as they are, or where they stand. */
export type IssuerKeys = { jwks: { keys: Record<string, Json>[] }; jwksUri?: never } | { jwksUri: string; jwks?: never }

/** Whose software statements are taken (RFC 7591 §2.3). */
export interface SoftwareStatements {
  /** By `iss`, to the character. */
  issuers: Record<string, IssuerKeys>
  /** Nobody registers without one. */
  required: boolean
}

/** An identity provider whose assertions about users are taken (ID-JAG). */
export interface EnterpriseIssuer {
  /** `iss` of its assertions, to the character. */
  issuer: string
  /** Its public keys; with neither of the two they are found by OpenID Connect Discovery. */
  jwks: { keys: Record<string, Json>[] } | undefined
  jwksUri: string | undefined
  /** Who its user is at the downstream provider; undefined: the same issuer and `sub`. */
  identify: ((claims: Record<string, Json>) => Identity | undefined | Promise<Identity | undefined>) | undefined
}

/** Which clients may come. */
export interface ClientsConfig {
  preregistered: PreregisteredClient[]
  metadataDocuments: false | { allow: string[]; ask: string[]; deny: string[]; dangerouslyAllowPrivateAddresses: boolean }
  registration:
    | false
    | {
        initialAccessToken: string | undefined
        unusedExpirySeconds: number
        perSourcePerHour: number
        maxClients: number
        softwareStatements: SoftwareStatements | undefined
      }
  /** Pushed authorization requests (RFC 9126). */
  pushedRequests: 'off' | 'offered' | 'required'
}

/** A user named by the host app's own session. */
export interface User {
  sub: string
  name?: string
}

/** Looks of the consent and error pages. `texts` replaces words by key; nothing here can remove a warning or a field. */
export interface ConsentConfig {
  remember: boolean
  name: string
  /** https URL or data: URI of an image. */
  logo: string | undefined
  colours: { accent?: string; accentDark?: string }
  texts: Record<string, string>
  /** Whether the user may leave scopes out that are not required. */
  chooseScopes: boolean
  render: ((view: ConsentView) => string | Promise<string>) | undefined
}

/**
 * What a team's own `consent.render` sees. Texts are as they came from the client and not escaped: use `escapeHtml`. Each of `parts` stands for a piece of the page that
 * the gateway makes, and has to be in the result once, in this order.
 */
export interface ConsentView {
  client: {
    clientId: string
    name: string
    trust: 'preregistered' | 'document' | 'dynamic'
    /** Where its metadata document stands. */
    host: string | undefined
  }
  server: { id: string; name: string }
  /** The account, where one is known. */
  account: string | undefined
  redirectHost: string
  scopes: { name: string; description: string | undefined; required: boolean }[]
  parts: { title: string; facts: string; scopes: string; warnings: string; actions: string }
  /** Text as it may stand in HTML. */
  escapeHtml: (text: string) => string
}

/** Lifetimes of what the gateway issues. */
export interface TokensConfig {
  accessTokenSeconds: number
  refreshTokenSeconds: number
  codeSeconds: number
  refreshGraceSeconds: number
  /** `opaque`, or `jwt` (RFC 9068) for teams whose other services verify them. */
  accessTokenFormat: 'opaque' | 'jwt'
  /** The first signs, all are published. */
  signingKeys: SigningKey[]
}

/** Bounds on what comes in and how long things may take. */
export interface LimitsConfig {
  bodyBytes: number
  jsonDepth: number
  /** How long the runtime may take to send the head of its answer. */
  responseStartSeconds: number
  streamsPerConnection: number
  /** Largest runtime answer that is read whole (JSON), and largest single event of a list that must be filtered. */
  responseBytes: number
  /** Form and registration bodies of the OAuth endpoints. */
  oauthBodyBytes: number
  /** How long the body of a request may take to arrive. */
  bodySeconds: number
  storeSeconds: number
}

/** The paths of the authorization server below `publicUrl`. */
export interface EndpointsConfig {
  authorize: string
  consent: string
  callback: string
  token: string
  register: string
  revoke: string
  introspect: string
  jwks: string
  par: string
  clientLogo: string
  account: string
  reconnect: string
}

/** The frozen whole. */
export interface Config {
  /** The OAuth issuer: `publicUrl` to the character, without a trailing slash. */
  issuer: string
  /** Path part of the issuer, '' at the root. */
  basePath: string
  origin: string
  /** Whether cookies may go without Secure: http on a loopback host, nowhere else. */
  loopback: boolean
  endpoints: EndpointsConfig
  providers: Record<string, ProviderConfig>
  servers: Record<string, ServerConfig>
  clients: ClientsConfig
  /** By issuer; empty: enterprise-managed authorization is off. */
  enterprise: Record<string, EnterpriseIssuer>
  scopeHierarchy: ScopeHierarchy
  consent: ConsentConfig
  tokens: TokensConfig
  limits: LimitsConfig
  identify: ((req: IncomingMessage) => User | undefined | Promise<User | undefined>) | undefined
  onMismatch: 'block' | 'ask'
}
