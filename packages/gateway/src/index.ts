export type { ConnectionFilter, ConnectionInfo, ConnectionInfos, ConnectionPaging, ConnectionsControl } from './account/connections-control.ts'
export type { ConsentView, Identity, IssuerKeys, LimitsConfig, ProviderTokens, RuntimeHandler, ServerConfig, User, WorkerHeaderNames } from './config.ts'
export type { Connection } from './connections/connection.ts'
export { ConfigError, type ErrorCode, GatewayError, StoreUnavailable } from './errors/errors.ts'
export { createGateway, type Gateway } from './gateway.ts'
export type { Middleware } from './http/middleware.ts'
export type { Json } from './lib/json.ts'
export type { AuthorizationEvent, BudgetNote, GatewayEvent, GrantEvent, LogEvent, McpRequestEvent } from './log/events.ts'
export type { Logger, LogOption, Sink } from './log/sink.ts'
export { type Call, type CallOutcome, getCall, type ReadBody, type RpcMessage } from './mcp/call.ts'
export type { ServerSteps } from './mcp/mcp.ts'
export type {
  ClientsOptions,
  ConsentOptions,
  EnterpriseIssuerOptions,
  EnterpriseOptions,
  GatewayBasics,
  GatewayOptions,
  MemoryOptions,
  PreregisteredClientOptions,
  ProviderBasics,
  ProviderKeyClient,
  ProviderOptions,
  ProviderPublicClient,
  ProviderSecretClient,
  SecretOption,
  ServerOptions,
  StoreOptions,
  TokensOptions,
} from './options/gateway-options.ts'
export type { Rotation, RotationProgress } from './rotation/rotate-keys.ts'
export type { ArgumentTest, Budget, BudgetKey, Policy, PolicyCall, Rule, RuleMode, Verdict, When } from './rules.ts'
export type { KeyvLike } from './store/keyv-like.ts'
export { type KeyvStoreOptions, keyvStore } from './store/keyv-store.ts'
export type { StoreOption } from './store/open-store.ts'
export type { PgPoolLike } from './store/postgres-driver.ts'
export type { Spent, Store } from './store/store.ts'
