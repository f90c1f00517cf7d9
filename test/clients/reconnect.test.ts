import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { follow, newBrowser } from '../harness/reconnect.ts'
import { prepareStepClient, type StepClientName } from '../harness/step-client.ts'
import { callTool, connect, withClient } from '../harness/step-client-life.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
const modern: [StepClientName, object][] = [
  ['mcp-2', { mode: 'auto' }],
  ['go-sdk', {}],
  ['mcp-go', {}],
]
const legacy: [StepClientName, object][] = [
  ['mcp-1', {}],
  ['mcp-2', { mode: 'legacy' }],
  ['go-sdk', { revision: '2025-11-25' }],
]

beforeAll(async () => {
  await Promise.all((['mcp-1', 'mcp-2', 'go-sdk', 'mcp-go'] as const).map(prepareStepClient))
  world = await startTodo({ runtime: 'local' })
}, 300_000)
afterAll(() => world?.close())

/** The Todo team ends every session, and the access tokens run out. */
async function endGrants(): Promise<void> {
  await world.forgetAuthorizations()
  await world.advanceClock(301_000)
}

describe('EL-1 EL-9: clients of 2026-07-28 go on by themselves once their user has signed in again', () => {
  for (const [name, settings] of modern) {
    it(`${name}: with the token it had, whether its user is quick or not`, async () => {
      const links: string[] = []
      let signingIn: Promise<unknown> = Promise.resolve()
      const open = async (url: string, message: string) => {
        expect(message).toContain('Sign in again')
        // The first time the user is done before they say so; the second time they say so and go to sign in.
        if (!links.includes(url)) signingIn = follow(newBrowser(), url, name)
        if (links.length === 0) await signingIn
        links.push(url)
        return 'accept' as const
      }
      await withClient(name, { url: world.mcpUrl, user: name, ...settings, follow: open }, async (client) => {
        expect(await connect(client)).toBe('2026-07-28')
        const before = await client.take({ do: 'tokens' })
        for (const death of [1, 2]) {
          await endGrants()
          await callTool(client, 'list_todos')
          await signingIn
          expect(new Set(links).size).toBe(death)
        }
        expect(await client.take({ do: 'tokens' })).toEqual(before)
        expect(client.visits).toHaveLength(1)
      })
    }, 120_000)
  }
})

describe('EL-3 TR-45: clients of 2025-11-25 tell their app the link, and keep their session', () => {
  for (const [name, settings] of legacy) {
    it(`${name} ${JSON.stringify(settings)}`, async () => {
      const ask = async () => 'decline' as const
      await withClient(name, { url: world.mcpUrl, user: name, ...settings, follow: ask }, async (client) => {
        expect(await connect(client)).toBe('2025-11-25')
        const before = await client.take({ do: 'tokens' })
        await endGrants()
        const { error } = await client.take({ do: 'call', tool: 'list_todos' })
        const link = /https?:\/\/\S+\/reconnect\?link=[\w-]+/.exec(error ?? '')?.[0]
        expect(link).toBeDefined()
        expect((await follow(newBrowser(), String(link), name)).text).toContain('You are signed in again')
        await callTool(client, 'list_todos')
        expect(await client.take({ do: 'tokens' })).toEqual(before)
        expect(client.visits).toHaveLength(1)
      })
    }, 120_000)
  }
})
