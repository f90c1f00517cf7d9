import type { Deps } from '../deps.ts'
import { StoreUnavailable } from '../errors/errors.ts'
import type { BudgetNote } from '../log/events.ts'
import type { Budget } from '../rules.ts'
import { type BudgetCaller, type Charge, type Charged, chargeOf } from './charge.ts'
import { rateLimitHeaders, refusalText } from './refusal.ts'

/** What became of a reservation. `notes` go into the log event of the call. */
export type Reservation =
  | {
      granted: true
      notes: BudgetNote[]
      /** `RateLimit` and `RateLimit-Policy`; empty when no budget counted. */
      headers: Record<string, string>
      /** Gives the units back, for a call that never reached the runtime. Once is enough; more does nothing. Never rejects: what stays charged heals with the window. */
      refund: () => Promise<void>
    }
  | {
      granted: false
      notes: BudgetNote[]
      budget: string
      left: number
      /** Milliseconds since the epoch. */
      resetsAt: number
      retryAfterSeconds: number
      /** `Retry-After`, `RateLimit`, `RateLimit-Policy`. */
      headers: Record<string, string>
      /** Words for the agent: which budget, how much is left, when it resets. */
      text: string
    }

/**
 * Charges a call to every budget that counts it: one atomic spend each, all or nothing. Over any interleaving of callers and replicas no budget admits more
 * than its limit, a refused call costs nothing, and what is left can be spent to the last unit.
 *
 * @param budgets the gateway's and the server's
 * @throws StoreUnavailable when the store is down and a budget does not say `onOutage: 'allow'`
 */
export async function reserve(deps: Pick<Deps, 'store' | 'clock' | 'log'>, budgets: readonly Budget[], caller: BudgetCaller): Promise<Reservation> {
  const now = deps.clock()
  const charges = budgets.map((budget) => chargeOf(budget, caller, now)).filter((charge) => charge !== undefined)
  const done: Charged[] = []
  const notes: BudgetNote[] = []
  // Dry-run budgets come last: they refuse nothing, so nothing that they took has to be given back for their own sake.
  for (const charge of [...charges.filter(enforced), ...charges.filter((one) => !enforced(one))]) {
    const charged = await spend(deps, charge, notes, () => giveBack(deps, done))
    if (charged === undefined) continue
    if (charged.allowed) {
      done.push(charged)
      continue
    }
    if (!enforced(charge)) continue
    await giveBack(deps, done)
    const retryAfterSeconds = Math.max(1, Math.ceil((charged.resetsAt - deps.clock()) / 1000))
    const { left, resetsAt } = charged
    const headers = { 'retry-after': String(retryAfterSeconds), ...rateLimitHeaders([charged], deps.clock()) }
    const text = refusalText(charged, retryAfterSeconds)
    return { granted: false, notes: notes.filter((note) => note.refused), budget: charge.budget.name, left, resetsAt, retryAfterSeconds, headers, text }
  }
  let refunded = false
  const refund = async () => {
    if (refunded) return
    refunded = true
    await giveBack(deps, done)
  }
  return { granted: true, notes, headers: rateLimitHeaders(done.filter(enforced), deps.clock()), refund }
}

function enforced({ budget }: Charge): boolean {
  return budget.mode !== 'dry-run'
}

/* One atomic spend; undefined when an outage lets the call pass uncounted. */
async function spend(
  deps: Pick<Deps, 'store' | 'clock'>,
  charge: Charge,
  notes: BudgetNote[],
  undo: () => Promise<void>,
): Promise<(Charged & { allowed: boolean }) | undefined> {
  const { budget, key, cost, ttlMs } = charge
  const note: BudgetNote = { name: budget.name, cost, ...(enforced(charge) ? {} : { dryRun: true }) }
  notes.push(note)
  try {
    const { allowed, used } = await deps.store.spend(key, cost, budget.limit, ttlMs)
    note.left = Math.max(0, budget.limit - used)
    if (!allowed) note.refused = true
    return { ...charge, allowed, left: note.left, chargedAt: deps.clock() }
  } catch (error) {
    if (error instanceof StoreUnavailable && (budget.onOutage === 'allow' || !enforced(charge))) {
      note.uncounted = true
      return undefined
    }
    await undo()
    throw error
  }
}

/* In reverse. Never rejects: it runs where the call is already answered or another error is on its way. */
async function giveBack(deps: Pick<Deps, 'store' | 'clock' | 'log'>, done: Charged[]): Promise<void> {
  for (const { budget, key, cost, ttlMs, chargedAt, leewayMs } of done.toReversed()) {
    // What the charged counter can still have to live. One with more life is a later one, which these units are not in.
    const lifeMs = Math.ceil(chargedAt + ttlMs + leewayMs - deps.clock())
    if (lifeMs <= 0) continue
    try {
      await deps.store.spend(key, -cost, budget.limit, lifeMs)
    } catch (error) {
      const reason = error instanceof StoreUnavailable ? error.reason : String(error)
      deps.log.write({
        event: 'gateway.warning',
        level: 'warn',
        message: `units of budget ${budget.name} could not be given back`,
        ...(reason ? { reason } : {}),
      })
    }
  }
}
