import { describe, expect, it } from '@jest/globals'
import { subjectKey } from '../../src/connections/connection.ts'
import { connectionsOf, endConnection, listConnections, openConnection, progressOf, redeemCode, refreshTokens } from '../../src/connections/connections.ts'
import { shardCount } from '../../src/connections/index-of-all.ts'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import { recordKey } from '../../src/store/schema.ts'
import { alice, authorization, clientId, type Given, given, tokens, verifier } from './given.ts'
import { stores } from './stores.ts'

const subject = subjectKey(alice)
const asUser = (sub: string) => ({ ...authorization, identity: { ...alice, sub } })
const many = <T>(count: number, make: (index: number) => Promise<T>) => Promise.all(Array.from({ length: count }, (_, index) => make(index)))

async function listAll(deps: Given, limit?: number): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await listConnections(deps, { cursor, limit })
    expect(page.connections.length).toBeLessThanOrEqual(limit ?? 100)
    ids.push(...page.connections.map(({ id }) => id))
    cursor = page.next
  } while (cursor !== undefined)
  return ids
}

/** All ids of the index, live or not. */
async function listedIds(deps: Given): Promise<string[]> {
  const records = await many(shardCount, (place) => deps.store.get(recordKey('shard', String(place))))
  return records.flatMap((record) => (record === undefined ? [] : (JSON.parse(record).ids as string[])))
}

/** Resolves when as many shards were written as connections ended: their ids leave the index beside the request. */
async function untilIds(deps: Given, count: number): Promise<void> {
  while ((await listedIds(deps)).length > count) await new Promise((next) => setImmediate(next))
}

describe.each(stores)('the index of all connections in a %s store', (_name, open) => {
  it('lists nothing when there is nothing', async () => {
    expect(await listConnections(given(open))).toEqual({ connections: [], next: undefined })
  })

  it.each([1, 7, 100])('lists each connection once in pages of %d, with and without a user', async (limit) => {
    const deps = given(open)
    const made = await many(60, (index) => openConnection(deps, index % 5 === 0 ? { ...authorization, identity: undefined } : asUser(`user${index % 9}`)))
    const ids = await listAll(deps, limit)
    expect(ids.sort()).toEqual(made.map(({ connectionId }) => connectionId).sort())
  })

  it('stays true while 200 connections open and half of them end at once', async () => {
    const deps = given(open)
    const made = await many(200, async (index) => {
      const { connectionId } = await openConnection(deps, asUser(`user${index % 40}`))
      if (index % 2 === 0) await endConnection(deps, connectionId)
      return { connectionId, ended: index % 2 === 0 }
    })
    const live = made.filter(({ ended }) => !ended).map(({ connectionId }) => connectionId)
    expect((await listAll(deps)).sort()).toEqual([...live].sort())
    await untilIds(deps, live.length)
    expect((await listedIds(deps)).sort()).toEqual([...live].sort())
    const bySubject = await many(40, (user) => connectionsOf(deps, subjectKey({ ...alice, sub: `user${user}` })))
    expect(
      bySubject
        .flat()
        .map(({ id }) => id)
        .sort(),
    ).toEqual(live.sort())
  })

  it('lists what was there all along exactly once, whatever opens and ends between two pages', async () => {
    const deps = given(open)
    const staying = (await many(80, () => openConnection(deps, asUser('stays')))).map(({ connectionId }) => connectionId)
    const seen: string[] = []
    let passing: string[] = []
    let cursor: string | undefined
    do {
      const page = await listConnections(deps, { cursor, limit: 9 })
      seen.push(...page.connections.map(({ id }) => id))
      cursor = page.next
      for (const id of passing) await endConnection(deps, id)
      passing = (await many(10, () => openConnection(deps, asUser('passes')))).map(({ connectionId }) => connectionId)
    } while (cursor !== undefined)
    expect(seen.filter((id) => staying.includes(id)).sort()).toEqual(staying.sort())
    expect(new Set(seen).size).toBe(seen.length)
  })

  it('holds 200 connections that one user opens at the same moment', async () => {
    const deps = given(open)
    const made = await many(200, () => openConnection(deps, authorization))
    expect((await connectionsOf(deps, subject)).map(({ id }) => id).sort()).toEqual(made.map(({ connectionId }) => connectionId).sort())
  })

  it('drops ids of connections that have expired where it meets them', async () => {
    const deps = given(open)
    await many(30, () => openConnection(deps, authorization))
    deps.time.now += tokens.codeSeconds * 1000
    expect(await listedIds(deps)).toHaveLength(30)
    expect(await listAll(deps)).toEqual([])
    expect(await listedIds(deps)).toEqual([])
  })

  it('knows a connection for as long as refreshes keep it', async () => {
    const deps = given(open)
    const { code, connectionId } = await openConnection(deps, authorization)
    let { refresh_token: refreshToken } = (await redeemCode(deps, { code, clientId, verifier })).response
    for (let step = 0; step < 12; step++) {
      deps.time.now += (tokens.refreshTokenSeconds - 1) * 1000
      refreshToken = (await refreshTokens(deps, { refreshToken, clientId })).response.refresh_token
      expect(await listAll(deps)).toEqual([connectionId])
    }
  })

  it('counts only what is wanted, and says how far it is', async () => {
    const deps = given(open)
    const wantedIds = (await many(5, () => openConnection(deps, asUser('ann')))).map(({ connectionId }) => connectionId)
    await many(50, () => openConnection(deps, asUser('ben')))
    const wanted = (connection: { identity: { sub: string } | undefined }) => connection.identity?.sub === 'ann'
    const first = await listConnections(deps, { limit: 3, wanted })
    expect(first.connections).toHaveLength(3)
    expect(progressOf(first.next)).toBeGreaterThanOrEqual(0)
    expect(progressOf(first.next)).toBeLessThan(1)
    const second = await listConnections(deps, { limit: 3, wanted, cursor: first.next })
    expect([...first.connections, ...second.connections].map(({ id }) => id).sort()).toEqual(wantedIds.sort())
    expect([second.next, progressOf(second.next)]).toEqual([undefined, 1])
  })
})

