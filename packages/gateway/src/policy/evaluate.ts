import { anyGlobMatches } from '../lib/glob.ts'
import { neverRefused } from '../lib/never-refused.ts'
import type { Policy, PolicyCall, Rule } from '../rules.ts'
import { visible } from './filter-list.ts'
import { askHook } from './hook.ts'
import { ruleMatches, ruleName } from './rule.ts'

/**
 * What becomes of a call, and the rule that says so. `reason` is public: words for the agent. `detail` is for the operator's log only. `dryRun` names the rules
 * in dry-run mode that would have refused.
 */
export type Decision =
  | { outcome: 'allow'; rule: string; dryRun: string[] }
  | { outcome: 'deny'; rule: string; reason: string; detail?: string; dryRun: string[] }
  | { outcome: 'hidden'; rule: string; detail?: string; dryRun: string[] }
  | { outcome: 'insufficient_scope'; rule: string; scopes: string[]; dryRun: string[] }

/** A refusal by one policy. */
interface Denial {
  rule: string
  reason: string
  detail?: string
}

/** What the rules of one policy say of a call. */
interface Opinion {
  denial?: Denial
  allowedBy?: string
  /** Whether `default` has a say when no rule allows. */
  open: boolean
  missing?: { rule: string; scopes: string[] }
}

/**
 * Decides one call. Every policy has to let it pass; in each, a deny beats an allow, an error in a rule or a hook is a deny, and only the literal allow is an
 * allow. Scopes are asked for only where nothing else refuses, all that are missing at once. Some methods are never refused: see lib/never-refused.ts.
 *
 * @param policies the gateway's, then the server's
 * @param call one JSON-RPC request; of a batch, each member for itself
 */
export async function evaluate(policies: readonly Policy[], call: PolicyCall): Promise<Decision> {
  const dryRun: string[] = []
  if (neverRefused(call.method)) return { outcome: 'allow', rule: 'always', dryRun }
  const allowedBy: string[] = []
  const missing: { rule: string; scopes: string[] }[] = []
  for (const policy of policies) {
    const opinion = await judge(policy, call, dryRun)
    if ('reason' in opinion) return refuse(policies, call, opinion, dryRun)
    allowedBy.push(opinion.allowedBy)
    if (opinion.missing) missing.push(opinion.missing)
  }
  if (missing[0]) return { outcome: 'insufficient_scope', rule: missing[0].rule, scopes: [...new Set(missing.flatMap((one) => one.scopes))], dryRun }
  return { outcome: 'allow', rule: allowedBy.findLast((rule) => rule !== 'default') ?? 'default', dryRun }
}

function refuse(policies: readonly Policy[], call: PolicyCall, denial: Denial, dryRun: string[]): Decision {
  const { rule, detail } = denial
  const hidden = call.tool !== undefined && !visible(policies, call, { name: call.tool, annotations: call.annotations })
  return { ...(hidden ? { outcome: 'hidden', rule } : { outcome: 'deny', rule, reason: denial.reason }), ...(detail === undefined ? {} : { detail }), dryRun }
}

async function judge(policy: Policy, call: PolicyCall, dryRun: string[]): Promise<Denial | { allowedBy: string; missing: Opinion['missing'] }> {
  const opinion = call.method === 'tools/call' ? askRules(policy.rules, call, dryRun) : askMethods(policy, call.method)
  if (opinion.denial) return opinion.denial
  let allowedBy = opinion.allowedBy ?? (opinion.open && policy.default === 'allow' ? 'default' : undefined)
  if (policy.decide) {
    const verdict = await askHook(policy.decide, call)
    if (typeof verdict === 'object') return { rule: 'decide', ...verdict }
    if (verdict === 'allow') allowedBy = opinion.allowedBy ?? 'decide'
  }
  if (allowedBy === undefined) return { rule: opinion.open ? 'default' : 'methods', reason: 'No rule of this gateway allows this call.' }
  return { allowedBy, missing: opinion.missing }
}

function askRules(rules: readonly Rule[], call: PolicyCall, dryRun: string[]): Opinion {
  if (call.tool === undefined) return { denial: { rule: 'default', reason: 'The call names no tool.' }, open: false }
  const opinion: Opinion = { open: true }
  for (const [index, rule] of rules.entries()) {
    const name = ruleName(rule, index)
    try {
      const answer = ruleMatches(rule, call)
      if (rule.allow) {
        if (answer === true) opinion.allowedBy ??= name
      } else if (answer !== false) restrict(opinion, rule, name, call, dryRun)
    } catch (error) {
      opinion.denial ??= { rule: name, reason: 'A rule of this gateway failed, so the call is refused.', detail: `rule ${name} failed: ${String(error)}` }
    }
  }
  return opinion
}

/* A deny or a condition that speaks of this call. */
function restrict(opinion: Opinion, rule: Exclude<Rule, { allow: string[] }>, name: string, call: PolicyCall, dryRun: string[]): void {
  if (rule.deny) {
    if (rule.mode === 'dry-run') dryRun.push(name)
    else opinion.denial ??= { rule: name, reason: rule.because ?? `This call is refused by a rule of this gateway (${name}).` }
    return
  }
  const scopes = rule.requireScopes.filter((scope) => !call.scopes.includes(scope))
  if (scopes.length === 0) return
  if (rule.mode === 'dry-run') dryRun.push(name)
  else opinion.missing = { rule: opinion.missing?.rule ?? name, scopes: [...(opinion.missing?.scopes ?? []), ...scopes] }
}

function askMethods(policy: Policy, method: string): Opinion {
  const { allow, deny } = policy.methods ?? {}
  if (deny && anyGlobMatches(deny, method))
    return { denial: { rule: 'methods', reason: `The method ${method} is refused by a rule of this gateway.` }, open: false }
  if (!allow) return { open: true }
  return anyGlobMatches(allow, method) ? { allowedBy: 'methods', open: false } : { open: false }
}
