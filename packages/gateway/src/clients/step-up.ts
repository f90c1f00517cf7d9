import type { Deps } from '../deps.ts'
import { changeRecord, parseRecord, readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'

/** Whose authorization lacked scopes. */
export interface StepUpKey {
  /** As `subjectKey` names the user. */
  subject: string
  clientId: string
  serverId: string
}

interface RefusedScopes {
  v: 1
  scopes: string[]
}

const lifeMs = 3_600_000
const maxScopes = 100

/**
 * Remembers for an hour which scopes were refused to a user's client, so that its next authorization offers them whatever `scope` it carries: some clients ask again
 * with the old one (refusals.md).
 */
export async function rememberRefusedScopes(deps: Pick<Deps, 'store'>, refused: StepUpKey & { scopes: string[] }): Promise<void> {
  await changeRecord<RefusedScopes, undefined>(deps.store, 'stepUp', stepUpKey(refused), (current) => {
    const scopes = [...new Set([...(current?.scopes ?? []), ...refused.scopes])].slice(0, maxScopes)
    if (scopes.length === (current?.scopes.length ?? 0)) return { do: 'keep', answer: undefined }
    return { do: 'write', next: { v: 1, scopes }, ttlMs: lifeMs, answer: undefined }
  })
}

/** The remembered scopes, left where they are: for a GET, which consumes nothing. */
export async function readRefusedScopes(deps: Pick<Deps, 'store'>, key: StepUpKey): Promise<string[]> {
  return (await readRecord<RefusedScopes>(deps.store, 'stepUp', stepUpKey(key)))?.value.scopes ?? []
}

/** The remembered scopes, which are forgotten with this: for the moment when they have been granted or declined. */
export async function takeRefusedScopes(deps: Pick<Deps, 'store'>, key: StepUpKey): Promise<string[]> {
  const raw = await deps.store.take(stepUpKey(key))
  return raw === undefined ? [] : parseRecord<RefusedScopes>('stepUp', raw).scopes
}

function stepUpKey(key: StepUpKey): string {
  return recordKey('stepUp', key.subject, key.clientId, key.serverId)
}
