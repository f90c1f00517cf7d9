import type { Json } from './lib/json.ts'

/*
 * What a team's policies and budgets may say. The same in the options and in the configuration: what is parsed is what was written.
 */

/**
 * Compares one argument, found by its JSON pointer. All given operators must hold. An argument that is there but of another type than an operator compares
 * (text for `lt`, a number for `matches`) counts against the caller: a deny or a condition then matches, an allow does not.
 */
export interface ArgumentTest {
  eq?: Json
  in?: Json[]
  lt?: number
  lte?: number
  gt?: number
  gte?: number
  /** A glob with `*` and `?`, matched against the whole string, in linear time. */
  matches?: string
  exists?: boolean
}

/** Conditions of a rule; all given ones must hold. */
export interface When {
  client?: { id?: string | string[]; trust?: 'preregistered' | 'document' | 'dynamic' }
  /** The user as logs name them: `issuer|sub`. */
  subject?: string | string[]
  /** Claim name → value or values, one of which the claim must equal or contain. */
  claims?: Record<string, Json | Json[]>
  /** All of these must be held. */
  scopes?: string[]
  /**
   * Annotations of the tool, as the runtime's last `tools/list` said. A hint that it does not give has the value that MCP assumes: `readOnlyHint` false,
   * `destructiveHint` true, `idempotentHint` false, `openWorldHint` true.
   */
  annotations?: Record<string, Json>
  /** JSON pointer (RFC 6901) into the arguments → test. */
  arguments?: Record<string, ArgumentTest>
}

/** One rule. Exactly one of `allow`, `deny`, or `tools` with a condition; each a list of tool names or globs (`*`, `?`). */
export type Rule = (
  | { allow: string[]; deny?: never; tools?: never; mode?: never }
  | { deny: string[]; because?: string; allow?: never; tools?: never; mode?: RuleMode }
  | { tools: string[]; requireScopes: string[]; allow?: never; deny?: never; mode?: RuleMode }
) & {
  /** Shown in decisions and logs; its place, for example `rule 3`, when left out. */
  name?: string
  when?: When
}

/** `dry-run`: logged as it would decide, not enforced. */
export type RuleMode = 'enforce' | 'dry-run'

/** What a team's own `decide` sees. */
export interface PolicyCall {
  server: string
  method: string
  tool: string | undefined
  arguments: Json | undefined
  /** Annotations of the tool as the runtime's last `tools/list` said; undefined when no list was seen yet. */
  annotations?: Record<string, Json> | undefined
  subject: string | undefined
  clientId: string
  clientTrust: 'preregistered' | 'document' | 'dynamic'
  scopes: string[]
  claims: Record<string, Json>
}

/** Verdict of a team's own `decide`. */
export type Verdict = 'abstain' | 'allow' | 'deny' | { deny: string }

/** Who may call what: see docs/policies.md. A deny beats an allow; an error is a deny; where gateway and server both have a policy, both must let a call pass. */
export interface Policy {
  default: 'allow' | 'deny'
  rules: Rule[]
  /**
   * Methods other than `tools/call`, by names or globs. With `allow`, only those; without it `default` decides. `initialize`, `ping`, `notifications/*`,
   * `server/discover` and `tools/list` are never refused.
   */
  methods?: { allow?: string[]; deny?: string[] }
  /**
   * The team's own code, asked for every governed call that no rule denies. `deny` refuses; `allow` stands in for an `allow` rule under `default: 'deny'`;
   * anything but these and `abstain`, and a throw, is a deny. It never hides a tool from lists.
   */
  decide?: (call: PolicyCall) => Verdict | Promise<Verdict>
}

/** What a budget is counted for. */
export type BudgetKey = 'user' | 'client' | 'connection' | 'server' | 'tool' | `claims.${string}`

/** A limit over a window of time. */
export interface Budget {
  /** Letters, digits, `.`, `_` and `-`; unique among all budgets of a gateway. */
  name: string
  /** Whole units. */
  limit: number
  /** Together they make one key. A caller without the named thing (no such claim, no user) is counted with all others without it. */
  per: BudgetKey[]
  /**
   * A calendar window in `timeZone`, weeks from Monday, daylight saving included; or `{ seconds }`: a counter whose life starts with its first unit and ends
   * that many seconds later, whereupon the next unit starts a new one.
   */
  window: 'minute' | 'hour' | 'day' | 'week' | 'month' | { seconds: number }
  /** IANA zone of calendar windows; UTC when left out. */
  timeZone?: string
  /** Whole units of one call: a number, or by tool name with `*` for the rest; 1 when left out. 0 is free. */
  cost?: number | Record<string, number>
  /** What a unit is called in refusals, for example `cent`; `call` when left out. */
  unit?: string
  /** Methods counted, by names or globs; `tools/call` when left out. */
  methods?: string[]
  /** `dry-run`: counted and logged, never refused. */
  mode?: 'enforce' | 'dry-run'
  /** What a store outage does: `refuse` when left out. */
  onOutage?: 'refuse' | 'allow'
}
