import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { TestServer } from '../../packages/gateway/test/servers/program.ts'
import { startRedis } from '../../packages/gateway/test/servers/redis.ts'
import { startPostgres } from '../../packages/gateway/test/servers/sql.ts'
import { clientV1, clientV2, signIn, type TestClient } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { type ExampleProcess, startExample } from './example-process.ts'
import { fourPorts } from './four-ports.ts'

const startOf = (example: string) => join(import.meta.dirname, '../../examples', example, 'start.ts')

/** The processes that answered what a client has asked since its `from`th exchange. */
const answeredBy = (client: TestClient, from = 0) => new Set(client.exchanges.slice(from).map(({ headers }) => headers.get('x-answered-by')))
const both = new Set(['gateway 1', 'gateway 2'])
const todos = async (client: TestClient): Promise<string[]> => {
  const { text, isError } = await client.callTool('list_todos')
  if (isError) throw new Error(text)
  return (JSON.parse(text) as { todos: { title: string }[] }).todos.map(({ title }) => title)
}

const examples: [example: string, startStore: () => Promise<TestServer>, setting: (port: number) => Record<string, string>][] = [
  ['redis', startRedis, (port) => ({ REDIS_URL: `redis://127.0.0.1:${port}` })],
  ['postgres', startPostgres, (port) => ({ DATABASE_URL: `postgres://app@127.0.0.1:${port}/postgres` })],
]

