import type { Identity } from '../config.ts'
import type { Deps } from '../deps.ts'
import type { DownstreamTokens } from '../grants/downstream.ts'
import { changeRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { ExpectedUser } from './expected-user.ts'

/** How long an authorization may take from one leg to the next (AZ-11: ten minutes is the specification's example). */
export const pendingSeconds = 600
// Longer than any name of it in a URL lives, on whichever replica's clock: what was decided once must not seem undecided again.
const keptMs = (pendingSeconds + 60) * 1000
const sealedName = 'transaction'

/** What the client asked for, checked. */
export interface PendingRequest {
  clientId: string
  redirectUri: string
  state: string | undefined
  challenge: string
  /** Thumbprint of the key that the code is to be bound to (RFC 9449 §10). */
  dpopJkt?: string | undefined
  /** Server id. */
  server: string
  scopes: string[]
  prompt: 'none' | 'consent' | 'login' | 'select_account' | undefined
  /** `query` when left out. */
  responseMode?: ResponseMode
  /** Passed on to the provider (OpenID Connect Core §3.1.2.1). */
  loginHint?: string | undefined
  /** Id of the pushed request that this came by (RFC 9126). */
  pushed?: string | undefined
}

/** How the authorization response gets to the client. */
export type ResponseMode = 'query' | 'form_post'

/**
 * Where a pending authorization stands. `consent`: the page is asking; `confirm`: it asks after the sign-in, as another user came back than expected; `downstream`: the
 * browser is at the provider; `answered`: over, kept a while so that a double click gets the same answer again; `over`: used up, kept so that nothing of it comes back.
 */
export type PendingPhase = 'consent' | 'confirm' | 'downstream' | 'answered' | 'over'

/** What the phases keep secret. */
export interface PendingSecrets {
  /** `confirm`: what the provider gave and whom it named. */
  signedIn?: { tokens: DownstreamTokens; identity: Identity }
  /** `downstream`: what the callback is held against. */
  leg?: { state: string; nonce: string; verifier: string }
  /** `downstream` and `answered`: where the browser was sent. */
  goOn?: string
}

/** An authorization under way. Times are milliseconds since the epoch. */
export interface Pending {
  v: 1
  id: string
  phase: PendingPhase
  request: PendingRequest
  /** SHA-256 of the page cookie's value; undefined while no page was shown. */
  browser: string | undefined
  /** Whom the browser or the host app named at the start. */
  expected: ExpectedUser | undefined
  /** Whether the user allowed it on a page, and not a remembered approval. */
  decision: 'allow' | 'deny' | undefined
  /** {@link PendingSecrets} as sealed JSON. */
  sealed: string | undefined
  expiresAt: number
}

type PendingDeps = Pick<Deps, 'store' | 'keys' | 'clock' | 'random'>

/** A new transaction's id: it stands in a URL of ours and gives nothing without the browser's cookie. */
export function newPendingId(deps: Pick<Deps, 'random'>): string {
  return deps.random(24)
}

/**
 * The name of a new transaction, for a URL of ours: all of it, sealed. Anybody may begin any number of them, so until someone has decided nothing is stored
 * (docs/decisions/0007-requests-in-the-url.md). It gives nothing without the browser's cookie either.
 */
export function beginPending(deps: Pick<PendingDeps, 'keys' | 'clock'>, begun: Pick<Pending, 'id' | 'request' | 'browser' | 'expected'>): string {
  const pending: Pending = { ...begun, v: 1, phase: 'consent', decision: undefined, sealed: undefined, expiresAt: deps.clock() + pendingSeconds * 1000 }
  return deps.keys.seal(JSON.stringify(pending), sealedName)
}

/**
 * The transaction that a name stands for, as it is now. A name is what {@link beginPending} gave, or the id of a transaction that is stored.
 *
 * @returns undefined when there is none, or it is over
 */
export async function findPending(deps: PendingDeps, name: string | undefined): Promise<Pending | undefined> {
  const begun = name === undefined ? undefined : openName(deps, name)
  const id = begun?.id ?? name
  if (id === undefined || !/^[\w-]{32}$/.test(id)) return undefined
  const stored = await readRecord<Pending>(deps.store, 'pending', recordKey('pending', id))
  // What became of it counts, and not how it began.
  const found = stored ? stored.value : begun
  return found && isOpen(deps, found) ? found : undefined
}

function openName(deps: Pick<PendingDeps, 'keys'>, name: string): Pending | undefined {
  const opened = deps.keys.open(name, sealedName)
  return opened === undefined ? undefined : (JSON.parse(opened) as Pending)
}

function isOpen(deps: Pick<PendingDeps, 'clock'>, { phase, expiresAt }: Pending): boolean {
  return phase !== 'over' && expiresAt > deps.clock()
}

/** Stores a new transaction, or a new phase of one that was taken. */
export async function savePending(deps: PendingDeps, pending: Omit<Pending, 'v' | 'expiresAt' | 'sealed'>, secrets?: PendingSecrets): Promise<Pending> {
  const record: Pending = {
    ...pending,
    v: 1,
    sealed: secrets && sealSecrets(deps, pending.id, secrets),
    expiresAt: deps.clock() + pendingSeconds * 1000,
  }
  await deps.store.set(recordKey('pending', pending.id), JSON.stringify(record), keptMs)
  return record
}

/**
 * Moves a transaction that waits for a decision on, once: of any number of callers one wins, and the others get what the winner wrote.
 *
 * @param asked the transaction as {@link findPending} gave it
 * @returns undefined when the transaction is gone
 */
export async function decidePending(
  deps: PendingDeps,
  asked: Pending,
  next: { phase: 'downstream' | 'answered'; decision: 'allow' | 'deny'; secrets: PendingSecrets /** What the user left of it. */; scopes?: string[] },
): Promise<{ won: boolean; pending: Pending } | undefined> {
  const { id } = asked
  const sealed = sealSecrets(deps, id, next.secrets)
  return changeRecord<Pending, { won: boolean; pending: Pending } | undefined>(deps.store, 'pending', recordKey('pending', id), (stored) => {
    // Of one that waits since it began there is no record yet; one that was stored to be confirmed, and is there no more, is gone.
    const current = stored ?? (asked.phase === 'consent' ? asked : undefined)
    if (!current || !isOpen(deps, current)) return { do: 'keep', answer: undefined }
    if (current.phase !== 'consent' && current.phase !== 'confirm') return { do: 'keep', answer: { won: false, pending: current } }
    const fresh = deps.clock() + pendingSeconds * 1000
    const request = { ...current.request, scopes: next.scopes ?? current.request.scopes }
    const pending: Pending = { ...current, request, phase: next.phase, decision: next.decision, sealed, expiresAt: fresh }
    return { do: 'write', next: pending, ttlMs: keptMs, answer: { won: true, pending } }
  })
}

/**
 * Uses a transaction up: of any number of callers exactly one gets it (AZ-11). That it is over stays written for as long as its name in a URL may live; its secrets go.
 *
 * @returns whether it was this caller
 */
export function takePending(deps: PendingDeps, id: string): Promise<boolean> {
  return changeRecord<Pending, boolean>(deps.store, 'pending', recordKey('pending', id), (current) => {
    if (!current || !isOpen(deps, current)) return { do: 'keep', answer: false }
    return { do: 'write', next: { ...current, phase: 'over', sealed: undefined }, ttlMs: keptMs, answer: true }
  })
}

/** Opens what a transaction keeps secret; empty when no key of the ring opens it any more. */
export function openSecrets(deps: Pick<Deps, 'keys'>, pending: Pending): PendingSecrets {
  const opened = pending.sealed === undefined ? undefined : deps.keys.open(pending.sealed, recordKey('pending', pending.id))
  return opened === undefined ? {} : (JSON.parse(opened) as PendingSecrets)
}

function sealSecrets(deps: Pick<Deps, 'keys'>, id: string, secrets: PendingSecrets): string {
  return deps.keys.seal(JSON.stringify(secrets), recordKey('pending', id))
}
