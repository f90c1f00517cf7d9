import type { Outcome } from './timed-request.ts'

/** Where and when something happened that the test has to judge. */
export interface Incident {
  user: string
  /** Which gateway: 0 or 1. */
  gateway: number
  /** When the request was sent, milliseconds since the epoch. */
  at: number
  /** When it ended, so too. */
  until: number
  /** Without what this process stood still meanwhile, and what a starved machine took. */
  ms: number
  what: string
}

/** What the clients of a run saw. */
export interface Tally {
  calls: number
  right: number
  refreshes: number
  /** Refreshes of which several were sent at once with one refresh token, through both gateways. */
  parallelRefreshes: number
  /** "Unreachable" of design/api.md, with `Retry-After`. */
  unreachable: Incident[]
  /** Connections that were refused or broke. */
  broken: Incident[]
  /** Calls that lay in a process that stood still until their token was over: 401 is the right answer. */
  expired: Incident[]
  /** Anything else: never right. */
  wrong: Incident[]
  /** Answers of whatever kind that took longer than the deadline of the store and 500 ms. */
  slow: Incident[]
  longestMs: number
}

/** What one request came to. */
export type Verdict = 'right' | 'unreachable' | 'broken' | 'expired' | 'wrong'

/** The deadline of the store (1 s, `limits.storeSeconds`) and 500 ms. */
export const deadlineMs = 1_500

export function emptyTally(): Tally {
  return { calls: 0, right: 0, refreshes: 0, parallelRefreshes: 0, unreachable: [], broken: [], expired: [], wrong: [], slow: [], longestMs: 0 }
}

/** Notes one outcome; `judge` says what an answer is. */
export function note(
  tally: Tally,
  sent: Pick<Incident, 'user' | 'gateway' | 'at'>,
  outcome: Outcome,
  judge: (answer: Outcome & { is: 'answer' }) => string,
): Verdict {
  const ms = Math.max(0, Math.round(outcome.ms - outcome.standstillMs))
  const verdict = outcome.is === 'broken' ? outcome.code : judge(outcome)
  const incident = { ...sent, until: Date.now(), ms, what: verdict }
  tally.longestMs = Math.max(tally.longestMs, ms)
  if (ms > deadlineMs) tally.slow.push(incident)
  if (outcome.is === 'broken') {
    tally.broken.push(incident)
    return 'broken'
  }
  if (verdict === 'right') {
    tally.right++
    return 'right'
  }
  if (verdict.startsWith('unreachable')) {
    tally.unreachable.push(incident)
    return 'unreachable'
  }
  if (verdict === 'expired') {
    tally.expired.push(incident)
    return 'expired'
  }
  tally.wrong.push(incident)
  return 'wrong'
}
