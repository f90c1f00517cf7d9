import { z } from 'zod'
import { calendarWindow } from '../budget/windows.ts'
import type { Json } from '../lib/json.ts'
import type { ArgumentTest, Budget, Policy, Rule, When } from '../rules.ts'
import { fn, line, scopes } from './checks.ts'
import { shape } from './explain.ts'

const json = z.json() as unknown as z.ZodType<Json>
const glob = z.string().min(1, 'must not be empty').max(256)
const globs = z.array(glob).min(1)
const oneOrMany = z.union([line, z.array(line).min(1)])
const pointer = z.string().regex(/^(\/([^~]|~[01])*)?$/, "must be a JSON pointer, for example '/amount'")

const argumentTest = shape({
  eq: json.exactOptional(),
  in: z.array(json).exactOptional(),
  lt: z.number().exactOptional(),
  lte: z.number().exactOptional(),
  gt: z.number().exactOptional(),
  gte: z.number().exactOptional(),
  matches: z.string().max(256).exactOptional(),
  exists: z.boolean().exactOptional(),
} satisfies Record<keyof ArgumentTest, z.ZodType>).refine(
  (test) => Object.keys(test).length > 0,
  'needs an operator: eq, in, lt, lte, gt, gte, matches or exists',
)

const when = shape({
  client: shape({ id: oneOrMany.exactOptional(), trust: z.enum(['preregistered', 'document', 'dynamic']).exactOptional() }).exactOptional(),
  subject: oneOrMany.exactOptional(),
  claims: z.record(z.string(), json).exactOptional(),
  scopes: scopes.exactOptional(),
  annotations: z.record(z.string(), json).exactOptional(),
  arguments: z.record(pointer, argumentTest).exactOptional(),
} satisfies Record<keyof When, z.ZodType>)

const rule = shape({
  allow: globs.exactOptional(),
  deny: globs.exactOptional(),
  tools: globs.exactOptional(),
  because: line.exactOptional(),
  requireScopes: scopes.min(1).exactOptional(),
  name: line.exactOptional(),
  when: when.exactOptional(),
  mode: z.enum(['enforce', 'dry-run']).exactOptional(),
}).check((context) => {
  const message = ruleProblem(context.value)
  if (message) context.issues.push({ code: 'custom', input: context.value, message })
})

function ruleProblem(given: Record<string, unknown>): string | undefined {
  const kinds = ['allow', 'deny', 'tools'].filter((kind) => given[kind] !== undefined)
  if (kinds.length !== 1) return 'needs exactly one of allow, deny and tools'
  if (given.tools && !given.requireScopes) return 'a rule with tools needs requireScopes'
  if (!given.tools && given.requireScopes) return 'requireScopes goes with tools, not with allow or deny'
  if (given.because && !given.deny) return 'because goes with deny'
  if (given.allow && given.mode) return 'mode goes with deny and requireScopes: an allow that is not enforced decides nothing'
  return undefined
}

/** Schema of {@link Policy}. */
export const policySchema = shape({
  default: z.enum(['allow', 'deny']),
  rules: z.array(rule as unknown as z.ZodType<Rule>),
  methods: shape({ allow: z.array(glob).exactOptional(), deny: z.array(glob).exactOptional() }).exactOptional(),
  decide: fn<NonNullable<Policy['decide']>>().exactOptional(),
} satisfies Record<keyof Policy, z.ZodType>) as unknown as z.ZodType<Policy>

const calendar = z.enum(['minute', 'hour', 'day', 'week', 'month'])
const units = z.int().min(0).max(999_999_999_999)

/** Schema of {@link Budget}. */
export const budgetSchema = shape({
  name: z.string().regex(/^[\w.-]{1,60}$/, 'must be letters, digits, `.`, `_`, `-`'),
  limit: units,
  per: z.array(
    z.custom<Budget['per'][number]>(
      (key) => typeof key === 'string' && /^(user|client|connection|server|tool|claims\..+)$/s.test(key),
      "must be 'user', 'client', 'connection', 'server', 'tool' or 'claims.NAME'",
    ),
  ),
  window: z.union([calendar, shape({ seconds: z.int().min(1).max(31_536_000) })]),
  timeZone: z.string().refine(isTimeZone, "must be an IANA time zone, for example 'Europe/Berlin'").exactOptional(),
  cost: z.union([units, z.record(z.string(), units)]).exactOptional(),
  unit: line.exactOptional(),
  methods: globs.exactOptional(),
  mode: z.enum(['enforce', 'dry-run']).exactOptional(),
  onOutage: z.enum(['refuse', 'allow']).exactOptional(),
} satisfies Record<keyof Budget, z.ZodType>).refine((budget) => typeof budget.window === 'string' || budget.timeZone === undefined, {
  path: ['timeZone'],
  message: 'goes with a calendar window, not with seconds',
}) as unknown as z.ZodType<Budget>

function isTimeZone(given: string): boolean {
  try {
    calendarWindow('minute', given, 0)
    return true
  } catch {
    return false
  }
}
