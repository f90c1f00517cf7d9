import type { Deps } from '../deps.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import { pendingSeconds } from './pending.ts'

/** A sign-in under way that renews a dead grant. Times are milliseconds since the epoch. */
export interface Reconnection {
  v: 1
  id: string
  /** Id of the link that it was begun from. */
  link: string
  connectionId: string
  /** Version of the grant that was dead when the link was made. */
  deadVersion: number
  /** What the provider was asked for. */
  scopes: string[]
  /** {@link ReconnectionLeg} as sealed JSON. */
  sealed: string
  expiresAt: number
}

/** What the callback is held against. */
export interface ReconnectionLeg {
  state: string
  nonce: string
  verifier: string
}

type ReconnectionDeps = Pick<Deps, 'store' | 'keys' | 'clock'>

/** The state that names a reconnection, with 256 random bits; the prefix tells it from that of an authorization. */
export function newState(deps: Pick<Deps, 'random'>, id: string): string {
  return `reconnect.${id}.${deps.random(32)}`
}

/** The reconnection that a state names; undefined for anything else. */
export function reconnectionOf(state: string | undefined): string | undefined {
  return state === undefined ? undefined : /^reconnect\.([\w-]{32})\.[\w-]{43}$/.exec(state)?.[1]
}

/** Stores a new one, for ten minutes. */
export async function saveReconnection(
  deps: ReconnectionDeps,
  reconnection: Omit<Reconnection, 'v' | 'sealed' | 'expiresAt'>,
  leg: ReconnectionLeg,
): Promise<void> {
  const key = recordKey('reconnection', reconnection.id)
  const lifeMs = pendingSeconds * 1000
  const record: Reconnection = { ...reconnection, v: 1, sealed: deps.keys.seal(JSON.stringify(leg), key), expiresAt: deps.clock() + lifeMs }
  await deps.store.set(key, JSON.stringify(record), lifeMs)
}

/** Reads one with what its callback is held against; undefined when it is gone, or no key of the ring opens it. */
export async function readReconnection(deps: ReconnectionDeps, id: string): Promise<{ reconnection: Reconnection; leg: ReconnectionLeg } | undefined> {
  const key = recordKey('reconnection', id)
  const stored = await readRecord<Reconnection>(deps.store, 'reconnection', key)
  if (!stored || stored.value.expiresAt <= deps.clock()) return undefined
  const opened = deps.keys.open(stored.value.sealed, key)
  return opened === undefined ? undefined : { reconnection: stored.value, leg: JSON.parse(opened) as ReconnectionLeg }
}

/** Takes one out of the store: of any number of callers exactly one gets it. */
export async function takeReconnection(deps: ReconnectionDeps, id: string): Promise<boolean> {
  return (await deps.store.take(recordKey('reconnection', id))) !== undefined
}
