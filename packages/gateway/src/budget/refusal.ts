import type { Charged } from './charge.ts'

/**
 * `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10 §3, §4): structured-field lists with one item a budget: `"calls";r=12;t=3600`
 * and `"calls";q=1000;w=86400`. Names of budgets need no escaping (options allow letters, digits, `.`, `_`, `-`).
 */
export function rateLimitHeaders(charged: readonly Charged[], now: number): Record<string, string> {
  if (charged.length === 0) return {}
  return {
    ratelimit: charged.map(({ budget, left, resetsAt }) => `"${budget.name}";r=${left};t=${Math.max(0, Math.ceil((resetsAt - now) / 1000))}`).join(', '),
    'ratelimit-policy': charged.map(({ budget, windowSeconds }) => `"${budget.name}";q=${budget.limit};w=${windowSeconds}`).join(', '),
  }
}

/** What an agent reads: which budget, how much is left, what the call would cost, when it resets. */
export function refusalText({ budget, cost, left, resetsAt }: Charged, retryAfterSeconds: number): string {
  const units = (count: number) => `${count} ${budget.unit ?? (count === 1 ? 'call' : 'calls')}`
  const whole = `The budget "${budget.name}" of this gateway (${units(budget.limit)} per ${windowWords(budget.window)})`
  const state = `${whole} ${left === 0 ? 'is spent' : 'has too little left'}: ${units(left)} left, and this call costs ${units(cost)}.`
  if (cost > budget.limit) return `${state} It costs more than the whole budget, so waiting does not help.`
  return `${state} It resets ${new Date(resetsAt).toISOString()}, in ${retryAfterSeconds} second${retryAfterSeconds === 1 ? '' : 's'}. Do not repeat the call before that.`
}

function windowWords(window: Charged['budget']['window']): string {
  return typeof window === 'object' ? `${window.seconds} seconds` : window
}
