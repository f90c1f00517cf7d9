import type { Json } from '../lib/json.ts'
import type { Policy, PolicyCall } from '../rules.ts'
import { ruleMatches } from './rule.ts'

/** Who asks, as far as policies look at them. */
export type PolicyCaller = Pick<PolicyCall, 'server' | 'subject' | 'clientId' | 'clientTrust' | 'scopes' | 'claims'>

/**
 * Whether some call of this tool by this caller, with other arguments or more scopes, could pass every policy. What cannot is missing from lists, and calling
 * it is calling a tool that does not exist (JR-3). A `decide` hook never hides a tool, since it may look at anything.
 */
export function visible(policies: readonly Policy[], caller: PolicyCaller, tool: { name: string; annotations?: Record<string, Json> | undefined }): boolean {
  const call: PolicyCall = { ...caller, method: 'tools/call', tool: tool.name, arguments: undefined, annotations: tool.annotations }
  return policies.every((policy) => couldPass(policy, call))
}

function couldPass(policy: Policy, call: PolicyCall): boolean {
  try {
    let allowed = policy.default === 'allow' || policy.decide !== undefined
    for (const rule of policy.rules) {
      // A deny that looks at arguments can be avoided by other arguments. One that looks at scopes held cannot: more scopes never undo it.
      if (rule.deny && rule.mode !== 'dry-run' && ruleMatches(rule, call, { arguments: false }) !== false) return false
      if (rule.allow && !allowed && ruleMatches(rule, call, { arguments: true, scopes: true }) === true) allowed = true
    }
    return allowed
  } catch {
    return false
  }
}