describe('the index of all connections', () => {
  it('keeps dead ids few though nobody lists: each addition looks at some', async () => {
    const deps = given()
    for (let batch = 0; batch < 200; batch++) {
      await many(50, () => openConnection(deps, { ...authorization, identity: undefined }))
      deps.time.now += tokens.codeSeconds * 1000
    }
    // Of 10,000 in 1,024 shards, about one a shard is left: the last that came, as whoever came before it was dropped then.
    expect((await listedIds(deps)).length).toBeLessThanOrEqual(2 * shardCount)
  })

  it('is written before the code leaves: a crash leaves no connection alive that it does not know', async () => {
    const deps = given()
    const { store } = deps
    deps.store = {
      ...store,
      // The process ends, as far as the store can see, right after the connection was written.
      compareAndSet: (key, ...rest) => (key.startsWith('connection:') ? store.compareAndSet(key, ...rest) : Promise.reject(new StoreUnavailable('crashed'))),
    }
    await expect(openConnection(deps, authorization)).rejects.toBeInstanceOf(StoreUnavailable)
    deps.store = store
    expect(await listAll(deps)).toEqual([])
    deps.time.now += tokens.codeSeconds * 1000
    expect(await listConnections(deps)).toEqual({ connections: [], next: undefined })
  })

  it.each(['', '0', '0.', '1024.abc', '-1.abc', '01.abc', '0.abc d', `0.${'a'.repeat(61)}`, '@1.abc'])('refuses the cursor %j', async (cursor) => {
    await expect(listConnections(given(), { cursor })).rejects.toBeInstanceOf(RangeError)
  })

  it.each([0, -1, 1.5, 1001, Number.NaN])('refuses the limit %d', async (limit) => {
    await expect(listConnections(given(), { limit })).rejects.toBeInstanceOf(RangeError)
  })

  it('says so when the store is away, and lists nothing as if it were all', async () => {
    const deps = given()
    await openConnection(deps, authorization)
    deps.store = { ...deps.store, get: () => Promise.reject(new StoreUnavailable('down')) }
    await expect(listConnections(deps)).rejects.toBeInstanceOf(StoreUnavailable)
  })
})

describe("the index of one user's connections", () => {
  it('outlives its connections when a renewal fails', async () => {
    const deps = given()
    const { code, connectionId } = await openConnection(deps, authorization)
    let { refresh_token: refreshToken } = (await redeemCode(deps, { code, clientId, verifier })).response
    const { store } = deps
    for (let step = 0; step < 10; step++) {
      deps.time.now += (tokens.refreshTokenSeconds - 1) * 1000
      // Every other renewal of the index is lost.
      const isLost = (key: string) => step % 2 === 0 && key.startsWith('subject:')
      deps.store = {
        ...store,
        compareAndSet: (key, ...rest) => (isLost(key) ? Promise.reject(new StoreUnavailable('lost')) : store.compareAndSet(key, ...rest)),
      }
      refreshToken = (await refreshTokens(deps, { refreshToken, clientId })).response.refresh_token
      deps.store = store
      deps.time.now += (tokens.refreshTokenSeconds - 2) * 1000
      expect((await connectionsOf(deps, subject)).map(({ id }) => id)).toEqual([connectionId])
      deps.time.now -= (tokens.refreshTokenSeconds - 2) * 1000
    }
  })

  it('reads thousands of connections of one user a hundred at a time', async () => {
    const deps = given()
    for (let batch = 0; batch < 30; batch++) await many(40, () => openConnection(deps, authorization))
    let reading = 0
    let most = 0
    const { store } = deps
    deps.store = {
      ...store,
      async get(key) {
        most = Math.max(most, ++reading)
        await new Promise((next) => setImmediate(next))
        reading--
        return store.get(key)
      },
    }
    expect(await connectionsOf(deps, subject)).toHaveLength(1200)
    expect(most).toBe(100)
  })
})
