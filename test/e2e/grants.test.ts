import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { asksToSignIn, clientV2, signIn } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
beforeAll(async () => {
  world = await startTodo({ runtime: 'local' })
}, 60_000)
afterAll(() => world?.close())

const list = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }
const count = (event: string) => world.events().filter((each) => each.event === event).length

describe('TK-16 AZ-15: the downstream grant', () => {
  it('TK-16: twenty calls after its access token has expired refresh it once', async () => {
    const client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
    const tokens = await client.signIn('ann')
    expect((await rpc(world.mcpUrl, tokens.access_token, list)).message?.result).toBeDefined()
    const before = count('grant.refreshed')
    await world.advanceClock(301_000)
    const answers = await Promise.all(Array.from({ length: 20 }, () => rpc(world.mcpUrl, tokens.access_token, list)))
    expect(answers.map((answer) => answer.message?.error)).toEqual(Array(20).fill(undefined))
    expect(count('grant.refreshed') - before).toBe(1)
    // The server ends the whole grant when a rotated refresh token comes twice: the next refresh shows that none did.
    await world.advanceClock(301_000)
    expect((await rpc(world.mcpUrl, tokens.access_token, list)).message?.result).toBeDefined()
  })

  it('TK-17: dead: 401, invalid_grant, and the user signs in again', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(world.mcpUrl, provider)
    await signIn(client, provider, 'bob')
    expect(await client.callTool('add_todo', { title: 'mine' })).toMatchObject({ isError: false })
    // The Todo team ends Bob's sessions by replacing its whole database: every refresh token there is unknown now.
    await world.forgetAuthorizations()
    await world.advanceClock(301_000)
    expect(await asksToSignIn(client.callTool('list_todos'))).toBe(true)
    expect(count('grant.needs_reconnect')).toBeGreaterThan(0)
    await client.close()
    const again = clientV2(world.mcpUrl, provider)
    provider.invalidateCredentials('tokens')
    await signIn(again, provider, 'bob')
    expect((await again.callTool('list_todos')).text).toContain('mine')
    await again.close()
  })
})

describe('AZ-6 AZ-13 AZ-16: approvals', () => {
  it('AZ-6: a remembered approval is not asked again, in the same browser only', async () => {
    const client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
    await client.signIn('carol', { scope: 'todos.read' })
    const again = await client.browser.open(client.authorizeUrl(pkce().challenge, { scope: 'todos.read' }))
    expect(again.trail.some((url) => url.pathname === '/consent')).toBe(false)
    const stranger = new ScriptedClient(world.issuer, world.mcpUrl)
    stranger.clientId = client.clientId
    const asked = await stranger.browser.open(stranger.authorizeUrl(pkce().challenge, { scope: 'todos.read' }))
    expect(asked.text).toContain('todos.read')
    expect(asked.url.origin).toBe(world.issuer)
  })

  it('AZ-13: more scopes are asked for', async () => {
    const client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
    await client.signIn('carol', { scope: 'todos.read' })
    const page = await client.browser.open(client.authorizeUrl(pkce().challenge, { scope: 'todos.read todos.write' }))
    expect([page.status, page.url.origin]).toEqual([200, world.issuer])
    expect(page.text).toContain('todos.write')
  })

  it('AZ-16: a client gets what it asked for, and the runtime a downstream token no wider', async () => {
    const client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
    const tokens = await client.signIn('dave', { scope: 'todos.read' })
    expect(tokens.scope).toBe('todos.read')
    expect((await rpc(world.mcpUrl, tokens.access_token, list)).message?.result).toBeDefined()
    const add = { ...list, params: { name: 'add_todo', arguments: { title: 'x' } } }
    const answer = await rpc(world.mcpUrl, tokens.access_token, add)
    // BC-9: the API's own refusal, through the runtime, names the scope that is missing.
    expect(answer.status).toBe(403)
    expect(answer.headers.get('www-authenticate')).toMatch(/error="insufficient_scope"/)
    expect(answer.headers.get('www-authenticate')).toMatch(/scope="[^"]*todos\.write/)
  })
})
