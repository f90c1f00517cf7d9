import type { ClientsConfig } from '../config.ts'
import type { Deps } from '../deps.ts'
import { changeRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Client } from './client.ts'
import { recountClient } from './client-count.ts'
import type { ClientMetadata } from './client-metadata.ts'

/** The operator's settings for registration. */
export type RegistrationOptions = Exclude<ClientsConfig['registration'], false>

/** A client that registered itself. Times are milliseconds since the epoch. */
export interface RegisteredClient {
  v: 1
  client: Client
  /** As registered, for its holder to read (RFC 7592 §2.1). */
  metadata: ClientMetadata
  /** The statement that it registered with, to the character (RFC 7591 §3.2.1). */
  statement: string | undefined
  /** SHA-256 of its registration access token. */
  tokenHash: string
  createdAt: number
  renewedAt: number
  /** Where it is counted. */
  slot: string
  /** Whether a user ever let it in: only then can there be connections of it. */
  authorized: boolean
}

const dayMs = 86_400_000

/**
 * Finds a client that registered itself. Being used renews its life, at most daily.
 *
 * @returns undefined when there is none, or it has expired unused
 */
export async function registeredClient(deps: Pick<Deps, 'store' | 'clock'>, options: RegistrationOptions, clientId: string): Promise<Client | undefined> {
  const key = clientKey(clientId)
  const stored = await readRecord<RegisteredClient>(deps.store, 'client', key)
  if (!stored) return undefined
  const now = deps.clock()
  const lifeMs = options.unusedExpirySeconds * 1000
  if (now - stored.value.renewedAt > Math.min(dayMs, lifeMs / 4)) {
    const slot = await recountClient(deps, lifeMs, stored.value.slot)
    const renewed: RegisteredClient = { ...stored.value, renewedAt: now, slot }
    await deps.store.compareAndSet(key, stored.raw, JSON.stringify(renewed), lifeMs)
  }
  return stored.value.client
}

/** Notes that a user let a client in. Nothing for a client that did not register itself. */
export async function noteAuthorized(deps: Pick<Deps, 'store' | 'clock' | 'config'>, client: Client): Promise<void> {
  const { registration } = deps.config.clients
  if (client.trust !== 'dynamic' || registration === false) return
  await changeRecord<RegisteredClient, void>(deps.store, 'client', clientKey(client.clientId), (current) => {
    if (!current || current.authorized) return { do: 'keep', answer: undefined }
    const ttlMs = current.renewedAt + registration.unusedExpirySeconds * 1000 - deps.clock()
    if (ttlMs <= 0) return { do: 'keep', answer: undefined }
    return { do: 'write', next: { ...current, authorized: true }, ttlMs, answer: undefined }
  })
}

/** Key of a client's record. */
export function clientKey(clientId: string): string {
  return recordKey('client', clientId)
}
