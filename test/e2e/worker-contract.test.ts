import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { sendRaw } from '../harness/raw-request.ts'
import { answerJson, type RawRequest, type RawRuntime, startRawRuntime } from '../harness/raw-runtime.ts'
import { rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let runtime: RawRuntime
let world: TodoWorld
let client: ScriptedClient
let token: string

beforeAll(async () => {
  runtime = await startRawRuntime()
  world = await startTodo({ runtime: runtime.url })
  client = new ScriptedClient(world.issuer, world.mcpUrl)
  token = (await client.signIn('ann')).access_token
}, 60_000)
afterAll(async () => {
  await world?.close()
  await runtime?.close()
})
beforeEach(() => {
  runtime.answer = answerJson
  runtime.requests.length = 0
})

const call = (extra: object = {}) => ({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: { name: 'list_todos', arguments: {}, ...extra } })
const contract = ['x-emcy-worker-secret', 'x-emcy-access-token', 'x-emcy-subject', 'x-emcy-client-id', 'x-emcy-scopes', 'x-emcy-request-id']

/** A request with these header lines, as raw bytes. */
function request(lines: string[], body: Buffer | string): Buffer {
  const bytes = Buffer.from(body)
  const head = ['POST /mcp HTTP/1.1', `Host: ${new URL(world.issuer).host}`, `Authorization: Bearer ${token}`, 'Content-Type: application/json', ...lines]
  return Buffer.concat([Buffer.from(`${head.join('\r\n')}\r\nContent-Length: ${bytes.length}\r\n\r\n`), bytes])
}

function expectClean(seen: RawRequest | undefined): void {
  expect(seen).toBeDefined()
  for (const name of contract) expect([name, seen?.header(name).length]).toEqual([name, 1])
  expect(seen?.header('x-emcy-worker-secret')).toEqual([world.workerSecret])
  expect(seen?.header('x-emcy-subject')).toEqual(['ann'])
  expect(seen?.header('x-emcy-client-id')).toEqual([client.clientId])
  expect(seen?.bytes.includes(token)).toBe(false)
  expect(seen?.bytes.includes('emcy_at_')).toBe(false)
  expect(seen?.bytes.includes('spoof')).toBe(false)
  expect(seen?.names.filter((name) => name.replaceAll('_', '-') !== name && /emcy/.test(name))).toEqual([])
}

describe('BC-4 BC-5 TR-27: what reaches the runtime', () => {
  it('holds the contract headers once, and no client token', async () => {
    const { status } = await rpc(world.mcpUrl, token, call())
    expect(status).toBe(200)
    const [seen] = runtime.requests
    expectClean(seen)
    expect(seen?.lines[0]).toBe('POST /mcp HTTP/1.1')
    expect(seen?.names).not.toContain('authorization')
    expect(seen?.names).not.toContain('cookie')
    // The downstream token is the API's own: the runtime can use it there, and nobody else's todos come back.
    const todos = await fetch(`${world.apiUrl}/todos`, { headers: { authorization: `Bearer ${seen?.header('x-emcy-access-token')[0]}` } })
    expect(todos.status).toBe(200)
  })

  it('holds no spoofed header in any spelling', async () => {
    const spoofs = contract.flatMap((name) => [
      name,
      name.toUpperCase(),
      name.replaceAll('-', '_'),
      name.replace('x-', 'X-').replaceAll('-', '_'),
      name.replace('-', '_'),
    ])
    const lines = spoofs.flatMap((name) => [`${name}: spoofed`, `${name}: spoofed, twice`])
    const others = [
      'Cookie: a=spoofed',
      'Proxy-Authorization: Basic spoofed',
      'Forwarded: for=spoofed',
      'X-Forwarded-For: spoofed',
      'X-Forwarded-Host: spoofed',
      'X-Forwarded-Proto: spoofed',
    ]
    const answer = await sendRaw(world.issuer, request([...lines, ...others], JSON.stringify(call())))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expectClean(runtime.requests[0])
  })

  it('holds nothing that Connection names, and no Expect', async () => {
    const lines = ['Connection: keep-alive, X-Hop, x-emcy-worker-secret', 'X-Hop: spoofed', 'TE: trailers', 'Upgrade-Insecure-Requests: 1']
    const answer = await sendRaw(world.issuer, request(lines, JSON.stringify(call())))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expectClean(runtime.requests[0])
    expect(runtime.requests[0]?.names).not.toContain('x-hop')
    expect(runtime.requests[0]?.names).not.toContain('te')
  })

  it('holds nothing extra under Expect: 100-continue', async () => {
    const lines = ['Expect: 100-continue', 'X-Emcy-Access-Token: spoofed', 'x_emcy_subject: spoofed']
    const answer = await sendRaw(world.issuer, request(lines, JSON.stringify(call())), (text) =>
      /HTTP\/1\.1 [2-5]\d\d[\s\S]*\r\n\r\n/.test(text.replace(/^HTTP\/1\.1 100[^\n]*\r\n\r\n/, '')),
    )
    expect(answer).toMatch(/HTTP\/1\.1 200 /)
    expectClean(runtime.requests[0])
    expect(runtime.requests[0]?.names).not.toContain('expect')
  })

  it('holds the body byte for byte', async () => {
    const odd =
      '{ "jsonrpc":"2.0" ,\t"id": 7,\n "method":"tools/call","params":{"name":"list_todos","arguments":{"big":9007199254740993,"one":1.0,"e":1E2,"u":"\\u00e9é","s":"\\/"}} }\n'
    const body = Buffer.from(odd)
    const answer = await sendRaw(world.issuer, request([], body))
    expect(answer).toMatch(/^HTTP\/1\.1 200 /)
    expect(runtime.requests[0]?.body.equals(body)).toBe(true)
    expect(runtime.requests[0]?.header('content-length')).toEqual([String(body.length)])
    expect(runtime.requests[0]?.names).not.toContain('transfer-encoding')
  })

  it('passes the protocol headers untouched', async () => {
    const headers = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'list_todos',
      'mcp-param-region': '=?base64?ZXU=?=',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'a=1',
      baggage: 'k=v',
    }
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28', 'io.modelcontextprotocol/clientCapabilities': {} }
    const { status } = await rpc(world.mcpUrl, token, call({ _meta }), headers)
    expect(status).toBe(200)
    for (const [name, value] of Object.entries(headers)) expect([name, runtime.requests[0]?.header(name)]).toEqual([name, [value]])
    expect(runtime.requests[0]?.header('accept')).toEqual(['application/json, text/event-stream'])
  })
})

describe('BC-2 BC-5: what does not reach the runtime', () => {
  it('nothing without a token, and nothing of a refused body', async () => {
    const refused = [
      rpc(world.mcpUrl, undefined, call()),
      rpc(world.mcpUrl, `${token.slice(0, -4)}AAAA`, call()),
      rpc(world.mcpUrl, token, '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}'),
    ]
    expect((await Promise.all(refused)).map((answer) => answer.status)).toEqual([401, 401, 400])
    expect(runtime.requests).toHaveLength(0)
  })

  it("the runtime's own headers stay behind", async () => {
    runtime.answer = (_request, socket) => {
      const body = '{"jsonrpc":"2.0","id":7,"result":{}}'
      const head = [
        'HTTP/1.1 200 OK',
        'Content-Type: application/json',
        'Set-Cookie: a=b',
        'Server: secret/1',
        'Access-Control-Allow-Origin: https://evil.example',
        `Content-Length: ${body.length}`,
      ]
      socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
    }
    const { headers, status } = await rpc(world.mcpUrl, token, call())
    expect(status).toBe(200)
    expect([headers.get('set-cookie'), headers.get('server')]).toEqual([null, null])
    expect(headers.get('access-control-allow-origin')).not.toBe('https://evil.example')
  })
})
