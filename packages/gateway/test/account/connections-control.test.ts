import { beforeEach, describe, expect, it } from '@jest/globals'
import { type ConnectionFilter, type ConnectionPaging, createConnectionsControl } from '../../src/account/connections-control.ts'
import { subjectKey } from '../../src/connections/connection.ts'
import { checkAccessToken, openConnection, redeemCode } from '../../src/connections/connections.ts'
import type { EndingDeps } from '../../src/ending/ending.ts'
import { alice, authorization, type Given, given, todo, verifier } from '../connections/given.ts'

let deps: Given
let control: ReturnType<typeof createConnectionsControl>
beforeEach(() => {
  deps = given()
  control = createConnectionsControl({ ...deps, downstreams: {}, guardedFetch: () => Promise.reject(new Error('no requests here')) } as EndingDeps)
})

const subjectOf = (sub: string) => subjectKey({ ...alice, sub })

async function connect(sub: string | undefined, clientId = 'app', server = 'todo'): Promise<{ id: string; access: string }> {
  const { code, connectionId } = await openConnection(deps, {
    ...authorization,
    identity: sub === undefined ? undefined : { ...alice, sub },
    client: { ...authorization.client, clientId },
    server: { ...todo, id: server, resource: `https://mcp.example.com/${server === 'todo' ? 'mcp' : server}` },
  })
  const { response } = await redeemCode(deps, { code, clientId, verifier })
  deps.time.now += 1
  return { id: connectionId, access: response.access_token }
}

async function listAll(which: ConnectionFilter & ConnectionPaging = {}): Promise<string[]> {
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await control.list({ ...which, cursor } as ConnectionFilter & ConnectionPaging)
    ids.push(...page.connections.map(({ connectionId }) => connectionId))
    cursor = page.next
  } while (cursor !== undefined)
  return ids
}

describe('connections.list', () => {
  it('pages through all, with and without a user', async () => {
    const made = [await connect('ann'), await connect('ben'), await connect(undefined), await connect('ann', 'other app')]
    expect((await listAll({ limit: 1 })).sort()).toEqual(made.map(({ id }) => id).sort())
    expect((await control.list()).connections).toHaveLength(4)
  })

  it('shows nothing secret', async () => {
    const { access } = await connect('ann')
    const { connections } = await control.list()
    expect(Object.keys(connections[0] ?? {}).sort()).toEqual(
      ['clientId', 'clientName', 'clientTrust', 'connectionId', 'createdAt', 'expiresAt', 'lastUsedAt', 'scopes', 'server', 'subject', 'userName'].sort(),
    )
    expect(JSON.stringify(connections)).not.toContain(access)
    expect(connections[0]).toMatchObject({ subject: subjectOf('ann'), clientId: 'app', server: 'todo' })
  })

  it("pages through one user's in the order they were made, also while some end", async () => {
    const made: { id: string }[] = []
    for (let count = 0; count < 7; count++) made.push(await connect('ann'))
    await connect('ben')
    const ids = made.map(({ id }) => id)
    expect(await listAll({ subject: subjectOf('ann'), limit: 3 })).toEqual(ids)
    const first = await control.list({ subject: subjectOf('ann'), limit: 3 })
    await control.revoke({ connectionId: ids[2] as string })
    const second = await control.list({ subject: subjectOf('ann'), limit: 3, cursor: first.next })
    expect(second.connections.map(({ connectionId }) => connectionId)).toEqual(ids.slice(3, 6))
    expect((await control.list({ subject: subjectOf('ann'), limit: 7 })).next).toBeUndefined()
  })

  it('takes a client and a server, together and with a user', async () => {
    const one = await connect('ann', 'app', 'todo')
    const two = await connect('ann', 'app', 'other')
    const three = await connect('ben', 'other app', 'todo')
    expect((await listAll({ clientId: 'app' })).sort()).toEqual([one.id, two.id].sort())
    expect((await listAll({ server: 'todo' })).sort()).toEqual([one.id, three.id].sort())
    expect(await listAll({ server: 'todo', clientId: 'other app' })).toEqual([three.id])
    expect(await listAll({ subject: subjectOf('ann'), server: 'other' })).toEqual([two.id])
    expect(await listAll({ connectionId: three.id })).toEqual([three.id])
    expect(await listAll({ connectionId: 'nobody' })).toEqual([])
  })

  it.each([
    [{ cursor: 'x' }],
    [{ cursor: '@1.a' }],
    [{ limit: 0 }],
    [{ limit: 1001 }],
    [{ subject: 's', cursor: '1.a' }],
    [{ subject: 's', limit: 0 }],
    [{ subject: 's', limit: Number.NaN }],
  ])('refuses %j', async (which) => {
    await expect(control.list(which)).rejects.toBeInstanceOf(RangeError)
  })
})

describe('connections.revoke', () => {
  it('ends every connection of a client, whoever has it, and no other', async () => {
    const ended = await Promise.all(Array.from({ length: 30 }, (_, index) => connect(`user${index}`, 'bad app')))
    const kept = await connect('ann')
    const infos = await control.revoke({ clientId: 'bad app' })
    expect(infos.map(({ connectionId }) => connectionId).sort()).toEqual(ended.map(({ id }) => id).sort())
    for (const { access } of ended) await expect(checkAccessToken(deps, access, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
    await checkAccessToken(deps, kept.access, 'todo')
    expect(await listAll()).toEqual([kept.id])
    expect(deps.events.filter((event) => event.event === 'authorization.revoke')).toHaveLength(30)
  })

  it('never ends everything by mistake', async () => {
    const { access } = await connect('ann')
    for (const filter of [{}, { subject: undefined }, { connectionId: undefined as never }])
      await expect(control.revoke(filter)).rejects.toBeInstanceOf(RangeError)
    await checkAccessToken(deps, access, 'todo')
  })

  it("ends one, or a user's, once", async () => {
    const [one, two, three] = [await connect('ann'), await connect('ann'), await connect('ben')]
    expect((await control.revoke({ connectionId: one.id })).map(({ connectionId }) => connectionId)).toEqual([one.id])
    expect(await control.revoke({ connectionId: one.id })).toEqual([])
    expect((await control.revoke({ subject: subjectOf('ann') })).map(({ connectionId }) => connectionId)).toEqual([two.id])
    expect(await listAll()).toEqual([three.id])
  })
})
