import { beforeEach, describe, expect, it } from '@jest/globals'
import { subjectKey } from '../../src/connections/connection.ts'
import {
  ConnectionEnded,
  checkAccessToken,
  connectionsOf,
  endConnection,
  newConnectionId,
  noteUse,
  openConnection,
  redeemCode,
  refreshTokens,
  revokeToken,
  type TokenResponse,
} from '../../src/connections/connections.ts'
import { mintToken } from '../../src/connections/token-format.ts'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import { clockSkewMs } from '../../src/lib/clock-skew.ts'
import { recordKey } from '../../src/store/schema.ts'
import { alice, authorization, clientId, type Given, given, redirectUri, todo, tokens, verifier } from './given.ts'
import { stores } from './stores.ts'

const subject = subjectKey(alice)

async function login(deps: Given): Promise<TokenResponse & { code: string; id: string }> {
  const { code, connectionId } = await openConnection(deps, authorization)
  const { response } = await redeemCode(deps, { code, clientId, verifier, redirectUri, resource: todo.resource })
  return { ...response, code, id: connectionId }
}

/** Uses the token as a request does, and waits until that is stored. */
async function useToken(deps: Given, token: string): Promise<void> {
  const stored = new Promise<void>((resolve) => {
    const { compareAndSet } = deps.store
    deps.store = {
      ...deps.store,
      async compareAndSet(...given) {
        const done = await compareAndSet.apply(this, given)
        resolve()
        return done
      },
    }
  })
  noteUse(deps, await checkAccessToken(deps, token, 'todo'))
  await stored
}

