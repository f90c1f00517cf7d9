import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { clientV1, clientV2, signIn } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { type RawRuntime, startRawRuntime } from '../harness/raw-runtime.ts'
import { rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
beforeAll(async () => {
  const rules = [{ deny: ['delete_*'] }, { deny: ['complete_todo'], when: { arguments: { '/id': { lt: 10 } } }, because: 'the first ten are kept' }]
  world = await startTodo({
    runtime: 'local',
    gateway: { policy: { default: 'allow', rules: [...rules, { tools: ['add_todo'], requireScopes: ['todos.write'] }] } },
    server: { budgets: [{ name: 'calls', limit: 5, per: ['user'], window: 'day' }] },
  })
}, 60_000)
afterAll(() => world?.close())

async function tokenOf(user: string, members: Record<string, string> = {}): Promise<string> {
  return (await new ScriptedClient(world.issuer, world.mcpUrl).signIn(user, members)).access_token
}

const call = (name: string, args: object = {}) => ({ jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name, arguments: args } })

describe('JR-3 JR-8 JR-11 BC-13: policy', () => {
  it('JR-3 JR-8: a tool that one may never call is not there, in either era', async () => {
    for (const make of [
      (provider: TestOAuthProvider) => clientV1(world.mcpUrl, provider),
      (provider: TestOAuthProvider) => clientV2(world.mcpUrl, provider, { pin: '2026-07-28' }),
    ]) {
      const provider = new TestOAuthProvider({ kind: 'dynamic' })
      const client = make(provider)
      await signIn(client, provider, 'ann')
      expect((await client.listTools()).sort()).toEqual(['add_todo', 'complete_todo', 'list_todos'])
      await expect(client.callTool('delete_todo', { id: 1 })).rejects.toThrow(/Unknown tool/)
      await client.close()
    }
  })

  it('JR-3: answered as a tool that does not exist', async () => {
    const token = await tokenOf('bob')
    const [hidden, none] = await Promise.all([rpc(world.mcpUrl, token, call('delete_todo')), rpc(world.mcpUrl, token, call('no_such_tool'))])
    expect(hidden).toMatchObject({ status: 200, message: { id: 9, error: { code: -32602, message: expect.stringContaining('Unknown tool') } } })
    expect(none.message).toMatchObject({ id: 9 })
  })

  it('JR-6: a call refused by a rule is a result with the reason', async () => {
    const answer = await rpc(world.mcpUrl, await tokenOf('bob'), call('complete_todo', { id: 3 }))
    expect(answer).toMatchObject({
      status: 200,
      message: { id: 9, result: { isError: true, content: [{ type: 'text', text: expect.stringContaining('the first ten are kept') }] } },
    })
  })

  it('BC-9 BC-10 BC-11: too few scopes: 403 that names all, and the next authorization offers them', async () => {
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    const { access_token: token } = await client.signIn('carol', { scope: 'todos.read' })
    const answer = await rpc(world.mcpUrl, token, call('add_todo', { title: 'x' }))
    expect(answer.status).toBe(403)
    const challenge = answer.headers.get('www-authenticate') ?? ''
    expect(challenge).toContain('error="insufficient_scope"')
    expect(challenge).toContain('scope="todos.read todos.write"')
    expect(challenge).toContain(`resource_metadata="${world.issuer}/.well-known/oauth-protected-resource/mcp"`)
    const stepped = await client.signIn('carol', { scope: 'todos.read' })
    expect(stepped.scope.split(' ').sort()).toEqual(['todos.read', 'todos.write'])
    expect((await rpc(world.mcpUrl, stepped.access_token, call('add_todo', { title: 'x' }))).message?.result).toBeDefined()
  })
})

