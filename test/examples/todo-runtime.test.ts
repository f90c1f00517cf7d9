import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Running } from '../../examples/todo/listen.ts'
import { startRuntime } from '../../examples/todo/runtime.ts'
import { runtimeContract } from './runtime-contract.ts'
import { startTeam, type Team } from './team.ts'

const secret = 'the-worker-secret-of-this-test'

let team: Team
let runtime: Running
beforeAll(async () => {
  team = await startTeam()
  runtime = await startRuntime({ port: 0, apiUrl: team.api.url, secret: ['the-next-secret', secret] })
})
afterAll(async () => {
  await runtime.close()
  await team.close()
})

describe('Todo runtime', () => {
  runtimeContract(() => ({ url: `${runtime.url}/mcp`, secret, team }))
})

describe('a client that leaves', () => {
  it('ends the request at the API, too', async () => {
    const api = createServer()
    await new Promise<void>((listening) => api.listen(0, '127.0.0.1', listening))
    const { port } = api.address() as { port: number }
    const patient = await startRuntime({ port: 0, apiUrl: `http://127.0.0.1:${port}`, secret })
    const client = new AbortController()
    const arrived = once(api, 'request')
    const headers = {
      'x-emcy-worker-secret': secret,
      'x-emcy-access-token': 'token',
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json',
      'mcp-protocol-version': '2025-11-25',
    }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } })
    const call = fetch(`${patient.url}/mcp`, { method: 'POST', signal: client.signal, headers, body })
    const [, answer] = await arrived
    const closed = once(answer, 'close')
    client.abort()
    await expect(call).rejects.toThrow(/aborted/)
    await closed
    expect(answer.writableEnded).toBe(false)
    await patient.close()
    api.close()
  })
})

describe('a port that is taken', () => {
  let other: Server
  beforeAll(async () => {
    other = createServer()
    await new Promise<void>((listening) => other.listen(0, '127.0.0.1', listening))
  })
  afterAll(() => void other.close())

  it('is named, with the way out', async () => {
    const { port } = other.address() as { port: number }
    await expect(startRuntime({ port, apiUrl: team.api.url, secret })).rejects.toThrow(
      `Port ${port} is in use: stop what listens there, or choose others with PORT=…`,
    )
  })
})
