import { describe, expect, it } from '@jest/globals'
import type { Host } from '../harness/gateway-settings.ts'
import { clientV2, signIn } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { startTodo } from '../harness/todo.ts'

const hosts: Host[] = ['express5', 'express4', 'connect', 'http', 'steps', 'prefix', 'stripping proxy']

describe('PR-8: the gateway in every host', () => {
  for (const host of hosts) {
    it(`${host}: sign-in, tools, and what is not ours goes to the host app`, async () => {
      const world = await startTodo({ runtime: 'local', host })
      try {
        const provider = new TestOAuthProvider({ kind: 'dynamic' })
        const client = clientV2(world.mcpUrl, provider)
        await signIn(client, provider, 'ann')
        expect(await client.callTool('add_todo', { title: `from ${host}` })).toMatchObject({ isError: false })
        expect((await client.callTool('list_todos')).text).toContain(`from ${host}`)
        await client.close()
        const { origin } = new URL(world.issuer)
        expect(await (await fetch(`${origin}/health`)).json()).toEqual({ host: 'app' })
        expect((await fetch(`${origin}/nothing-here`)).status).toBe(404)
        const prm = await fetch(`${origin}/.well-known/oauth-protected-resource${new URL(world.mcpUrl).pathname}`)
        expect(await prm.json()).toMatchObject({ resource: world.mcpUrl, authorization_servers: [world.issuer] })
        const own = await fetch(`${origin}/.well-known/security.txt`)
        expect([own.status, await own.text()]).toEqual([200, 'Contact: mailto:security@host.example'])
        // The team's own middleware stands between the steps and has seen the call.
        if (host === 'steps') expect(world.gateway.messages).toContainEqual({ between: { subject: 'ann', tool: 'add_todo' } })
      } finally {
        await world.close()
      }
    }, 60_000)
  }
})