describe('JR-5 JR-6: budgets', () => {
  it('the sixth call of the day says which budget, what is left and when; lists go on', async () => {
    const token = await tokenOf('dave')
    const answers = await Promise.all(Array.from({ length: 12 }, () => rpc(world.mcpUrl, token, call('list_todos'))))
    expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]))
    const results = answers.map((answer) => answer.message?.result as { isError?: boolean; content: { text: string }[] })
    const refused = results.filter((result) => result.isError)
    expect(refused).toHaveLength(7)
    expect(refused[0]?.content[0]?.text).toMatch(/calls/)
    const at = answers[results.indexOf(refused[0] as (typeof results)[number])]
    expect(Number(at?.headers.get('retry-after'))).toBeGreaterThan(0)
    expect(at?.headers.get('ratelimit')).toBeTruthy()
    expect((await rpc(world.mcpUrl, token, { jsonrpc: '2.0', id: 1, method: 'tools/list' })).message?.result).toBeDefined()
  })

  it('another user has a budget of their own', async () => {
    const answer = await rpc(world.mcpUrl, await tokenOf('erin'), call('list_todos'))
    expect(answer.message?.result).toBeDefined()
    expect(answer.message?.result).not.toMatchObject({ isError: true })
  })

  it('every decision is in the log, with its rule', () => {
    const events = world.events().filter((event) => event.event === 'mcp.request')
    expect(events).toContainEqual(expect.objectContaining({ tool: 'delete_todo', decision: 'hidden' }))
    expect(events).toContainEqual(expect.objectContaining({ tool: 'complete_todo', decision: 'deny' }))
    expect(events).toContainEqual(expect.objectContaining({ tool: 'add_todo', decision: 'insufficient_scope' }))
    expect(events).toContainEqual(expect.objectContaining({ tool: 'list_todos', budgets: [expect.objectContaining({ name: 'calls', refused: true })] }))
  })
})

describe('JR-8 JR-9 JR-11: lists that come in pages', () => {
  let runtime: RawRuntime
  let paged: TodoWorld
  let token: string
  const pages: Record<string, { names: string[]; nextCursor?: string }> = {
    first: { names: ['b_tool', 'delete_all', 'a_tool'], nextCursor: '' },
    '': { names: ['delete_one'], nextCursor: 'last' },
    last: { names: ['c_tool'] },
  }
  beforeAll(async () => {
    runtime = await startRawRuntime((request, socket) => {
      const { id, params } = JSON.parse(request.body.toString()) as { id: number; params?: { cursor?: string } }
      const { names, nextCursor } = pages[params?.cursor ?? 'first'] ?? { names: [] }
      const tools = names.map((name) => ({ name, inputSchema: { type: 'object' }, 'x-own': 9007199254740993n.toString() }))
      const body = JSON.stringify({ jsonrpc: '2.0', id, result: { resultType: 'complete', tools, nextCursor, ttlMs: 60_000, cacheScope: 'public' } })
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    })
    paged = await startTodo({ runtime: runtime.url, server: { policy: { default: 'allow', rules: [{ deny: ['delete_*'] }] } } })
    token = (await new ScriptedClient(paged.issuer, paged.mcpUrl).signIn('ann')).access_token
  }, 60_000)
  afterAll(async () => {
    await paged?.close()
    await runtime?.close()
  })

  it('JR-9: filters page by page, keeps order and cursors, the empty one too, and lets a page come out empty', async () => {
    const list = async (cursor?: string) => {
      const answer = await rpc(paged.mcpUrl, token, { jsonrpc: '2.0', id: 1, method: 'tools/list', params: cursor === undefined ? {} : { cursor } })
      const { tools, nextCursor, cacheScope } = (answer.message?.result ?? {}) as { tools: { name: string }[]; nextCursor?: string; cacheScope: string }
      return { names: tools.map((tool) => tool.name), nextCursor, cacheScope }
    }
    expect(await list()).toEqual({ names: ['b_tool', 'a_tool'], nextCursor: '', cacheScope: 'private' })
    expect(await list('')).toEqual({ names: [], nextCursor: 'last', cacheScope: 'private' })
    expect(await list('last')).toEqual({ names: ['c_tool'], nextCursor: undefined, cacheScope: 'private' })
  })
})
