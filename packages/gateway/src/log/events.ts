/** Fields that every event has. Names chosen by others (tool, method, client) are cut at 128 characters, control characters escaped, by the logger. */
interface EventBase {
  level: 'info' | 'warn' | 'error'
  /** Milliseconds since the epoch; set by the logger. */
  time?: number
}

/** What one budget did to one call. */
export interface BudgetNote {
  name: string
  /** Units charged; for a refusal the units asked for. */
  cost: number
  /** Units left after this call; absent when the store could not be asked. */
  left?: number
  refused?: boolean
  /** The budget is in dry-run mode: a refusal was not enforced. */
  dryRun?: boolean
  /** The store was down and the budget lets calls pass then. */
  uncounted?: boolean
}

/** One request on an MCP endpoint, written when it has ended. */
export interface McpRequestEvent extends EventBase {
  event: 'mcp.request'
  requestId: string
  traceId?: string
  server: string
  subject?: string
  clientId?: string
  connectionId?: string
  httpMethod: string
  method?: string
  tool?: string
  revision?: string
  decision?: 'allow' | 'deny' | 'hidden' | 'insufficient_scope'
  rule?: string
  /** Rules in dry-run mode that would have refused. */
  dryRun?: string[]
  budgets?: BudgetNote[]
  httpStatus: number
  rpcCode?: number
  /** Code of the error catalogue, when the gateway refused or failed. */
  error?: string
  reason?: string
  clientGone?: boolean
  bytesIn: number
  bytesOut: number
  ms: { total: number; authorize?: number; policy?: number; budget?: number; grant?: number; runtime?: number }
}

/** One step of the authorization flow. */
export interface AuthorizationEvent extends EventBase {
  event:
    | 'authorization.request'
    | 'authorization.consent'
    | 'authorization.callback'
    | 'authorization.token'
    | 'authorization.register'
    | 'authorization.revoke'
    | 'authorization.introspect'
    | 'authorization.account'
    | 'authorization.reconnect'
    | 'authorization.replay'
  outcome: string
  reason?: string
  requestId?: string
  server?: string
  subject?: string
  clientId?: string
  connectionId?: string
  grantType?: string
  scopes?: string[]
}

/** What happened to a downstream grant. */
export interface GrantEvent extends EventBase {
  event: 'grant.refreshed' | 'grant.refresh_failed' | 'grant.needs_reconnect' | 'grant.revoked'
  provider: string
  connectionId?: string
  subject?: string
  reason?: string
  ms?: number
}

/** What the gateway says of itself. */
export interface GatewayEvent extends EventBase {
  event: 'gateway.started' | 'gateway.warning' | 'gateway.error' | 'gateway.closed'
  message: string
  requestId?: string
  reason?: string
}

/** Every event the gateway writes. */
export type LogEvent = McpRequestEvent | AuthorizationEvent | GrantEvent | GatewayEvent