describe.each(examples)('examples/%s', (example, startStore, setting) => {
  let store: TestServer
  let dataDir: string
  let mcpUrl: string
  let running: ExampleProcess
  beforeAll(async () => {
    store = await startStore()
    dataDir = await mkdtemp(join(tmpdir(), 'emcy-replicas-'))
    const port = await fourPorts()
    mcpUrl = `http://127.0.0.1:${port}/mcp`
    running = startExample(startOf(example), [], { PORT: String(port), DATA_DIR: dataDir, ...setting(store.port) })
    await running.line(new RegExp(`^Emcy Gateway ready http://127\\.0\\.0\\.1:${port}/mcp$`))
  }, 120_000)
  afterAll(async () => {
    await running?.stop()
    await store?.remove()
    if (dataDir) await rm(dataDir, { recursive: true })
  }, 60_000)

  /** Process id of a gateway, as the example printed it. */
  const pidOf = async (name: string, from = 0) => Number((await running.line(new RegExp(`^${name} .*process (\\d+)$`), from))[1])
  const connect = async (make: typeof clientV2 | typeof clientV1, user: string) => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = make(mcpUrl, provider)
    await signIn(client, provider, user)
    return { client, provider }
  }
  /** Lets a client call with an access token that is none: it has to refresh. */
  const refreshes = async ({ client, provider }: { client: TestClient; provider: TestOAuthProvider }) => {
    const before = provider.saved?.refresh_token
    provider.breakAccessToken()
    const titles = await todos(client)
    expect(provider.saved?.refresh_token).not.toBe(before)
    return titles
  }

  it.each([
    ['SDK v2', clientV2],
    ['SDK v1', clientV1],
  ])(
    'lets a client of %s sign in, list, call and refresh at one port, and both processes answer it',
    async (name, make) => {
      const session = await connect(make, name.replace(' ', '-'))
      expect((await session.client.listTools()).sort()).toEqual(['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
      expect((await session.client.callTool('add_todo', { title: 'Share a store' })).isError).toBe(false)
      // In turn, so two calls reach both, wherever the turn stands.
      for (let call = 0; call < 4; call++) expect(await todos(session.client)).toEqual(['Share a store'])
      expect(await refreshes(session)).toEqual(['Share a store'])
      expect(answeredBy(session.client)).toEqual(both)
      await session.client.close()
    },
    60_000,
  )

  it('goes on for its clients when one process is killed, starts another in its place, and lets that take part', async () => {
    const sessions = await Promise.all([connect(clientV2, 'ann'), connect(clientV2, 'ben'), connect(clientV1, 'cleo')])
    // Who refreshes makes no other call meanwhile: SDK v1 throws away a call whose 401 arrives after the refresh of another.
    const refreshing = await Promise.all([connect(clientV2, 'dan'), connect(clientV1, 'eve')])
    for (const { client } of [...sessions, ...refreshing]) await client.callTool('add_todo', { title: 'Survive' })
    const victim = await pidOf('gateway 1')
    let gone = false
    let over = false
    /** Calls that failed though the process was gone when they began; what is cut in the middle may fail. */
    const wrong: string[] = []
    const callers = sessions.map(async ({ client }) => {
      let calls = 0
      while (!over) {
        const begunAfter = gone
        const outcome = await todos(client).then(String, (error: Error) => `failed: ${error.message}`)
        if (outcome !== 'Survive' && (begunAfter || !outcome.startsWith('failed: '))) wrong.push(outcome)
        if (begunAfter) calls++
      }
      return calls
    })
    const linesBefore = running.lines.length
    process.kill(victim, 'SIGKILL')
    // A process that has ended stays in the list until its parent has seen that; it listens no more before.
    await running.line(/^gateway 1 ended \(SIGKILL\)/, linesBefore)
    gone = true
    // Meanwhile one process alone: it opens what the other has sealed.
    for (const session of refreshing) expect(await refreshes(session)).toEqual(['Survive'])
    const successor = await pidOf('gateway 1', linesBefore)
    expect(successor).not.toBe(victim)
    const exchangesThen = sessions.map(({ client }) => client.exchanges.length)
    while (sessions.some(({ client }, index) => answeredBy(client, exchangesThen[index]).size < 2))
      await Promise.all(sessions.map(({ client }) => todos(client)))
    over = true
    for (const calls of await Promise.all(callers)) expect(calls).toBeGreaterThan(0)
    expect(wrong).toEqual([])
    for (const session of [...sessions, ...refreshing]) expect(await refreshes(session)).toEqual(['Survive'])
    for (const { client } of [...sessions, ...refreshing]) await client.close()
  }, 120_000)

  it('keeps every sign-in over a restart of all of it', async () => {
    const session = await connect(clientV2, 'dora')
    await session.client.callTool('add_todo', { title: 'Come back' })
    const pids = [await pidOf('gateway 1'), await pidOf('gateway 2')]
    expect(await running.stop('SIGINT')).toBe(0)
    // Both lines of output and the processes are gone: nothing was left behind.
    for (const pid of pids) expect(existsSync(`/proc/${pid}`)).toBe(false)
    running = startExample(startOf(example), [], { PORT: new URL(mcpUrl).port, DATA_DIR: dataDir, ...setting(store.port) })
    await running.line(/^Emcy Gateway ready/)
    expect(await todos(session.client)).toEqual(['Come back'])
    expect(await refreshes(session)).toEqual(['Come back'])
    await session.client.close()
    expect(await running.stop('SIGTERM')).toBe(0)
  }, 120_000)
})

describe('without its store', () => {
  it.each([
    ['redis', 'REDIS_URL', 'redis://:hunter2@127.0.0.1:1', 'No Redis answers at redis://:***@127.0.0.1:1 (connect ECONNREFUSED 127.0.0.1:1)'],
    [
      'postgres',
      'DATABASE_URL',
      'postgres://app:hunter2@127.0.0.1:1/x',
      'No PostgreSQL answers at postgres://app:***@127.0.0.1:1/x (connect ECONNREFUSED 127.0.0.1:1)',
    ],
  ])(
    'examples/%s says so in one line, without the password',
    async (example, variable, address, words) => {
      const failed = startExample(startOf(example), [], { PORT: String(await fourPorts()), [variable]: address })
      expect(await failed.ended).toBe(1)
      expect(failed.lines).toEqual([`${words}: start one there, or name yours with ${variable}=…`])
    },
    30_000,
  )
})
