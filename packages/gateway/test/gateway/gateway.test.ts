import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals'
import connect from 'connect'
import express from 'express'
import express4 from 'express4'
import { createGateway, type Gateway, type GatewayOptions, type LogEvent, type McpRequestEvent } from '../../src/index.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { connectForTest, type MockRuntime, mockRuntime } from '../../src/testing.ts'

const workerSecret = 'a-worker-secret-1'
let runtime: MockRuntime
beforeAll(async () => {
  runtime = await mockRuntime({ tools: [{ name: 'echo' }, { name: 'danger' }] })
})
afterAll(() => runtime.close())

const running: { server: Server; gateway: Gateway }[] = []
afterEach(async () => {
  for (const { server, gateway } of running.splice(0)) {
    server.close()
    server.closeAllConnections()
    await gateway.close()
  }
})

/** A gateway whose users are named by the host app, in a host of the test's choice. */
async function start(over: Partial<GatewayOptions> = {}, mount: (gateway: Gateway) => unknown = (gateway) => gateway) {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const publicUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const events: LogEvent[] = []
  const waiting: { count: number; resolve: () => void }[] = []
  const calls = () => events.filter((event) => event.event === 'mcp.request' && event.method === 'tools/call')
  const gateway = createGateway({
    publicUrl,
    identify: () => ({ sub: 'ann', name: 'Ann' }),
    servers: { todo: { path: '/mcp', runtime: runtime.url, workerSecret, scopes: ['read'] } },
    log: (event) => {
      events.push(event)
      for (const one of waiting) if (calls().length >= one.count) one.resolve()
    },
    ...over,
  } as GatewayOptions)
  server.on('request', mount(gateway) as RequestListener)
  running.push({ server, gateway })
  /** The events of tool calls, once there are as many: they are written when the call has ended. */
  const callEvents = async (count: number) => {
    if (calls().length < count) await new Promise<void>((resolve) => waiting.push({ count, resolve }))
    return calls() as McpRequestEvent[]
  }
  return { publicUrl, gateway, callEvents, url: `${publicUrl}/mcp` }
}

const last = (_req: unknown, res: { statusCode: number; end(text: string): unknown }) => {
  res.statusCode = 418
  res.end('the host app')
}

describe.each<[string, (gateway: Gateway) => unknown]>([
  [
    'Express 5',
    (gateway) =>
      express()
        .use(gateway)
        .use(last as never),
  ],
  [
    'Express 4',
    (gateway) =>
      express4()
        .use(gateway)
        .use(last as never),
  ],
  [
    'Connect',
    (gateway) =>
      connect()
        .use(gateway)
        .use(last as never),
  ],
  ['plain http', (gateway) => (req: never, res: never) => gateway(req, res, () => last(req, res))],
])('in %s', (_host, mount) => {
  it('serves its own paths and leaves every other to the host app', async () => {
    const { url, publicUrl } = await start({}, mount)
    const connection = await connectForTest({ url })
    const { status, message } = await connection.call('tools/call', { name: 'echo', arguments: { a: 1 } })
    expect([status, message.result]).toEqual([200, { content: [{ type: 'text', text: '{"a":1}' }] }])
    const reached = runtime.calls.at(-1)
    expect(reached?.headers).toMatchObject({ 'x-emcy-worker-secret': workerSecret, 'x-emcy-subject': 'ann', 'x-emcy-client-id': connection.clientId })
    expect(JSON.stringify(reached?.rawHeaders)).not.toContain(connection.tokens.access_token)
    for (const path of ['/', '/mcp/other', '/.well-known/security.txt', '/authorize/x']) expect((await fetch(publicUrl + path)).status).toBe(418)
  })
})

describe('a bare listener', () => {
  it('answers what is not its own with 404', async () => {
    const { publicUrl, url } = await start()
    const answer = await fetch(`${publicUrl}/elsewhere`)
    expect([answer.status, await answer.text()]).toEqual([404, 'Not found\n'])
    expect((await fetch(url)).status).toBe(401)
  })
})

