import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { clientV1, clientV2, signIn } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { runPythonClient } from '../harness/python-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

const tools = ['add_todo', 'complete_todo', 'delete_todo', 'list_todos']

for (const runtime of ['sdk', 'local', 'fastmcp'] as const) {
  describe(`TR-7 BC-4: the same clients against the runtime ${runtime}`, () => {
    let world: TodoWorld
    beforeAll(async () => {
      world = await startTodo({ runtime })
    }, 60_000)
    afterAll(() => world?.close())

    for (const mode of ['legacy', 'auto', { pin: '2026-07-28' }] as const) {
      it(`SDK v2 ${typeof mode === 'string' ? mode : mode.pin}`, async () => {
        const provider = new TestOAuthProvider({ kind: 'dynamic' })
        const client = clientV2(world.mcpUrl, provider, mode)
        await signIn(client, provider, 'ann')
        expect((await client.listTools()).sort()).toEqual(tools)
        const added = await client.callTool('add_todo', { title: 'water the plants' })
        expect(added.isError).toBe(false)
        const { id } = JSON.parse(added.text) as { id: number }
        expect((await client.callTool('complete_todo', { id })).text).toMatch(/"done": ?true/)
        expect((await client.callTool('delete_todo', { id })).isError).toBe(false)
        expect((await client.callTool('delete_todo', { id })).isError).toBe(true)
        await client.close()
      })
    }

    it('SDK v1', async () => {
      const provider = new TestOAuthProvider({ kind: 'dynamic' })
      const client = clientV1(world.mcpUrl, provider)
      await signIn(client, provider, 'bob')
      expect((await client.listTools()).sort()).toEqual(tools)
      expect((await client.callTool('add_todo', { title: 'feed the cat' })).isError).toBe(false)
      expect((await client.callTool('list_todos')).text).toContain('feed the cat')
      await client.close()
    })

    it('fastmcp: sign-in, tools, silent refresh, revoke, sign-in again', async () => {
      const { outcomes, browserVisits } = await runPythonClient(
        world.mcpUrl,
        [
          { do: 'connect' },
          { do: 'list' },
          { do: 'call', tool: 'add_todo', arguments: { title: 'call the plumber' } },
          { do: 'tokens' },
          { do: 'expire' },
          { do: 'call', tool: 'list_todos' },
          { do: 'tokens' },
          { do: 'revoke' },
          { do: 'call', tool: 'list_todos' },
          { do: 'close' },
        ],
        { user: 'carol' },
      )
      const [connect, list, add, first, , refreshed, second, revoke, again] = outcomes
      expect(connect).toMatchObject({ revision: '2026-07-28' })
      expect(list?.tools?.sort()).toEqual(tools)
      expect(add).toMatchObject({ isError: false })
      expect(refreshed?.text).toContain('call the plumber')
      expect(second?.access_token).not.toBe(first?.access_token)
      expect(revoke).toMatchObject({ revoked: 200, after: 401 })
      expect(revoke?.challenge).toContain('error="invalid_token"')
      expect(again?.text).toContain('call the plumber')
      expect(browserVisits).toHaveLength(2)
    }, 90_000)

    it('fastmcp in the legacy era', async () => {
      const steps = [{ do: 'connect' }, { do: 'call', tool: 'add_todo', arguments: { title: 'old ways' } }, { do: 'close' }] as const
      const { outcomes } = await runPythonClient(world.mcpUrl, [...steps], { user: 'carol', mode: 'legacy' })
      expect(outcomes[0]).toMatchObject({ revision: '2025-11-25' })
      expect(outcomes[1]).toMatchObject({ isError: false })
    }, 90_000)
  })
}
