import { anyGlobMatches } from '../lib/glob.ts'
import type { Json } from '../lib/json.ts'
import type { PolicyCall, Rule, When } from '../rules.ts'
import { type Answer, all, atPointer, sameJson, testArgument } from './arguments.ts'

/** What MCP assumes of a tool that does not say (ToolAnnotations of the schema). */
const assumedAnnotations: Record<string, Json> = { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true }

/** The name a rule goes by in decisions and logs. */
export function ruleName(rule: Rule, index: number): string {
  return rule.name ?? `rule ${index + 1}`
}

/** The tool names and globs of a rule, whatever its kind. */
export function toolsOf(rule: Rule): string[] {
  return rule.allow ?? rule.deny ?? rule.tools
}

function oneOf(value: string | undefined, given: string | string[]): boolean {
  return value !== undefined && (Array.isArray(given) ? given.includes(value) : given === value)
}

function claimHolds(claim: Json | undefined, given: Json | Json[]): boolean {
  if (claim === undefined) return false
  const wanted = Array.isArray(given) ? given : [given]
  return sameJson(claim, given) || wanted.some((one) => sameJson(claim, one) || (Array.isArray(claim) && claim.some((held) => sameJson(held, one))))
}

function annotationHolds(annotations: PolicyCall['annotations'], name: string, given: Json): Answer {
  const value =
    annotations && Object.hasOwn(annotations, name) ? annotations[name] : Object.hasOwn(assumedAnnotations, name) ? assumedAnnotations[name] : undefined
  if (value === undefined) return annotations === undefined ? 'unclear' : false
  return sameJson(value, given)
}

/* A row a condition of `when`. */
const conditions: { [Name in keyof When]-?: (given: NonNullable<When[Name]>, call: PolicyCall) => Answer } = {
  client: (given, call) =>
    all(
      Object.entries(given).map(([name, wanted]) => {
        if (name === 'id') return oneOf(call.clientId, wanted)
        if (name === 'trust') return call.clientTrust === wanted
        throw new Error(`client.${name} is no condition`)
      }),
    ),
  subject: (given, call) => oneOf(call.subject, given),
  claims: (given, call) =>
    Object.entries(given).every(([name, wanted]) => claimHolds(Object.hasOwn(call.claims, name) ? call.claims[name] : undefined, wanted)),
  scopes: (given, call) => given.every((scope) => call.scopes.includes(scope)),
  annotations: (given, call) => all(Object.entries(given).map(([name, wanted]) => annotationHolds(call.annotations, name, wanted))),
  arguments: (given, call) => all(Object.entries(given).map(([pointer, test]) => testArgument(atPointer(call.arguments, pointer), test))),
}

/**
 * Whether a rule speaks of this tool call.
 *
 * @param assume what a changeable condition counts as, where the question is not this call but any call of the caller (see filter-list.ts)
 * @throws Error for a condition that does not exist: an error in a rule is a deny
 */
export function ruleMatches(rule: Rule, call: PolicyCall, assume?: Partial<Record<'arguments' | 'scopes', boolean>>): Answer {
  if (call.tool === undefined || !anyGlobMatches(toolsOf(rule), call.tool)) return false
  return all(
    Object.entries(rule.when ?? {}).map(([name, given]) => {
      if (!Object.hasOwn(conditions, name)) throw new Error(`when.${name} is no condition`)
      const assumed = assume?.[name as 'arguments' | 'scopes']
      if (assumed !== undefined) return assumed
      return (conditions[name as keyof When] as (given: unknown, call: PolicyCall) => Answer)(given, call)
    }),
  )
}
