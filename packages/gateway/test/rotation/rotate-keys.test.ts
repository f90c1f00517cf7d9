import { describe, expect, it } from '@jest/globals'
import { checkAccessToken, newConnectionId, noteUse, openConnection, redeemCode, refreshTokens } from '../../src/connections/connections.ts'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import { ownGrantKey, sharedGrantKey } from '../../src/grants/grant-key.ts'
import { changeGrant, readGrant, readGrantTokens, saveGrant } from '../../src/grants/grants.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { type RotationProgress, rotateKeys } from '../../src/rotation/rotate-keys.ts'
import { recordKey } from '../../src/store/schema.ts'
import { alice, authorization, clientId, type Given, given, tokens, verifier } from '../connections/given.ts'
import { stores } from '../connections/stores.ts'

const [oldSecret, newSecret, oldestSecret] = ['old', 'new', 'oldest'].map((name) => `the ${name} secret, at least thirty-two characters`) as [
  string,
  string,
  string,
]
const rings = {
  before: createKeyRing([oldSecret]),
  during: createKeyRing([newSecret, oldSecret]),
  after: createKeyRing([newSecret]),
}

interface SignedIn {
  id: string
  grantKey: string
  access: string
  refresh: string
  /** Where this client has rotated: its refresh token before, whose answer it may have lost. */
  before: string | undefined
}

/** Signs a user in under the ring of `deps`. */
async function signIn(deps: Given, options: { shared?: boolean; rotated?: boolean } = {}): Promise<SignedIn> {
  const connectionId = newConnectionId(deps)
  const grantKey = options.shared ? sharedGrantKey('default', 'issuer|alice', 'todo') : ownGrantKey('default', connectionId)
  const grant = { scopes: ['s'], identity: alice, provider: 'default', owner: options.shared ? 'issuer|alice' : connectionId, lifeSeconds: 3000 }
  await saveGrant(deps, grantKey, { ...grant, accessToken: `access of ${connectionId}`, refreshToken: `refresh of ${connectionId}`, expiresIn: 3000 })
  const { code } = await openConnection(deps, { ...authorization, connectionId, grantKey })
  const first = (await redeemCode(deps, { code, clientId, verifier })).response
  if (!options.rotated) return { id: connectionId, grantKey, access: first.access_token, refresh: first.refresh_token, before: undefined }
  const second = (await refreshTokens(deps, { refreshToken: first.refresh_token, clientId })).response
  return { id: connectionId, grantKey, access: second.access_token, refresh: second.refresh_token, before: first.refresh_token }
}

const many = <T>(count: number, make: (index: number) => Promise<T>) => Promise.all(Array.from({ length: count }, (_, index) => make(index)))

/** Whether everything of these sign-ins opens under a ring. */
async function expectOpen(deps: Given, all: SignedIn[], keys: Given['keys']): Promise<void> {
  for (const { id, grantKey } of all) {
    const grant = await readGrant(deps, grantKey)
    expect(grant && readGrantTokens({ keys }, grantKey, grant.value)?.accessToken).toMatch(/^access of /)
    const connection = JSON.parse((await deps.store.get(recordKey('connection', id))) as string)
    const { previous } = connection.refresh
    if (previous) for (const sealed of [previous.sealedAccess, previous.sealedRefresh]) expect(keys.open(sealed, recordKey('connection', id))).toMatch(/^emcy_/)
  }
}