describe.each(stores)('connections in a %s store', (_name, open) => {
  let deps: Given
  beforeEach(() => {
    deps = given(open)
  })

  it('go from code to tokens to a checked request', async () => {
    const response = await login(deps)
    expect(response).toMatchObject({ token_type: 'Bearer', expires_in: tokens.accessTokenSeconds, scope: 'todos.read todos.write' })
    const asked: string[] = []
    const checked = await checkAccessToken(deps, response.access_token, 'todo', (id) => asked.push(id))
    expect(asked).toEqual([response.id])
    expect(checked).toMatchObject({
      scopes: authorization.scopes,
      generation: 1,
      connection: { id: response.id, identity: alice, grantKey: 'grant:default:x' },
    })
  })

  it('store neither code nor tokens in the clear (TK-10)', async () => {
    const response = await login(deps)
    const next = await refreshTokens(deps, { refreshToken: response.refresh_token, clientId })
    const raw = (await deps.store.get(`connection:${response.id}`)) as string
    for (const secret of [response.code, response.access_token, response.refresh_token, next.response.access_token, next.response.refresh_token]) {
      expect(raw).not.toContain(secret)
      expect(raw).not.toContain(secret.split('.')[2])
    }
  })

  it('answer 20 refreshes at once with one successor for all', async () => {
    const { refresh_token: refreshToken } = await login(deps)
    const answers = await Promise.all(Array.from({ length: 20 }, () => refreshTokens(deps, { refreshToken, clientId, resource: todo.resource })))
    expect(new Set(answers.map(({ response }) => JSON.stringify(response))).size).toBe(1)
    expect(answers[0]?.response.refresh_token).not.toBe(refreshToken)
    await checkAccessToken(deps, answers[7]?.response.access_token as string, 'todo')
  })

  it('redeem a code for one of 20 at once, and end as the others show that it has two holders (TK-2)', async () => {
    const { code } = await openConnection(deps, authorization)
    const outcomes = await Promise.allSettled(Array.from({ length: 20 }, () => redeemCode(deps, { code, clientId, verifier })))
    const won = outcomes.filter((outcome) => outcome.status === 'fulfilled')
    expect(won).toHaveLength(1)
    await expect(checkAccessToken(deps, won[0]?.value.response.access_token as string, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
  })

  it('repeat a lost response long after the window, with expires_in counted anew', async () => {
    const { refresh_token: refreshToken } = await login(deps)
    const lost = await refreshTokens(deps, { refreshToken, clientId })
    deps.time.now += 300_000
    expect((await refreshTokens(deps, { refreshToken, clientId })).response).toEqual({ ...lost.response, expires_in: 300 })
    deps.time.now += 400_000
    const late = await refreshTokens(deps, { refreshToken, clientId })
    expect(late.response).toMatchObject({ refresh_token: lost.response.refresh_token, expires_in: 600 })
    expect(late.response.access_token).not.toBe(lost.response.access_token)
    await checkAccessToken(deps, late.response.access_token, 'todo')
  })

  it('end at a replay: nothing of them is accepted afterwards, the event is logged, the grant is the catcher’s (TK-7)', async () => {
    const { refresh_token: old, access_token: first, id } = await login(deps)
    const { response: next } = await refreshTokens(deps, { refreshToken: old, clientId })
    await useToken(deps, next.access_token)
    deps.time.now += 60_001
    const replay = refreshTokens(deps, { refreshToken: old, clientId })
    await expect(replay).rejects.toBeInstanceOf(ConnectionEnded)
    await expect(replay).rejects.toMatchObject({ code: 'invalid_grant', status: 400, connection: { id, grantKey: 'grant:default:x' } })
    expect(deps.events).toContainEqual(expect.objectContaining({ event: 'authorization.replay', reason: 'refresh token replayed', connectionId: id, subject }))
    for (const token of [first, next.access_token]) await expect(checkAccessToken(deps, token, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    await expect(refreshTokens(deps, { refreshToken: next.refresh_token, clientId })).rejects.toMatchObject({ code: 'invalid_grant' })
    expect(await connectionsOf(deps, subject)).toEqual([])
  })

  it('refuse the token of another client, which is logged and ends nothing', async () => {
    const { refresh_token: refreshToken, code, access_token: access } = await login(deps)
    await expect(refreshTokens(deps, { refreshToken, clientId: 'mallory' })).rejects.toMatchObject({ code: 'invalid_grant' })
    expect(deps.events).toContainEqual(expect.objectContaining({ event: 'authorization.token', outcome: 'refused', clientId: 'mallory' }))
    expect(await revokeToken(deps, refreshToken, 'mallory')).toBeUndefined()
    expect(await revokeToken(deps, code, 'mallory')).toBeUndefined()
    await checkAccessToken(deps, access, 'todo')
  })

  it('take offline_access in a refresh as asking for nothing, and a narrower scope for the access token alone', async () => {
    const { refresh_token: refreshToken } = await login(deps)
    const narrow = await refreshTokens(deps, { refreshToken, clientId, scope: 'todos.read offline_access' })
    expect(narrow.response.scope).toBe('todos.read')
    expect((await checkAccessToken(deps, narrow.response.access_token, 'todo')).scopes).toEqual(['todos.read'])
    const wide = await refreshTokens(deps, { refreshToken: narrow.response.refresh_token, clientId, scope: 'offline_access' })
    expect(wide.response.scope).toBe('todos.read todos.write')
    await expect(refreshTokens(deps, { refreshToken: wide.response.refresh_token, clientId, scope: 'admin' })).rejects.toMatchObject({ code: 'invalid_scope' })
  })

  it('refuse a token at any other server (BC-3)', async () => {
    const { access_token: access } = await login(deps)
    await expect(checkAccessToken(deps, access, 'other')).rejects.toMatchObject({ code: 'invalid_token', status: 401 })
    deps.config = { ...deps.config, servers: { todo: { ...todo, resource: 'https://new.example.com/mcp' } } }
    await expect(checkAccessToken(deps, access, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
  })

  it('refuse refresh tokens and codes as access tokens, and what is not ours before the store is asked', async () => {
    const { refresh_token: refreshToken, code } = await login(deps)
    const { store } = deps
    deps.store = { ...store, get: () => Promise.reject(new Error('the store was asked')) }
    for (const token of [refreshToken, code, 'emcy_at_x.1.y.z', '', 'x'.repeat(100_000)]) {
      await expect(checkAccessToken(deps, token, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    }
    for (const token of ['emcy_rt_x.1.y.z', code])
      await expect(refreshTokens(deps, { refreshToken: token, clientId })).rejects.toMatchObject({ code: 'invalid_grant' })
    await expect(redeemCode(deps, { code: refreshToken, clientId, verifier })).rejects.toMatchObject({ code: 'invalid_grant' })
    expect(await revokeToken(deps, 'emcy_at_x.1.y.z', clientId)).toBeUndefined()
  })

  it('end with their time: the access token, then the whole', async () => {
    const { access_token: access, refresh_token: refreshToken } = await login(deps)
    // A replica whose clock is ahead keeps what another has promised.
    deps.time.now += tokens.accessTokenSeconds * 1000 + clockSkewMs - 1
    expect(await checkAccessToken(deps, access, 'todo')).toMatchObject({ generation: 1 })
    deps.time.now += 1
    await expect(checkAccessToken(deps, access, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    deps.time.now += (tokens.refreshTokenSeconds - tokens.accessTokenSeconds) * 1000 - clockSkewMs
    await expect(refreshTokens(deps, { refreshToken, clientId })).rejects.toMatchObject({ code: 'invalid_grant' })
    expect(await connectionsOf(deps, subject)).toEqual([])
  })

  it('live no longer than their code when it is not used', async () => {
    const { code, connectionId } = await openConnection(deps, authorization)
    deps.time.now += tokens.codeSeconds * 1000
    expect(await deps.store.get(`connection:${connectionId}`)).toBeUndefined()
    await expect(redeemCode(deps, { code, clientId, verifier })).rejects.toMatchObject({ code: 'invalid_grant' })
  })

  it.each(['refresh_token', 'access_token'] as const)('end when their client revokes the %s (RFC 7009)', async (kind) => {
    const response = await login(deps)
    expect(await revokeToken(deps, response[kind], clientId)).toMatchObject({ id: response.id })
    expect(await revokeToken(deps, response[kind], clientId)).toBeUndefined()
    await expect(checkAccessToken(deps, response.access_token, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    await expect(refreshTokens(deps, { refreshToken: response.refresh_token, clientId })).rejects.toMatchObject({ code: 'invalid_grant' })
  })

  it('do not end by an access token that has expired', async () => {
    const response = await login(deps)
    deps.time.now += tokens.accessTokenSeconds * 1000
    expect(await revokeToken(deps, response.access_token, clientId)).toBeUndefined()
    await refreshTokens(deps, { refreshToken: response.refresh_token, clientId })
  })

  it('are found by their user, each one, until they end; the end is for one caller', async () => {
    const all = [await login(deps), await login(deps), await login(deps)]
    expect((await connectionsOf(deps, subject)).map(({ id }) => id)).toEqual(all.map(({ id }) => id))
    const id = all[1]?.id as string
    const ends = await Promise.all([endConnection(deps, id), endConnection(deps, id), endConnection(deps, id)])
    expect(ends.filter((connection) => connection?.id === id)).toHaveLength(1)
    expect((await connectionsOf(deps, subject)).map((connection) => connection.id)).toEqual([all[0]?.id, all[2]?.id])
    expect(await connectionsOf(deps, 'https://login.example.com|bob')).toEqual([])
  })

  it('stay found for as long as refreshes keep them alive', async () => {
    let { refresh_token: refreshToken } = await login(deps)
    for (let step = 0; step < 8; step++) {
      deps.time.now += (tokens.refreshTokenSeconds - 1) * 1000
      refreshToken = (await refreshTokens(deps, { refreshToken, clientId })).response.refresh_token
      expect(await connectionsOf(deps, subject)).toHaveLength(1)
    }
  })

  it('leave no trace in the index of a user who never redeemed many codes', async () => {
    for (let count = 0; count < 40; count++) await openConnection(deps, authorization)
    deps.time.now += tokens.codeSeconds * 1000
    const { id } = await login(deps)
    const index = (await deps.store.get(recordKey('subject', subject))) as string
    expect(JSON.parse(index).ids).toEqual([id])
  })

  it('are never opened twice under one id', async () => {
    const connectionId = newConnectionId(deps)
    await openConnection(deps, { ...authorization, connectionId })
    await expect(openConnection(deps, { ...authorization, connectionId })).rejects.toMatchObject({ code: 'internal_error' })
  })
})

describe('an outage of the store', () => {
  it('is never an invalid token or grant', async () => {
    const deps = given()
    const { access_token: access, refresh_token: refreshToken } = await login(deps)
    const down = () => Promise.reject(new StoreUnavailable('down'))
    deps.store = { ...deps.store, get: down, compareAndSet: down, take: down, delete: down }
    await expect(checkAccessToken(deps, access, 'todo')).rejects.toBeInstanceOf(StoreUnavailable)
    await expect(refreshTokens(deps, { refreshToken, clientId })).rejects.toBeInstanceOf(StoreUnavailable)
    await expect(revokeToken(deps, refreshToken, clientId)).rejects.toBeInstanceOf(StoreUnavailable)
    await expect(openConnection(deps, authorization)).rejects.toBeInstanceOf(StoreUnavailable)
  })

  it('while a use is noted is tried again at the next use, and until then only logged', async () => {
    const deps = given()
    const { access_token: access, id } = await login(deps)
    const { store } = deps
    const failed = new Promise<void>((resolve) => {
      deps.log = {
        dropped: 0,
        write: (event) => {
          deps.events.push(event)
          resolve()
        },
      }
    })
    deps.store = { ...store, compareAndSet: () => Promise.reject(new StoreUnavailable('down for a moment')) }
    noteUse(deps, await checkAccessToken(deps, access, 'todo'))
    await failed
    expect(deps.events).toEqual([expect.objectContaining({ event: 'gateway.warning', reason: 'down for a moment' })])
    deps.store = store
    await useToken(deps, access)
    expect(JSON.parse((await store.get(`connection:${id}`)) as string)).toMatchObject({ accessTokens: [{ used: true }], refresh: { used: true } })
  })

  it('after a rotation was written costs no session: the same request gets the same answer', async () => {
    const deps = given()
    const { refresh_token: refreshToken } = await login(deps)
    const { store } = deps
    deps.store = {
      ...store,
      async compareAndSet(...given) {
        await store.compareAndSet(...given)
        throw new StoreUnavailable('the answer was lost')
      },
    }
    await expect(refreshTokens(deps, { refreshToken, clientId })).rejects.toBeInstanceOf(StoreUnavailable)
    deps.store = store
    const { response } = await refreshTokens(deps, { refreshToken, clientId })
    await checkAccessToken(deps, response.access_token, 'todo')
    expect(response.refresh_token).not.toBe(refreshToken)
  })
})

describe('a token of ours for a connection that never was', () => {
  it('is refused', async () => {
    const deps = given()
    const id = newConnectionId(deps)
    await expect(checkAccessToken(deps, mintToken(deps, 'at', id, 1), 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    await expect(refreshTokens(deps, { refreshToken: mintToken(deps, 'rt', id, 1), clientId })).rejects.toMatchObject({ code: 'invalid_grant' })
  })
})
