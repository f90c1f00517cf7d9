import { anyGlobMatches } from '../lib/glob.ts'
import type { Json } from '../lib/json.ts'
import { neverRefused } from '../lib/never-refused.ts'
import type { Budget } from '../rules.ts'
import { recordKey } from '../store/schema.ts'
import { calendarWindow } from './windows.ts'

/** Who calls what, as far as budgets look at it. */
export interface BudgetCaller {
  /** `issuer|sub`; undefined for a server without users. */
  subject: string | undefined
  clientId: string
  connectionId: string
  serverId: string
  method: string
  tool: string | undefined
  claims: Record<string, Json>
}

/** What one budget takes for one call, and from which counter. */
export interface Charge {
  budget: Budget
  key: string
  cost: number
  /** Life of the counter when this charge is its first. */
  ttlMs: number
  /** When the window ends; of a counter in seconds the latest moment that is possible. */
  resetsAt: number
  windowSeconds: number
  /** How much longer the counter may live than this charge knows: of a calendar window an earlier charge, slower on its way, may have begun it. */
  leewayMs: number
}

/** A charge that was made. */
export interface Charged extends Charge {
  /** Units left after it. */
  left: number
  /** When the store had answered: the counter began before that. */
  chargedAt: number
}

/* A counter of a calendar window has the window in its key, so it may outlive it: clocks of replicas differ a little. */
const slackMs = 60_000

/** Whether a budget counts this method. */
export function counts(budget: Budget, method: string): boolean {
  return !neverRefused(method) && anyGlobMatches(budget.methods ?? ['tools/call'], method)
}

/** Units of one call. */
export function costOf(budget: Budget, tool: string | undefined): number {
  const { cost = 1 } = budget
  if (typeof cost === 'number') return cost
  if (tool !== undefined && Object.hasOwn(cost, tool)) return cost[tool] ?? 1
  return cost['*'] ?? 1
}

/** What a budget takes for a call; undefined when it does not count it, or when the call is free. */
export function chargeOf(budget: Budget, caller: BudgetCaller, now: number): Charge | undefined {
  if (!counts(budget, caller.method)) return undefined
  const cost = costOf(budget, caller.tool)
  if (cost === 0) return undefined
  const who = JSON.stringify(budget.per.map((key) => [key, named(key, caller) ?? null]))
  if (typeof budget.window === 'object') {
    const { seconds } = budget.window
    const key = recordKey('spend', budget.name, `${seconds}s`, who)
    return { budget, key, cost, ttlMs: seconds * 1000, resetsAt: now + seconds * 1000, windowSeconds: seconds, leewayMs: 0 }
  }
  const { startsAt, endsAt } = calendarWindow(budget.window, budget.timeZone ?? 'UTC', now)
  const key = recordKey('spend', budget.name, `${budget.window} ${startsAt}`, who)
  const windowSeconds = Math.round((endsAt - startsAt) / 1000)
  return { budget, key, cost, ttlMs: Math.ceil(endsAt - now) + slackMs, resetsAt: endsAt, windowSeconds, leewayMs: slackMs }
}

/* The value of one part of a budget's key. Undefined is an own value: callers without it share one counter, apart from everyone who has it. */
function named(key: Budget['per'][number], caller: BudgetCaller): Json | undefined {
  switch (key) {
    case 'user':
      return caller.subject
    case 'client':
      return caller.clientId
    case 'connection':
      return caller.connectionId
    case 'server':
      return caller.serverId
    case 'tool':
      return caller.tool
    default: {
      const claim = key.slice('claims.'.length)
      return Object.hasOwn(caller.claims, claim) ? caller.claims[claim] : undefined
    }
  }
}
