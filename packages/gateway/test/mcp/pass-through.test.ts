import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { answerResult, type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { call, meta, mirrored, modern, rpc, startWorld, type World } from './given.ts'

let runtime: HttpListener
let world: World
let token: string
beforeAll(async () => {
  runtime = await startHttpListener()
  world = await startWorld({
    runtime: runtime.url,
    gateway: { limits: { responseStartSeconds: 1 } },
    server: {
      policy: { default: 'allow', rules: [{ deny: ['hidden'] }] },
      budgets: [{ name: 'calls', limit: 2, per: ['user'], window: { seconds: 3600 } }],
    },
  })
  token = (await world.connect()).token
})
afterAll(async () => {
  await world?.close()
  await runtime?.close()
})
beforeEach(() => {
  runtime.seen.length = 0
  runtime.answer = answerResult
})

const answerText = (text: string, status = 200, type = 'application/json'): HttpListener['answer'] => {
  return (_req, res) => void res.writeHead(status, { 'content-type': type }).end(text)
}

describe('what the runtime decides passes through', () => {
  it.each(['2025-03-26', '2025-06-18', '2025-11-25'])('TR-16: initialize with %s, and the version that comes back', async (version) => {
    const text = `{"jsonrpc":"2.0","id":7,"result":{"protocolVersion":"2025-06-18","capabilities":{ "tools":{} },"serverInfo":{"name":"r","version":"1"}}}`
    runtime.answer = answerText(text)
    const body = JSON.stringify(rpc('initialize', 7, { protocolVersion: version, capabilities: {}, clientInfo: { name: 'c', version: '1' } }))
    expect((await world.ask(token, body)).text).toBe(text)
    expect(runtime.seen[0]?.body.toString()).toBe(body)
  })

  it('TR-28: a header of a parameter is the runtime’s to compare, and its -32020 at 400 reaches the client', async () => {
    const text = '{"jsonrpc":"2.0","id":7,"error":{"code":-32020,"message":"Mcp-Param-Region does not match"}}'
    runtime.answer = answerText(text, 400)
    const headers = { ...mirrored('tools/list'), 'mcp-param-region': 'eu' }
    const answer = await world.ask(token, modern('tools/list'), headers)
    expect([answer.status, answer.text]).toEqual([400, text])
    expect(runtime.seen[0]?.req.headers['mcp-param-region']).toBe('eu')
  })

  it('TR-29: filtering leaves the schemas of the other tools as they are', async () => {
    const tool = { name: 'shown', inputSchema: { type: 'object', properties: { region: { type: 'string', 'x-mcp-header': 'Region' } } } }
    runtime.answer = answerText(JSON.stringify({ jsonrpc: '2.0', id: 7, result: { tools: [{ ...tool, name: 'hidden' }, tool] } }))
    expect((await world.ask(token, rpc('tools/list'))).json.result.tools).toEqual([tool])
  })

  it('TR-39: a subscription: its acknowledgement and tagged messages, byte for byte', async () => {
    const tag = '"_meta":{"io.modelcontextprotocol/subscriptionId":7}'
    const text =
      `data: {"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{${tag}}}\n\n` +
      `data: {"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{${tag}}}\n\ndata: {"jsonrpc":"2.0","id":7,"result":{"resultType":"complete",${tag}}}\n\n`
    runtime.answer = answerText(text, 200, 'text/event-stream')
    const answer = await world.ask(token, modern('subscriptions/listen', { notifications: { toolsListChanged: true } }), mirrored('subscriptions/listen'))
    expect(answer.text).toBe(text)
  })

  it('JR-18: tracing keys in _meta, JR-22: structured content', async () => {
    const text = '{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete","resources":[],"structuredContent":{"n":1.0,"big":9007199254740993}}}'
    runtime.answer = answerText(text)
    const traced = { ...modern('resources/list'), params: { _meta: { ...meta, traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' } } }
    expect((await world.ask(token, traced, mirrored('resources/list'))).text).toBe(text)
    expect(JSON.parse(runtime.seen[0]?.body.toString() ?? '')).toEqual(traced)
  })
})

describe('what each request says for itself', () => {
  it('TR-17: after a legacy initialize a modern request needs everything anew, and the other way round', async () => {
    await world.ask(token, rpc('initialize', 1, { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'c', version: '1' } }))
    const bare = await world.ask(token, rpc('ping'), mirrored('ping'))
    expect([bare.status, bare.json.error.code]).toEqual([400, -32602])
    expect((await world.ask(token, modern('resources/list'), mirrored('resources/list'))).status).toBe(200)
    expect((await world.ask(token, rpc('ping'))).status).toBe(200)
  })

  it('BC-16: clientInfo is nobody’s identity', async () => {
    const claimed = {
      ...modern('resources/list'),
      params: { _meta: { ...meta, 'io.modelcontextprotocol/clientInfo': { name: 'admin', version: '1', sub: 'bob' } } },
    }
    await world.ask(token, claimed, mirrored('resources/list'))
    const subject = Object.entries(runtime.seen[0]?.req.headers ?? {}).filter(([name]) => /subject/i.test(name))
    expect(subject).toHaveLength(1)
    expect(String(subject[0]?.[1])).toMatch(/ann/)
  })
})

describe('what the gateway answers itself', () => {
  it.each<[string, unknown, Record<string, string>, string]>([
    ['no JSON', '{', mirrored('tools/list'), 'POST'],
    ['a batch', [modern('tools/list')], mirrored('tools/list'), 'POST'],
    ['no _meta', rpc('tools/list'), mirrored('tools/list'), 'POST'],
    ['another version', modern('tools/list'), { ...mirrored('tools/list'), 'mcp-protocol-version': '2099-01-01' }, 'POST'],
    ['another method', modern('tools/list'), mirrored('tools/call', 'x'), 'POST'],
    ['PUT', modern('tools/list'), mirrored('tools/list'), 'PUT'],
  ])('TR-11: %s: a JSON-RPC error', async (_why, body, headers, method) => {
    const answer = await world.ask(token, body, headers, method)
    expect([400, 405]).toContain(answer.status)
    expect(answer.headers['content-type']).toBe('application/json')
    const [message] = [answer.json].flat()
    expect(message).toMatchObject({ jsonrpc: '2.0', error: { code: expect.any(Number), message: expect.any(String) } })
    expect(runtime.seen).toHaveLength(0)
  })

  it('TR-41: a runtime that does not answer is given up in time', async () => {
    runtime.answer = () => {}
    const answer = await world.ask(token, rpc('resources/list'))
    expect([answer.status, answer.json.error.code]).toEqual([200, -31004])
  })

  it('JR-2: calls are held to rights and to a rate, each for itself', async () => {
    expect((await world.ask(token, call('hidden'))).json.error.code).toBe(-32602)
    expect((await world.ask(token, call('shown'))).json.result.isError).toBeUndefined()
    expect((await world.ask(token, call('shown'))).json.result.isError).toBeUndefined()
    expect((await world.ask(token, call('shown'))).json.result.isError).toBe(true)
    expect(runtime.seen).toHaveLength(2)
  })

  it('JR-7: nothing of all this was told as -32002 or -32042', async () => {
    const events = world.events.flatMap((event) => (event.event === 'mcp.request' ? [event] : []))
    expect(events.length).toBeGreaterThan(3)
    expect(events.filter(({ rpcCode }) => rpcCode === -32002 || rpcCode === -32042)).toEqual([])
  })
})
