import { auth, createMCPClient, type MCPClient, type OAuthClientProvider } from '@ai-sdk/mcp'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser, callbackOf } from '../harness/browser.ts'
import { expectRefreshed, expectSignedIn, now, revisionsOfCalls } from '../harness/client-life.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
beforeAll(async () => {
  world = await startTodo({ runtime: 'local', recorded: true })
}, 60_000)
afterAll(() => world?.close())

const connect = (provider: TestOAuthProvider) =>
  createMCPClient({ transport: { type: 'http', url: world.mcpUrl, authProvider: provider as unknown as OAuthClientProvider } })

const call = async (client: MCPClient, name: string, args: Record<string, unknown> = {}) => {
  const tools = await client.tools()
  const result = await tools[name]?.execute(args, { messages: [], toolCallId: 'call-1', context: undefined as never })
  return JSON.stringify(result)
}

/** Takes the client through its whole way in, as an app does that implements the provider. */
async function signIn(provider: TestOAuthProvider, user: string): Promise<MCPClient> {
  await expect(connect(provider)).rejects.toMatchObject({ name: 'UnauthorizedError' })
  const callback = callbackOf(await new Browser(provider.redirectUrl).authorize(provider.authorizationUrl ?? '', { user }))
  expect(provider.isOurs(callback)).toBe(true)
  const exchanged = await auth(provider as unknown as OAuthClientProvider, {
    serverUrl: world.mcpUrl,
    authorizationCode: callback.get('code') ?? '',
    callbackState: callback.get('state') ?? '',
    callbackIssuer: callback.get('iss') ?? '',
  })
  expect(exchanged).toBe('AUTHORIZED')
  return connect(provider)
}

describe('PR-4 CR-2 TK-6: @ai-sdk/mcp', () => {
  it('signs its user in, lists and calls tools, and refreshes without a word when its access token is refused', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const start = await now(world)
    const client = await signIn(provider, 'ai')
    expect(Object.keys(await client.tools()).sort()).toEqual(['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
    expect(await call(client, 'add_todo', { title: 'written by a model' })).toContain('written by a model')
    await expectSignedIn(world, start, 'ai')
    expect(await revisionsOfCalls(world, start)).toEqual(['2026-07-28'])

    const broken = await now(world)
    const refreshToken = provider.saved?.refresh_token
    provider.breakAccessToken()
    provider.authorizationUrl = undefined
    expect(await call(client, 'list_todos')).toContain('written by a model')
    expect(provider.authorizationUrl).toBeUndefined()
    expect(provider.saved?.refresh_token).not.toBe(refreshToken)
    await expectRefreshed(world, broken, 'ai')
    await client.close()
  }, 60_000)

  it('sends one refresh for eight calls that are refused at once, and all of them get their answers', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = await signIn(provider, 'ai-at-once')
    const tools = await client.tools()
    const broken = await now(world)
    provider.breakAccessToken()
    const options = { messages: [], toolCallId: 'call-1', context: undefined as never }
    const answers = await Promise.all(Array.from({ length: 8 }, () => tools.list_todos?.execute({}, options)))
    expect(answers.map((answer) => JSON.stringify(answer).includes('todos'))).toEqual(Array(8).fill(true))
    await expectRefreshed(world, broken, 'ai-at-once')
    await client.close()
  }, 60_000)
})
