import { expect } from '@jest/globals'
import type { SeenExchange } from './recording-proxy.ts'
import { type Outcome, type StepClient, type StepClientName, type StepClientSettings, startStepClient } from './step-client.ts'
import type { TodoWorld } from './todo.ts'

/** What a client's connection left behind. */
export interface Life {
  client: StepClient
  revision: string | undefined
  /** What came of the first call after its user's session had been revoked. */
  afterRevocation: Outcome
  /** The exchanges up to the revocation with one path of the gateway. */
  before(path: string): SeenExchange[]
  /** Those after the revocation. */
  after(path: string): SeenExchange[]
}

/** Members of a form, or of a URL's query. */
export const formOf = (text: string): Record<string, string> => Object.fromEntries(new URLSearchParams(text))

/** The refreshes among exchanges with the token endpoint. */
export const refreshes = (exchanges: SeenExchange[]): SeenExchange[] => exchanges.filter((each) => formOf(each.body).grant_type === 'refresh_token')

/** Well before an access token ends, for all that this machine takes meanwhile. */
const earlySeconds = 3500
/** Past its end, from `earlySeconds` on. */
const lateSeconds = 105

/** Lets time pass for the gateway and the client alike. */
export async function pass(world: TodoWorld, client: StepClient, seconds: number): Promise<void> {
  await world.advanceClock(seconds * 1000)
  expect(await client.take({ do: 'pass', seconds })).toEqual({ do: 'pass' })
}

/** Connects, with all that this brings with it, and gives the revision. */
export async function connect(client: StepClient): Promise<string | undefined> {
  const connected = await client.take({ do: 'connect' })
  expect(connected.error).toBeUndefined()
  // Python sends `notifications/initialized` after it has said that it is connected, and before any other request.
  expect((await client.take({ do: 'list' })).tools?.sort()).toEqual(['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
  return connected.revision
}

/** What a call of a tool said, once for each of `times`. Fails with the words of an error. */
export async function callTool(client: StepClient, tool: string, args: Record<string, unknown> = {}, times = 1): Promise<string[]> {
  const outcome = await client.take({ do: 'call', tool, arguments: args, times })
  expect(outcome.error).toBeUndefined()
  expect(outcome.isError ?? false).toBe(false)
  return outcome.texts ?? []
}

/** Runs an action with a client and ends the client afterwards, whatever came of it. */
export async function withClient<T>(name: StepClientName, settings: StepClientSettings, action: (client: StepClient) => Promise<T>): Promise<T> {
  const client = await startStepClient(name, settings)
  const result = await action(client).catch(async (error) => {
    await client.end().catch(() => {})
    throw error
  })
  await client.end()
  return result
}

/**
 * Takes a client through the whole life of a connection in a recorded world: 401, discovery, registration, consent, login, code, tokens, tools/list, tools/call
 * as this user, two refreshes by the client's own clock, and a revocation. What all clients have in common is asserted here, what is a client's own by its test.
 */
export async function live(world: TodoWorld, name: StepClientName, settings: Omit<StepClientSettings, 'url'>): Promise<Life> {
  const start = world.exchanges.length
  const firstEvent = world.events().length
  const seen = (path: string, from: number, to?: number) => world.exchanges.slice(from, to).filter((each) => each.url.pathname === path)
  const { user } = settings
  return withClient(name, { url: world.mcpUrl, ...settings }, async (client) => {
    // 401, discovery, registration, consent, login, code, tokens, tools/list
    const revision = await connect(client)
    expect(client.visits).toHaveLength(1)
    const asked = formOf(client.visits[0]?.search ?? '')
    expect(asked).toMatchObject({ response_type: 'code', code_challenge_method: 'S256', resource: world.mcpUrl })
    expect(asked.state).toMatch(/^.{22,64}$/)
    const issued = JSON.parse(seen('/token', start)[0]?.answer ?? '{}')
    expect(issued).toMatchObject({ token_type: 'Bearer', expires_in: 3600, scope: 'todos.read todos.write' })
    expect(formOf(seen('/token', start)[0]?.body ?? '').code_verifier).toMatch(/^[A-Za-z0-9._~-]{43,128}$/)

    // tools/call, as this user
    const title = `buy milk for ${user}`
    await callTool(client, 'add_todo', { title })
    expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining(title)])

    // no refresh while the token lives, one for eight calls at once when it has ended, another an hour later: without the user, each with the token before
    const before = await client.take({ do: 'tokens' })
    await pass(world, client, earlySeconds)
    expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining(title)])
    expect(refreshes(seen('/token', start))).toEqual([])
    await pass(world, client, lateSeconds)
    expect(await callTool(client, 'list_todos', {}, 8)).toEqual(Array(8).fill(expect.stringContaining(title)))
    const between = await client.take({ do: 'tokens' })
    await pass(world, client, earlySeconds + lateSeconds)
    // Events come over the channel on which the clock has just answered, so those of the ten calls are here.
    const lists = world
      .events()
      .slice(firstEvent)
      .filter((event) => event.event === 'mcp.request' && event.tool === 'list_todos')
    const asUser = { subject: `${world.authorizationServerUrl}|${user}`, clientId: asked.client_id, decision: 'allow', httpStatus: 200 }
    expect(lists).toEqual(Array(10).fill(expect.objectContaining(asUser)))
    expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining(title)])
    const now = await client.take({ do: 'tokens' })
    expect(refreshes(seen('/token', start)).map(({ status, body }) => [status, formOf(body).refresh_token])).toEqual([
      [200, before.refresh],
      [200, between.refresh],
    ])
    expect(new Set([before, between, now].flatMap(({ access, refresh }) => [access, refresh])).size).toBe(6)
    expect(client.visits).toHaveLength(1)

    // revoked (RFC 7009), in the client's name
    const end = world.exchanges.length
    const registered = JSON.parse(seen('/register', start)[0]?.answer ?? '{}') as { client_secret?: string }
    const secret = registered.client_secret === undefined ? {} : { client_secret: registered.client_secret }
    const body = new URLSearchParams({ token: now.refresh ?? '', client_id: asked.client_id ?? '', ...secret })
    expect((await fetch(`${world.issuer}/revoke`, { method: 'POST', body })).status).toBe(200)
    const afterRevocation = await client.take({ do: 'call', tool: 'list_todos' })
    const [refused] = seen('/mcp', end)
    expect(refused).toMatchObject({ status: 401, headers: { 'www-authenticate': expect.stringContaining('error="invalid_token"') } })
    expect(refreshes(seen('/token', end))).toEqual([])
    return {
      client,
      revision,
      afterRevocation,
      before: (path) => seen(path, start, end),
      after: (path) => seen(path, end),
    }
  })
}

