import { randomBytes } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { findPending, openSecrets, savePending } from '../../src/authorization/pending.ts'
import { resealed } from '../../src/connections/change-connection.ts'
import type { Connection } from '../../src/connections/connection.ts'
import { ownGrantKey, sharedGrantKey } from '../../src/grants/grant-key.ts'
import { readGrant, readGrantTokens, resealGrant, saveGrant } from '../../src/grants/grants.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { recordKey } from '../../src/store/schema.ts'

const secrets = ['the first secret of at least thirty-two characters', 'the other secret of at least thirty-two characters']
const keys = createKeyRing(secrets)
const deps = { store: memoryStore(), keys, clock: () => 1_800_000_000_000, random: (bytes: number) => randomBytes(bytes).toString('base64url') }

/** Every place where something sealed stands, each a neighbour of another: one other user, server, provider, connection or kind of record. */
const places = {
  'own grant': ownGrantKey('default', 'AAAA'),
  'own grant of another connection': ownGrantKey('default', 'AAAB'),
  'own grant at another provider': ownGrantKey('other', 'AAAA'),
  'shared grant': sharedGrantKey('default', 'https://login.example|ann', 'todo'),
  'shared grant of another user': sharedGrantKey('default', 'https://login.example|ben', 'todo'),
  'shared grant at another server': sharedGrantKey('default', 'https://login.example|ann', 'other'),
  'shared grant at another provider': sharedGrantKey('other', 'https://login.example|ann', 'todo'),
  connection: recordKey('connection', 'AAAA'),
  'another connection': recordKey('connection', 'AAAB'),
  transaction: recordKey('pending', 'AAAA'),
  'another transaction': recordKey('pending', 'AAAB'),
  'cookie of the user': 'emcy-user',
}

describe('a sealed value', () => {
  it.each(Object.entries(places))('of %s opens nowhere else, and is sealed anew nowhere else', (_name, place) => {
    for (const ring of [keys, createKeyRing([secrets[1] as string])]) {
      const sealed = ring.seal('tokens', place)
      for (const other of Object.values(places)) {
        expect(keys.open(sealed, other)).toBe(other === place ? 'tokens' : undefined)
        // Or a rotation would make a moved value good.
        expect(keys.reseal(sealed, other) === undefined).toBe(other !== place)
      }
    }
  })

  it('of one grant in the record of another gives no tokens, also after a rotation', async () => {
    const grant = { scopes: [], identity: { issuer: 'https://login.example', sub: 'ann', claims: {} }, provider: 'default', lifeSeconds: 3000 }
    const [mine, theirs] = [ownGrantKey('default', 'mine'), ownGrantKey('default', 'theirs')]
    await saveGrant(deps, mine, { ...grant, owner: 'mine', accessToken: 'mine' })
    await saveGrant(deps, theirs, { ...grant, owner: 'theirs', accessToken: 'theirs' })
    const stolen = (await deps.store.get(theirs)) as string
    await deps.store.set(mine, stolen, 1_000_000)
    const found = await readGrant(deps, mine)
    expect(found && readGrantTokens(deps, mine, found.value)).toBeUndefined()
    expect(await resealGrant(deps, mine)).toBe('unreadable')
    expect(await deps.store.get(mine)).toBe(stolen)
  })

  it("of one connection's remembered answer stays closed in another, also after a rotation", () => {
    const old = createKeyRing([secrets[1] as string])
    const [sealedAccess, sealedRefresh] = ['at', 'rt'].map((token) => old.seal(token, recordKey('connection', 'theirs'))) as [string, string]
    const mine = { id: 'mine', refresh: { previous: { sealedAccess, sealedRefresh } } } as unknown as Connection
    const { connection, was } = resealed(keys, mine)
    expect(was).toBe('unreadable')
    expect(connection.refresh?.previous).toEqual({ sealedAccess, sealedRefresh })
  })

  it('of one transaction stays closed in another', async () => {
    const pending = { phase: 'confirm', request: {}, browser: undefined, expected: undefined, decision: undefined } as unknown as Parameters<
      typeof savePending
    >[1]
    const theirs = await savePending(deps, { ...pending, id: 'B'.repeat(32) }, { goOn: 'https://app.example/done?code=theirs' })
    await deps.store.set(recordKey('pending', 'C'.repeat(32)), JSON.stringify({ ...theirs, id: 'C'.repeat(32) }), 1_000_000)
    const mine = await findPending(deps, 'C'.repeat(32))
    expect(mine && openSecrets(deps, mine)).toEqual({})
    expect(openSecrets(deps, theirs)).toEqual({ goOn: 'https://app.example/done?code=theirs' })
  })
})