describe.each(stores)('a rotation in a %s store', (_name, open) => {
  it('seals grants, own and shared, and remembered answers under the first secret, and says so', async () => {
    const deps = given(open)
    deps.keys = rings.before
    const all = await many(30, (index) => signIn(deps, { shared: index % 10 === 0, rotated: index % 2 === 0 }))
    deps.keys = rings.during
    const seen: RotationProgress[] = []
    const { resealed, ...rest } = await rotateKeys(deps, { onProgress: (progress) => seen.push(progress) })
    // 27 own grants, one that three share, 15 connections with a remembered answer.
    expect({ resealed, ...rest }).toMatchObject({ connections: 30, resealed: 43, unreadable: 0 })
    expect(seen.at(-1)).toEqual({ done: 1, connections: 30, resealed: 43, unreadable: 0 })
    await expectOpen(deps, all, rings.after)
  })

  it('changes nothing the second time', async () => {
    const deps = given(open)
    deps.keys = rings.before
    const { grantKey, id } = await signIn(deps, { rotated: true })
    deps.keys = rings.during
    await rotateKeys(deps)
    const records = await Promise.all([deps.store.get(grantKey), deps.store.get(recordKey('connection', id))])
    expect(await rotateKeys(deps)).toMatchObject({ connections: 1, resealed: 0, unreadable: 0 })
    expect(await Promise.all([deps.store.get(grantKey), deps.store.get(recordKey('connection', id))])).toEqual(records)
  })

  it('loses nothing that traffic writes meanwhile', async () => {
    const deps = given(open)
    deps.keys = rings.before
    const all = await many(60, () => signIn(deps, { rotated: true }))
    deps.keys = rings.during
    const traffic = async (one: SignedIn) => {
      for (let round = 0; round < 5; round++) {
        const { response } = await refreshTokens(deps, { refreshToken: one.refresh, clientId })
        one.refresh = response.refresh_token
        one.access = response.access_token
        await changeGrant(deps, one.grantKey, (grant) => {
          if (!grant) return { do: 'keep', answer: undefined }
          const next = { ...grant, version: grant.version + 1, tokens: { ...grant.tokens, refreshToken: `round ${round} of ${one.id}` } }
          return { do: 'write', next, ttlMs: 3_000_000, answer: undefined }
        })
      }
    }
    await Promise.all([rotateKeys(deps), rotateKeys(deps), ...all.map(traffic)])
    await expectOpen(deps, all, rings.after)
    for (const { id, access, grantKey } of all) {
      expect((await checkAccessToken(deps, access, 'todo')).connection.id).toBe(id)
      const grant = await readGrant(deps, grantKey)
      expect(grant?.value.version).toBe(6)
      expect(grant && readGrantTokens(deps, grantKey, grant.value)?.refreshToken).toBe(`round 4 of ${id}`)
    }
  })
})