describe('policy and budgets, end to end', () => {
  it('hides, refuses and counts', async () => {
    const { url, callEvents } = await start({
      policy: { default: 'allow', rules: [{ deny: ['danger'] }, { deny: ['echo'], because: 'Not that.', when: { arguments: { '/a': { eq: 'bad' } } } }] },
      budgets: [{ name: 'calls', limit: 2, per: ['user'], window: 'day' }],
    })
    const connection = await connectForTest({ url })
    const list = await connection.call('tools/list')
    expect((list.message.result as { tools: { name: string }[] }).tools.map(({ name }) => name)).toEqual(['echo'])
    expect((await connection.call('tools/call', { name: 'danger' })).message.error).toMatchObject({ code: -32602, message: 'Unknown tool: danger' })
    expect((await connection.call('tools/call', { name: 'echo', arguments: { a: 'bad' } })).message.result).toMatchObject({
      isError: true,
      content: [{ text: 'Not that.' }],
    })
    const first = await connection.call('tools/call', { name: 'echo' })
    expect(first.headers.get('ratelimit')).toMatch(/^"calls";r=1;t=\d+$/)
    await connection.call('tools/call', { name: 'echo' })
    const spent = await connection.call('tools/call', { name: 'echo' })
    expect(spent.message.result).toMatchObject({
      isError: true,
      content: [{ text: expect.stringContaining('The budget "calls" of this gateway (2 calls per day) is spent') }],
    })
    expect(spent.headers.get('retry-after')).toMatch(/^\d+$/)
    expect((await callEvents(5)).map(({ tool, decision, error }) => [tool, decision, error])).toEqual([
      ['danger', 'hidden', 'tool_unknown'],
      ['echo', 'deny', 'call_denied'],
      ['echo', 'allow', undefined],
      ['echo', 'allow', undefined],
      ['echo', 'allow', 'budget_spent'],
    ])
  })
})

describe('connections', () => {
  it('are listed without secrets and end at once', async () => {
    const { url, gateway, publicUrl } = await start()
    const connection = await connectForTest({ url })
    const other = await connectForTest({ url })
    const subject = `${publicUrl}|ann`
    const list = async (filter: object) => (await gateway.connections.list(filter)).connections
    const [info] = await list({ subject, clientId: connection.clientId })
    expect(info).toEqual({
      connectionId: expect.any(String),
      subject,
      userName: 'Ann',
      clientId: connection.clientId,
      clientName: 'connectForTest',
      clientTrust: 'dynamic',
      server: 'todo',
      scopes: ['read'],
      createdAt: expect.any(Number),
      lastUsedAt: expect.any(Number),
      expiresAt: expect.any(Number),
    })
    const connectionId = info?.connectionId ?? ''
    expect(await list({ connectionId })).toEqual([info])
    expect(await list({ subject })).toHaveLength(2)
    expect(await list({ subject, server: 'other' })).toEqual([])
    expect(await gateway.connections.revoke({ connectionId })).toEqual([expect.objectContaining({ connectionId })])
    expect((await connection.call('tools/list')).status).toBe(401)
    await expect(connection.refresh()).rejects.toThrow(/invalid_grant/)
    expect((await other.call('tools/list')).status).toBe(200)
    expect(await gateway.connections.revoke({ connectionId })).toEqual([])
    expect(await gateway.connections.revoke({ subject })).toHaveLength(1)
    expect((await other.call('tools/list')).status).toBe(401)
  })
  it('are revoked by their client', async () => {
    const connection = await connectForTest({ url: (await start()).url })
    expect((await connection.refresh()).access_token).toBe(connection.tokens.access_token)
    await connection.revoke()
    expect((await connection.call('tools/list')).status).toBe(401)
  })
})

describe('creation', () => {
  const options = (over: object): GatewayOptions =>
    ({
      publicUrl: 'https://mcp.example.com',
      servers: { todo: { path: '/mcp', runtime: 'http://127.0.0.1:1/mcp?key=hidden', workerSecret } },
      log: false,
      ...over,
    }) as GatewayOptions

  it('refuses replicas on a store that is not atomic across processes', () => {
    const store = { ...memoryStore(), name: 'own' }
    expect(() => createGateway(options({ store, replicas: 'many', secrets: ['s'.repeat(32)] }))).toThrow(/^replicas: 'many' needs a store that is atomic/)
  })
  it('names the option that is wrong', () => {
    expect(() => createGateway(options({ store: 'redis:user:secret@host', secrets: ['s'.repeat(32)] }))).toThrow(/^store: (?!.*secret@)/)
    expect(() => createGateway(options({ secrets: ['s'.repeat(32), 's'.repeat(32)] }))).toThrow(/secrets\[1\]/)
  })
  it('says what is mounted where, without the keys in URLs', async () => {
    const gateway = createGateway(options({ downstream: { issuer: 'https://login.example.com', clientId: 'x', scopes: ['a'] } }))
    expect(gateway.describe()).toEqual([
      'todo: https://mcp.example.com/mcp → http://127.0.0.1:1/mcp',
      'users sign in at https://login.example.com, which sends them back to https://mcp.example.com/callback',
      'issuer https://mcp.example.com, connected apps at https://mcp.example.com/account',
      'store: memory',
    ])
    expect(() => gateway.server('tood')).toThrow(/no such server; known: todo/)
    await gateway.close()
    await gateway.close()
  })
  it('writes its warnings and that it started and closed', async () => {
    const events: LogEvent[] = []
    const gateway = createGateway(options({ log: (event: LogEvent) => void events.push(event) }))
    await gateway.close()
    expect(events.map(({ event }) => event)).toEqual(['gateway.warning', 'gateway.warning', 'gateway.warning', 'gateway.started', 'gateway.closed'])
  })
})
