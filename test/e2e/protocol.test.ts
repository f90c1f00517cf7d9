import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { answerJson, type RawRuntime, startRawRuntime } from '../harness/raw-runtime.ts'
import { rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let runtime: RawRuntime
let world: TodoWorld
let token: string
beforeAll(async () => {
  runtime = await startRawRuntime()
  world = await startTodo({ runtime: runtime.url, gateway: { limits: { bodyBytes: 100_000, jsonDepth: 32 } } })
  token = (await new ScriptedClient(world.issuer, world.mcpUrl).signIn('ann')).access_token
}, 60_000)
afterAll(async () => {
  await world?.close()
  await runtime?.close()
})
beforeEach(() => {
  runtime.answer = answerJson
  runtime.requests.length = 0
})

const version = 'io.modelcontextprotocol/protocolVersion'
const modernMeta = { [version]: '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
const modern = (method = 'tools/call', params: object = { name: 'list_todos', arguments: {} }, meta: object = modernMeta) => ({
  jsonrpc: '2.0',
  id: 5,
  method,
  params: { ...params, _meta: meta },
})
const mirrored = { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': 'list_todos' }
const legacy = { jsonrpc: '2.0', id: 5, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }

describe('TR-12 TR-21 TR-22 TR-23 TR-24: mirrored headers of 2026-07-28', () => {
  const wrong: [string, Record<string, string>][] = [
    ['no Mcp-Method', { 'mcp-protocol-version': '2026-07-28', 'mcp-name': 'list_todos' }],
    ['no Mcp-Name', { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call' }],
    ['another method', { ...mirrored, 'mcp-method': 'tools/list' }],
    ['another case', { ...mirrored, 'mcp-method': 'TOOLS/CALL' }],
    ['another name', { ...mirrored, 'mcp-name': 'delete_todo' }],
    ['undecodable Base64', { ...mirrored, 'mcp-name': '=?base64?%%%?=' }],
    ['another version', { ...mirrored, 'mcp-protocol-version': '2025-11-25' }],
  ]
  for (const [why, headers] of wrong) {
    it(`TR-10 TR-24: ${why}: 400 with -32020, and nothing reaches the runtime`, async () => {
      const answer = await rpc(world.mcpUrl, token, modern(), headers)
      expect(answer).toMatchObject({ status: 400, message: { id: 5, error: { code: -32020 } } })
      expect(runtime.requests).toHaveLength(0)
    })
  }

  it('TR-23: a Base64 name is the same name', async () => {
    const answer = await rpc(world.mcpUrl, token, modern(), { ...mirrored, 'mcp-name': `=?base64?${Buffer.from('list_todos').toString('base64')}?=` })
    expect(answer.status).toBe(200)
    expect(runtime.requests).toHaveLength(1)
  })

  it('TR-10 JR-15: a missing _meta field: 400 with -32602', async () => {
    const answer = await rpc(world.mcpUrl, token, modern('tools/call', { name: 'list_todos' }, { [version]: '2026-07-28' }), mirrored)
    expect(answer).toMatchObject({ status: 400, message: { id: 5, error: { code: -32602 } } })
  })

  it('TR-10 TR-15: an unknown modern version: 400 with -32022 and what is supported', async () => {
    const future = { [version]: '2099-01-01', 'io.modelcontextprotocol/clientCapabilities': {} }
    const answer = await rpc(world.mcpUrl, token, modern('tools/call', { name: 'list_todos' }, future), { ...mirrored, 'mcp-protocol-version': '2099-01-01' })
    expect(answer).toMatchObject({
      status: 400,
      message: { error: { code: -32022, data: { supported: expect.arrayContaining(['2026-07-28']), requested: '2099-01-01' } } },
    })
  })
})

describe('TR-1 TR-2 TR-5 TR-6 TR-7 TR-14: what a POST may carry', () => {
  it('TR-14: no version header is fine, and the body passes', async () => {
    expect((await rpc(world.mcpUrl, token, legacy)).status).toBe(200)
    expect(runtime.requests).toHaveLength(1)
  })

  const bad: [string, string, Record<string, string>, number, number | undefined][] = [
    ['not JSON', '{', {}, 400, -32700],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]).toString('latin1'), {}, 400, undefined],
    ['a member twice', '{"jsonrpc":"2.0","id":1,"method":"a","method":"tools/call"}', {}, 400, -32600],
    ['too deep', `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(40)}${']'.repeat(40)}}}`, {}, 400, -32600],
    ['another media type', JSON.stringify(legacy), { 'content-type': 'text/plain' }, 415, undefined],
    ['an encoding', JSON.stringify(legacy), { 'content-encoding': 'gzip' }, 415, undefined],
  ]
  for (const [why, body, headers, status, code] of bad) {
    it(`TR-5 TR-26: ${why}: ${status}`, async () => {
      const answer = await rpc(world.mcpUrl, token, body, headers)
      expect(answer.status).toBe(status)
      if (code !== undefined) expect(answer.message).toMatchObject({ error: { code } })
      expect(runtime.requests).toHaveLength(0)
    })
  }

  it('too large, with an id that can be read: 200 and -32600', async () => {
    const answer = await rpc(world.mcpUrl, token, { ...legacy, params: { name: 'x', arguments: { text: 'x'.repeat(200_000) } } })
    expect(answer).toMatchObject({ status: 200, message: { id: 5, error: { code: -32600 } } })
    expect(runtime.requests).toHaveLength(0)
  })

  it('TR-6: a batch with a refused member is refused whole', async () => {
    const batch = [legacy, { ...legacy, id: 6, method: 'tools/call', params: {} }]
    const answer = await rpc(world.mcpUrl, token, JSON.stringify(batch), { 'mcp-protocol-version': '2025-06-18' })
    expect(answer.status).toBe(400)
    expect(runtime.requests).toHaveLength(0)
  })

  it('TR-7: a notification is accepted with 202 and an empty body', async () => {
    runtime.answer = (_request, socket) => socket.write('HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n')
    const answer = await rpc(world.mcpUrl, token, { jsonrpc: '2.0', method: 'notifications/initialized' })
    expect([answer.status, answer.text]).toEqual([202, ''])
  })

  it('TR-8: a foreign Origin: 403', async () => {
    const answer = await rpc(world.mcpUrl, token, legacy, { origin: 'https://evil.example' })
    expect(answer.status).toBe(403)
    expect(answer.headers.get('www-authenticate')).toBeNull()
    expect(runtime.requests).toHaveLength(0)
  })

  it('JR-14: a result that the gateway makes in 2026-07-28 has a resultType', async () => {
    runtime.answer = (_request, socket) => socket.destroy()
    const answer = await rpc(world.mcpUrl, token, modern(), mirrored)
    expect(answer).toMatchObject({ status: 200, message: { id: 5, error: { code: -31004 } } })
  })
})

describe('BC-15 TR-42 TR-43: legacy sessions', () => {
  const initialize = {
    jsonrpc: '2.0',
    id: 1,
    method: 'initialize',
    params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } },
  }
  const withSession = (id: string) => {
    runtime.answer = (request, socket) => {
      const message = JSON.parse(request.body.toString() || '{}') as { id?: number }
      const body = JSON.stringify({
        jsonrpc: '2.0',
        id: message.id,
        result: { protocolVersion: '2025-11-25', capabilities: {}, serverInfo: { name: 'r', version: '1' } },
      })
      socket.write(`HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nmcp-session-id: ${id}\r\ncontent-length: ${body.length}\r\n\r\n${body}`)
    }
  }

  it("a session belongs to its user; another user's is answered as one that has ended", async () => {
    withSession('runtime-session-1')
    const opened = await rpc(world.mcpUrl, token, initialize)
    const session = opened.headers.get('mcp-session-id') ?? ''
    expect(session).not.toBe('')
    runtime.requests.length = 0
    expect((await rpc(world.mcpUrl, token, legacy, { 'mcp-session-id': session })).status).toBe(200)
    expect(runtime.requests[0]?.header('mcp-session-id')).toEqual(['runtime-session-1'])
    const other = (await new ScriptedClient(world.issuer, world.mcpUrl).signIn('bob')).access_token
    runtime.requests.length = 0
    for (const id of [session, 'runtime-session-1']) expect((await rpc(world.mcpUrl, other, legacy, { 'mcp-session-id': id })).status).toBe(404)
    expect(runtime.requests).toHaveLength(0)
  })
})

describe('TR-47: the HTTP+SSE transport of 2024', () => {
  it('is not offered: neither its stream nor its second path is the gateway’s, and nothing of them reaches the runtime', async () => {
    const headers = { authorization: `Bearer ${token}`, accept: 'text/event-stream' }
    for (const path of ['/sse', '/messages', '/mcp/sse', '/mcp/messages']) {
      for (const method of ['GET', 'POST']) {
        const answer = await fetch(`${world.issuer}${path}`, { method, headers })
        expect([path, method, answer.status]).toEqual([path, method, 404])
      }
    }
    expect(runtime.requests).toHaveLength(0)
  })
})