describe('a rotation', () => {
  it('that failed goes on where it was', async () => {
    const deps = given()
    deps.keys = rings.before
    const all = await many(20, () => signIn(deps, { rotated: true }))
    deps.keys = rings.during
    const { store } = deps
    let writes = 0
    // What no waiting helps against: the process of the rotation is gone.
    const gone = () => Promise.reject(new Error('killed'))
    deps.store = { ...store, compareAndSet: (...args) => (++writes > 10 ? gone() : store.compareAndSet(...args)) }
    await expect(rotateKeys(deps)).rejects.toThrow('killed')
    deps.store = store
    expect(await rotateKeys(deps)).toMatchObject({ connections: 20, resealed: 30, unreadable: 0 })
    await expectOpen(deps, all, rings.after)
  })

  it('waits for a store that is away for a moment', async () => {
    const deps = given()
    deps.keys = rings.before
    await many(5, () => signIn(deps))
    deps.keys = rings.during
    const { store } = deps
    let failures = 3
    deps.store = { ...store, get: (key) => (failures-- > 0 ? Promise.reject(new StoreUnavailable('away')) : store.get(key)) }
    expect(await rotateKeys(deps)).toMatchObject({ connections: 5, resealed: 5 })
  })

  it('says until when an older secret is needed: until no token that it signed lives', async () => {
    const deps = given()
    deps.keys = rings.before
    const start = deps.time.now
    const one = await signIn(deps)
    deps.keys = createKeyRing([newSecret, oldSecret, oldestSecret])
    const first = await rotateKeys(deps)
    expect(first.older).toEqual([
      { place: 2, neededUntil: start + tokens.refreshTokenSeconds * 1000 },
      { place: 3, neededUntil: undefined },
    ])
    // Later tokens are the new secret's and move nothing; nor does the end of the old ones come earlier.
    deps.time.now += 60_000
    const { response } = await refreshTokens(deps, { refreshToken: one.refresh, clientId })
    expect((await rotateKeys(deps)).older).toEqual(first.older)
    deps.time.now = start + tokens.refreshTokenSeconds * 1000
    expect((await rotateKeys(deps)).older[0]).toEqual({ place: 2, neededUntil: undefined })
    deps.keys = rings.after
    expect((await refreshTokens(deps, { refreshToken: response.refresh_token, clientId })).response.scope).toBe('todos.read todos.write')
  })

  it('keeps the older secret for a connection that does not say who signed its tokens', async () => {
    const deps = given()
    deps.keys = rings.during
    const { id } = await signIn(deps)
    expect((await rotateKeys(deps)).older).toEqual([{ place: 2, neededUntil: undefined }])
    const key = recordKey('connection', id)
    const { signedUntil: _, ...connection } = JSON.parse((await deps.store.get(key)) as string)
    await deps.store.set(key, JSON.stringify(connection), 1_000_000)
    expect((await rotateKeys(deps)).older).toEqual([{ place: 2, neededUntil: connection.expiresAt }])
  })

  it('counts what no secret opens, and leaves it as it is', async () => {
    const deps = given()
    deps.keys = createKeyRing([oldestSecret])
    const { grantKey } = await signIn(deps, { rotated: true })
    const record = await deps.store.get(grantKey)
    deps.keys = rings.during
    expect(await rotateKeys(deps)).toMatchObject({ connections: 1, resealed: 0, unreadable: 2 })
    expect(await deps.store.get(grantKey)).toBe(record)
  })

  it('keeps the life of what it rewrites', async () => {
    const deps = given()
    deps.keys = rings.before
    const { grantKey, id } = await signIn(deps, { rotated: true })
    deps.keys = rings.during
    deps.time.now += 1_000_000
    await rotateKeys(deps)
    deps.time.now += 1_999_999
    expect(await deps.store.get(grantKey)).toBeDefined()
    expect(await deps.store.get(recordKey('connection', id))).toBeDefined()
    deps.time.now += 1
    expect(await deps.store.get(grantKey)).toBeUndefined()
    expect(await deps.store.get(recordKey('connection', id))).toBeUndefined()
  })
})

describe('a record that is written anyway', () => {
  it('is sealed under the first secret: a connection whose token is used', async () => {
    const deps = given()
    deps.keys = rings.before
    const one = await signIn(deps, { rotated: true })
    deps.keys = rings.during
    const key = recordKey('connection', one.id)
    const written = new Promise<void>((resolve) => {
      const { store } = deps
      deps.store = { ...store, compareAndSet: (...args) => store.compareAndSet(...args).finally(resolve) }
    })
    noteUse(deps, await checkAccessToken(deps, one.access, 'todo'))
    await written
    const { previous } = JSON.parse((await deps.store.get(key)) as string).refresh
    expect(rings.after.open(previous.sealedAccess, key)).toBe(one.access)
    expect(rings.after.open(previous.sealedRefresh, key)).toBe(one.refresh)
  })

  it('is sealed under the first secret: a lost answer that is repeated with a new access token', async () => {
    const deps = given()
    deps.keys = rings.before
    const one = await signIn(deps, { rotated: true })
    deps.keys = rings.during
    deps.time.now += tokens.accessTokenSeconds * 1000
    const { response } = await refreshTokens(deps, { refreshToken: one.before as string, clientId })
    expect(response.refresh_token).toBe(one.refresh)
    const key = recordKey('connection', one.id)
    const { previous } = JSON.parse((await deps.store.get(key)) as string).refresh
    expect(rings.after.open(previous.sealedAccess, key)).toBe(response.access_token)
    expect(rings.after.open(previous.sealedRefresh, key)).toBe(one.refresh)
  })

  it('is sealed under the first secret: a grant in any change of its state', async () => {
    const deps = given()
    deps.keys = rings.before
    const one = await signIn(deps)
    deps.keys = rings.during
    await changeGrant(deps, one.grantKey, (grant) =>
      grant ? { do: 'write', next: { ...grant, retryAt: 1 }, ttlMs: 1_000_000, answer: undefined } : { do: 'keep', answer: undefined },
    )
    await expectOpen(deps, [one], rings.after)
  })
})
