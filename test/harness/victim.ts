import { expect } from '@jest/globals'
import { type Issued, rpc, ScriptedClient } from './scripted-client.ts'
import type { TodoWorld } from './todo.ts'

type Place = Pick<TodoWorld, 'issuer' | 'mcpUrl'>

const listTodos = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }

/** The status of a tool call with a token: 200 while its connection is good. */
export async function statusOfCall(world: Place, accessToken: string): Promise<number> {
  const { status, message } = await rpc(world.mcpUrl, accessToken, listTodos)
  if (status === 200) expect(message?.result).toBeDefined()
  return status
}

/** A user connects an app of theirs, from its registration to a tool's answer: what no attack may break. */
export async function connects(world: Place, user: string, client = new ScriptedClient(world.issuer, world.mcpUrl)): Promise<Issued> {
  const tokens = await client.signIn(user)
  expect(await statusOfCall(world, tokens.access_token)).toBe(200)
  return tokens
}

/** The same from where a client has its code. */
export async function redeems(world: Place, client: ScriptedClient, code: string, verifier: string): Promise<Issued> {
  const { status, body } = await client.redeem(code, verifier)
  expect([status, body.token_type]).toEqual([200, 'Bearer'])
  expect(await statusOfCall(world, body.access_token)).toBe(200)
  return body
}
