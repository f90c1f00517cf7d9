import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Issued, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

/* Somebody who can write the store, but has no secret of the ring, moves sealed values to where their own tokens reach. */

interface GrantRow {
  sealed: string
}
interface ConnectionRow {
  refresh: { previous: { sealedAccess: string; sealedRefresh: string } }
}

let folder: string
let world: TodoWorld
let database: DatabaseSync
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emcy-stolen-'))
  const file = join(folder, 'gateway.db')
  const other = { path: '/other', workerSecret: 'x'.repeat(40), scopes: ['todos.read'] }
  world = await startTodo({ runtime: 'local', gateway: { store: `sqlite:${file}` }, servers: { other } })
  database = new DatabaseSync(file)
  database.exec('PRAGMA busy_timeout = 5000')
}, 60_000)
afterAll(async () => {
  database?.close()
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

const read = <T>(key: string): T => JSON.parse(String(database.prepare('SELECT value FROM entries WHERE key = ?').get(key)?.value)) as T
const write = (key: string, value: object) => {
  const { changes } = database.prepare('UPDATE entries SET value = ? WHERE key = ?').run(JSON.stringify(value), key)
  expect(changes).toBe(1)
}

interface Victim {
  client: ScriptedClient
  tokens: Issued
  url: string
  connectionKey: string
  grantKey: string
}

async function signIn(user: string, path = '/mcp'): Promise<Victim> {
  const url = `${world.issuer}${path}`
  const client = new ScriptedClient(world.issuer, url)
  const tokens = await client.signIn(user)
  const id = /^emcy_at_([\w-]+)\./.exec(tokens.access_token)?.[1]
  return { client, tokens, url, connectionKey: `connection:${id}`, grantKey: `grant:default:${id}` }
}

const call = ({ url, tokens }: Victim, name: string, args: object = {}) =>
  rpc(url, tokens.access_token, { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } })

/** A victim with something to steal, and a thief with a good connection. */
async function victimAndThief(user: string): Promise<{ ann: Victim; eve: Victim }> {
  const [ann, eve] = [await signIn(user), await signIn('eve')]
  expect((await call(ann, 'add_todo', { title: 'known to ann alone' })).message?.result).toBeDefined()
  expect((await call(eve, 'list_todos')).message?.result).toBeDefined()
  return { ann, eve }
}

/** The thief is refused and learns nothing; the victim's connection works as before. */
async function expectUseless(ann: Victim, eve: Victim): Promise<void> {
  const answer = await call(eve, 'list_todos')
  expect(answer.status).toBe(401)
  expect(answer.text).not.toContain('known to ann alone')
  expect((await call(ann, 'list_todos')).text).toContain('known to ann alone')
}

describe('a sealed value that was moved', () => {
  it("from another user's grant opens nothing", async () => {
    const { ann, eve } = await victimAndThief('ann')
    write(eve.grantKey, { ...read<GrantRow>(eve.grantKey), sealed: read<GrantRow>(ann.grantKey).sealed })
    await expectUseless(ann, eve)
  })

  it("with the whole row of another user's grant opens nothing", async () => {
    const { ann, eve } = await victimAndThief('ann2')
    write(eve.grantKey, read<GrantRow>(ann.grantKey))
    await expectUseless(ann, eve)
  })

  it("with another user's whole connection lets in neither the one token nor the other", async () => {
    const { ann, eve } = await victimAndThief('ann3')
    write(eve.connectionKey, read<ConnectionRow>(ann.connectionKey))
    await expectUseless(ann, eve)
  })

  it("is not even needed to be moved: a connection that names another's grant gets nothing of it", async () => {
    const { ann, eve } = await victimAndThief('ann9')
    write(eve.connectionKey, { ...read<ConnectionRow>(eve.connectionKey), grantKey: ann.grantKey })
    const answer = await call(eve, 'list_todos')
    expect((answer.message?.error as { code?: number } | undefined)?.code).toBe(-32603)
    expect(answer.text).not.toContain('known to ann alone')
    expect((await call(ann, 'list_todos')).text).toContain('known to ann alone')
  })

  it("from the same user's grant at another server opens nothing", async () => {
    const [here, there] = [await signIn('bob'), await signIn('bob', '/other')]
    expect((await call(there, 'list_todos')).message?.result).toBeDefined()
    write(there.grantKey, { ...read<GrantRow>(there.grantKey), sealed: read<GrantRow>(here.grantKey).sealed })
    expect((await call(there, 'list_todos')).status).toBe(401)
    expect((await call(here, 'list_todos')).message?.result).toBeDefined()
  })

  it("from another connection's remembered answer gives no tokens", async () => {
    const { ann, eve } = await victimAndThief('ann4')
    const ofAnn = (await ann.client.refresh(ann.tokens.refresh_token)).body
    await eve.client.refresh(eve.tokens.refresh_token)
    const { refresh, ...rest } = read<ConnectionRow>(eve.connectionKey)
    const { sealedAccess, sealedRefresh } = read<ConnectionRow>(ann.connectionKey).refresh.previous
    write(eve.connectionKey, { ...rest, refresh: { ...refresh, previous: { ...refresh.previous, sealedAccess, sealedRefresh } } })
    const answer = await eve.client.refresh<{ error?: string }>(eve.tokens.refresh_token)
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_grant'])
    expect(JSON.stringify(answer.body)).not.toContain('emcy_')
    // Ann's own lost answer is hers still.
    expect((await ann.client.refresh(ann.tokens.refresh_token)).body.access_token).toBe(ofAnn.access_token)
  })

  it('from a grant into a remembered answer gives no downstream token', async () => {
    const { ann, eve } = await victimAndThief('ann5')
    await eve.client.refresh(eve.tokens.refresh_token)
    for (const sealed of [read<GrantRow>(ann.grantKey).sealed, read<GrantRow>(eve.grantKey).sealed]) {
      const { refresh, ...rest } = read<ConnectionRow>(eve.connectionKey)
      write(eve.connectionKey, { ...rest, refresh: { ...refresh, previous: { ...refresh.previous, sealedAccess: sealed, sealedRefresh: sealed } } })
      const answer = await eve.client.refresh<{ error?: string }>(eve.tokens.refresh_token)
      expect([answer.status, answer.body.error]).toEqual([400, 'invalid_grant'])
    }
  })

  it('from a remembered answer into a grant reaches no runtime', async () => {
    const { ann, eve } = await victimAndThief('ann6')
    await ann.client.refresh(ann.tokens.refresh_token)
    const { sealedAccess } = read<ConnectionRow>(ann.connectionKey).refresh.previous
    write(eve.grantKey, { ...read<GrantRow>(eve.grantKey), sealed: sealedAccess })
    await expectUseless(ann, eve)
  })

  it('from a record into a cookie names nobody', async () => {
    const { ann } = await victimAndThief('ann7')
    for (const sealed of [read<GrantRow>(ann.grantKey).sealed]) {
      const page = await fetch(`${world.issuer}/account`, { headers: { cookie: `emcy-user=${sealed}` } })
      expect(await page.text()).toContain('Nobody is signed in here')
    }
  })
})

describe('a record of a newer version', () => {
  it('is an outage, never a bad token, and works again for whoever knows it', async () => {
    const ann = await signIn('ann8')
    const connection = read<{ v: number }>(ann.connectionKey)
    write(ann.connectionKey, { ...connection, v: 2 })
    const answer = await call(ann, 'list_todos')
    expect([answer.status, (answer.message?.error as { code?: number } | undefined)?.code]).toEqual([200, -31003])
    expect((await ann.client.refresh(ann.tokens.refresh_token)).status).toBe(503)
    write(ann.connectionKey, connection)
    expect((await call(ann, 'list_todos')).message?.result).toBeDefined()
  })
})