/**
 * A user who gave only `todos.read` at first calls a tool that needs more, in a world that asks `todos.write` for `add_todo`.
 *
 * @returns what came of the call, and what the client asked for at each of its visits
 */
export async function stepUp(world: TodoWorld, name: StepClientName, settings: Omit<StepClientSettings, 'url'>): Promise<{ call: Outcome; asked: string[] }> {
  const start = world.exchanges.length
  return withClient(name, { url: world.mcpUrl, unticked: ['scope-1'], ...settings }, async (client) => {
    await connect(client)
    const issued = world.exchanges.slice(start).find((each) => each.url.pathname === '/token')
    expect(JSON.parse(issued?.answer ?? '{}').scope).toBe('todos.read')
    const call = await client.take({ do: 'call', tool: 'add_todo', arguments: { title: 'stepped up' } })
    const refused = world.exchanges.slice(start).find((each) => each.status === 403)
    expect(refused?.headers['www-authenticate']).toContain('scope="todos.read todos.write", error="insufficient_scope"')
    return { call, asked: client.visits.map((visit) => (visit.searchParams.get('scope') ?? '').split(' ').sort().join(' ')) }
  })
}

/** A client goes on after the gateway's process was replaced, at its next call and at the refresh after it: its user notices nothing. */
export async function outliveRestart(world: TodoWorld, name: StepClientName, settings: Omit<StepClientSettings, 'url'>): Promise<void> {
  const start = world.exchanges.length
  await withClient(name, { url: world.mcpUrl, ...settings }, async (client) => {
    await connect(client)
    const title = `before the restart, ${settings.user}`
    await callTool(client, 'add_todo', { title })
    await world.restartGateway()
    expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining(title)])
    await pass(world, client, earlySeconds + lateSeconds)
    expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining(title)])
    expect(client.visits).toHaveLength(1)
  })
  const seen = world.exchanges.slice(start)
  expect(refreshes(seen)).toMatchObject([{ status: 200 }])
  expect(seen.filter((each) => each.url.pathname === '/mcp' && each.status === 401 && each.requestHeaders.authorization !== undefined)).toEqual([])
}
