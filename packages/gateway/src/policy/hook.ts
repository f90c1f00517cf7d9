import type { Policy, PolicyCall } from '../rules.ts'

const hookSeconds = 10

/** What a hook's verdict comes to: a refusal with public words, or one of the two literals that let a call go on. */
export type HookAnswer = 'allow' | 'abstain' | { reason: string; detail?: string }

/**
 * Asks the team's own code. Only the literals `allow` and `abstain` let the call go on; a throw, no answer within ten seconds, or anything else refuses.
 */
export async function askHook(decide: NonNullable<Policy['decide']>, call: PolicyCall): Promise<HookAnswer> {
  try {
    const verdict: unknown = await inTime(decide(call))
    if (verdict === 'allow' || verdict === 'abstain') return verdict
    if (verdict === 'deny') return { reason: 'This call is refused by a rule of this gateway.' }
    if (typeof verdict === 'object' && verdict !== null && 'deny' in verdict && typeof verdict.deny === 'string') return { reason: verdict.deny }
    return { reason: 'A rule of this gateway failed, so the call is refused.', detail: `decide returned none of 'abstain', 'allow', 'deny', { deny: text }` }
  } catch (error) {
    return { reason: 'A rule of this gateway failed, so the call is refused.', detail: `decide failed: ${String(error)}` }
  }
}

async function inTime<T>(answer: T | Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no verdict within ${hookSeconds} seconds`)), hookSeconds * 1000)
  })
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
