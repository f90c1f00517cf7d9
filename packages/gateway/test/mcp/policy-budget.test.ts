import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { readRefusedScopes } from '../../src/clients/step-up.ts'
import type { ServerOptions } from '../../src/options/gateway-options.ts'
import { answerResult, type HttpListener, reading, startHttpListener } from '../runtime/http-listener.ts'
import { call, mirrored, modern, publicUrl, rpc, startWorld, type World } from './given.ts'

let runtime: HttpListener
const worlds: World[] = []
beforeEach(async () => {
  runtime = await startHttpListener()
})
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
  await runtime.close()
})

async function start(server: Partial<ServerOptions>): Promise<{ world: World; token: string }> {
  const world = await startWorld({ runtime: runtime.url, server })
  worlds.push(world)
  return { world, token: (await world.connect()).token }
}

const answerWith = (result: object, as: 'json' | 'sse' = 'json', more = ''): HttpListener['answer'] => {
  return (_req, res, body) => {
    const message = JSON.stringify({ jsonrpc: '2.0', id: (JSON.parse(body.toString() || '{}') as { id?: unknown }).id ?? 1, result })
    res.writeHead(200, { 'content-type': as === 'json' ? 'application/json' : 'text/event-stream' })
    res.end(as === 'json' ? message : `${more}event: message\nid: 3\ndata: ${message}\n\n`)
  }
}

const rules = {
  default: 'allow' as const,
  rules: [{ deny: ['delete_*'] }, { deny: ['close'], when: { arguments: { '/id': { lt: 10 } } }, because: 'the first ten are kept' }],
}

describe('JR-3 JR-4 JR-6 JR-14: policies', () => {
  it('JR-3: a tool that this caller may never call does not exist, in either era', async () => {
    const { world, token } = await start({ policy: rules })
    const legacy = await world.ask(token, call('delete_all'))
    expect([legacy.status, legacy.json]).toMatchObject([200, { id: 7, error: { code: -32602, message: 'Unknown tool: delete_all' } }])
    const inModern = await world.ask(token, modern('tools/call', { name: 'delete_all' }), mirrored('tools/call', 'delete_all'))
    expect([inModern.status, inModern.json.error.code]).toEqual([200, -32602])
    expect(runtime.seen).toHaveLength(0)
  })

  it('JR-6 JR-14: a call refused by a rule is a result with the reason', async () => {
    const { world, token } = await start({ policy: rules })
    const refused = await world.ask(token, call('close', { id: 3 }))
    expect(refused.status).toBe(200)
    expect(refused.json).toMatchObject({ jsonrpc: '2.0', id: 7, result: { isError: true, content: [{ type: 'text', text: 'the first ten are kept' }] } })
    expect(refused.json.result).not.toHaveProperty('resultType')
    const inModern = await world.ask(token, modern('tools/call', { name: 'close', arguments: { id: 3 } }), mirrored('tools/call', 'close'))
    expect(inModern.json).toMatchObject({ id: 7, result: { isError: true, resultType: 'complete' } })
    expect((await world.ask(token, call('close', { id: 30 }))).json.result).toEqual({ content: [] })
    expect(world.events.filter(({ event }) => event === 'mcp.request')).toMatchObject([
      { decision: 'deny', rule: expect.any(String), error: 'call_denied', tool: 'close', httpStatus: 200 },
      { decision: 'deny', revision: '2026-07-28' },
      { decision: 'allow' },
    ])
  })

  it('JR-4: other methods get -31001, and those that are never refused are not', async () => {
    const { world, token } = await start({ policy: { default: 'deny', rules: [], methods: { allow: [] } } })
    const refused = await world.ask(token, rpc('resources/read', 'r', { uri: 'x' }))
    expect([refused.status, refused.json]).toMatchObject([200, { id: 'r', error: { code: -31001, data: { error: 'call_denied' } } }])
    for (const method of ['initialize', 'ping', 'server/discover', 'tools/list']) expect((await world.ask(token, rpc(method))).json.result).toBeDefined()
    expect((await world.ask(token, { jsonrpc: '2.0', method: 'notifications/initialized' })).status).toBe(202)
  })

  it("refusals: 'http' gives the statuses and JSON-RPC errors with the id", async () => {
    const { world, token } = await start({ policy: rules, refusals: 'http', budgets: [{ name: 'one', limit: 1, per: ['user'], window: 'day' }] })
    const denied = await world.ask(token, call('close', { id: 3 }))
    expect([denied.status, denied.json]).toMatchObject([403, { id: 7, error: { code: -31001, message: 'the first ten are kept' } }])
    expect((await world.ask(token, call('delete_all'))).status).toBe(200)
    await world.ask(token, call('list'))
    const spent = await world.ask(token, call('list'))
    expect([spent.status, spent.json.error.code]).toEqual([429, -31002])
  })

  it('BC-9 BC-10 BC-11 BC-14: too few scopes: 403 that names all, and they are remembered', async () => {
    const { world } = await start({ policy: { default: 'allow', rules: [{ tools: ['add'], requireScopes: ['todos.write'] }] } })
    const { token } = await world.connect('ann', { scopes: ['todos.read'] })
    const answer = await world.ask(token, call('add'))
    expect(answer.status).toBe(403)
    const challenge = String(answer.headers['www-authenticate'])
    expect(challenge).toMatch(/^Bearer resource_metadata="[^"]*", scope="todos.read todos.write", error="insufficient_scope", error_description="[^"\\]*"$/)
    expect(challenge).toContain(`${publicUrl}/.well-known/oauth-protected-resource/mcp`)
    expect(answer.json).toMatchObject({
      jsonrpc: '2.0',
      id: 7,
      error: { message: expect.stringContaining('todos.read todos.write'), data: { scope: 'todos.read todos.write' } },
    })
    const remembered = await readRefusedScopes(world.deps, { subject: 'https://login.example.com|ann', clientId: 'client-1', serverId: 'todo' })
    expect(remembered).toEqual(['todos.read', 'todos.write'])
    expect(runtime.seen).toHaveLength(0)
  })

  it('BC-9: a 403 of the runtime that names scopes becomes our own', async () => {
    const { world } = await start({})
    const { token } = await world.connect('ann', { scopes: ['todos.read'] })
    runtime.answer = (_req, res) =>
      void res
        .writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="todos.write secret.inside", resource_metadata="http://10.0.0.1/x"' })
        .end('no')
    const answer = await world.ask(token, call('add'))
    expect(answer.status).toBe(403)
    expect(answer.headers['www-authenticate']).toContain('scope="todos.read todos.write"')
    expect(answer.headers['www-authenticate']).not.toContain('10.0.0.1')
    expect(answer.json).toMatchObject({ id: 7, error: { data: { error: 'insufficient_scope' } } })
  })

  it('a 403 that no scope of this server would mend is an answer like any other', async () => {
    const { world, token } = await start({})
    runtime.answer = (_req, res) =>
      void res
        .writeHead(403, { 'www-authenticate': 'Bearer error="insufficient_scope", scope="todos.read"', 'content-type': 'application/json' })
        .end('{"jsonrpc":"2.0","id":7,"error":{"code":-5,"message":"not you"}}')
    const answer = await world.ask(token, call('add'))
    expect([answer.status, answer.json.error.code, 'www-authenticate' in answer.headers]).toEqual([403, -5, false])
  })

  it('TR-6: one refused member refuses a batch whole: an error for each request, nothing forwarded, nothing spent', async () => {
    const { world, token } = await start({ policy: rules, budgets: [{ name: 'two', limit: 2, per: ['user'], window: 'day' }] })
    const batch = [call('list', {}, 1), { jsonrpc: '2.0', method: 'notifications/progress' }, call('close', { id: 1 }, 2), rpc('ping', 3)]
    const answer = await world.ask(token, batch)
    expect([answer.status, answer.json]).toMatchObject([
      200,
      [
        { id: 1, result: { isError: true } },
        { id: 2, result: { isError: true } },
        { id: 3, error: { code: -31001 } },
      ],
    ])
    expect(answer.json).toHaveLength(3)
    expect(runtime.seen).toHaveLength(0)
    for (let turn = 0; turn < 2; turn++) expect((await world.ask(token, call('list'))).json.result.isError).toBeUndefined()
  })
})

describe('JR-8 JR-9 JR-10 JR-11: lists', () => {
  const tool = (name: string, more: object = {}) => ({ name, inputSchema: { type: 'object' }, ...more })
  const list = { tools: [tool('zeta'), tool('delete_all'), tool('alpha'), tool('close')], nextCursor: '' }

  for (const as of ['json', 'sse'] as const) {
    it(`JR-8 JR-9: what may never be called is missing from ${as}, order and cursor stay`, async () => {
      const { world, token } = await start({ policy: rules })
      runtime.answer = answerWith(list, as)
      const answer = await world.ask(token, rpc('tools/list'))
      const message = as === 'json' ? answer.json : JSON.parse(/^data: (.*)$/m.exec(answer.text)?.[1] ?? '')
      expect(message).toEqual({ jsonrpc: '2.0', id: 7, result: { tools: [tool('zeta'), tool('alpha'), tool('close')], nextCursor: '' } })
      if (as === 'sse') expect(answer.text).toMatch(/^event: message\nid: 3\ndata: \{/)
    })

    it(`JR-11: in 2026-07-28 a filtered list of ${as} is private, on every page alike`, async () => {
      const { world, token } = await start({ policy: rules })
      for (const tools of [list.tools, [tool('zeta')]]) {
        runtime.answer = answerWith({ tools, resultType: 'complete', ttlMs: 5, cacheScope: 'public' }, as)
        const answer = await world.ask(token, modern('tools/list'), mirrored('tools/list'))
        expect(answer.text).toContain('"cacheScope":"private"')
        expect(answer.text).not.toContain('delete_all')
      }
    })
  }

  it('numbers keep their digits', async () => {
    const { world, token } = await start({ policy: rules })
    runtime.answer = (_req, res) =>
      void res
        .writeHead(200, { 'content-type': 'application/json' })
        .end('{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"delete_x"},{"name":"a","inputSchema":{"maximum":9007199254740993,"minimum":1.0}}]}}')
    expect((await world.ask(token, rpc('tools/list'))).text).toBe(
      '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","inputSchema":{"maximum":9007199254740993,"minimum":1.0}}]}}',
    )
  })

  it('a replayed list on a GET stream is filtered too, and so is one in a batch', async () => {
    const { world, token } = await start({ policy: rules })
    runtime.answer = answerWith(list, 'sse', ': hello\n\n')
    const replayed = await world.ask(token, undefined, { accept: 'text/event-stream', 'last-event-id': '2' }, 'GET')
    expect(replayed.text).toMatch(/^: hello\n\n/)
    expect(replayed.text).toContain('alpha')
    expect(replayed.text).not.toContain('delete_all')
    const answers = JSON.stringify([
      { jsonrpc: '2.0', id: 1, result: list },
      { jsonrpc: '2.0', id: 2, result: {} },
    ])
    for (const type of ['application/json', 'text/event-stream']) {
      runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': type }).end(type === 'application/json' ? answers : `data: ${answers}\n\n`)
      const batch = await world.ask(token, [rpc('tools/list', 1), rpc('ping', 2)])
      expect(batch.text).toContain('"name":"alpha"')
      expect(batch.text).not.toContain('delete_all')
    }
  })

  it('what cannot be read cannot be filtered, so it is not passed', async () => {
    const { world, token } = await start({ policy: rules })
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/event-stream', 'content-encoding': 'gzip' }).end('x')
    expect((await world.ask(token, rpc('tools/list'))).json).toMatchObject({ id: 7, error: { code: -31004 } })
  })

  it('without a policy a list passes byte for byte', async () => {
    const { world, token } = await start({})
    const odd = '{ "jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"delete_x", "n":1.0}],"cacheScope":"public"} }'
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'application/json' }).end(odd)
    expect((await world.ask(token, rpc('tools/list'))).text).toBe(odd)
  })

  it('JR-21: rules on annotations know them from the last list', async () => {
    const { world, token } = await start({ policy: { default: 'allow', rules: [{ deny: ['*'], when: { annotations: { readOnlyHint: false } } }] } })
    runtime.answer = answerWith({ tools: [tool('reads', { annotations: { readOnlyHint: true } }), tool('writes', { annotations: { readOnlyHint: false } })] })
    expect((await world.ask(token, rpc('tools/list'))).json.result.tools.map(({ name }: { name: string }) => name)).toEqual(['reads'])
    runtime.answer = answerResult
    expect((await world.ask(token, call('reads'))).json.result).toEqual({ content: [] })
    expect((await world.ask(token, call('writes'))).json.error.code).toBe(-32602)
  })
})

describe('JR-4 JR-5 JR-6: budgets', () => {
  const budgets = [{ name: 'calls', limit: 2, per: ['user' as const], window: 'day' as const }]

  it('a spent budget says which, with Retry-After and RateLimit, and lists go on', async () => {
    const { world, token } = await start({ budgets })
    const granted = await world.ask(token, call())
    expect(granted.headers.ratelimit).toMatch(/"calls";r=1/)
    await world.ask(token, call())
    const spent = await world.ask(token, call())
    expect([spent.status, spent.json]).toMatchObject([
      200,
      { id: 7, result: { isError: true, content: [{ type: 'text', text: expect.stringContaining('"calls"') }] } },
    ])
    expect([Number(spent.headers['retry-after']) > 0, spent.headers.ratelimit]).toMatchObject([true, expect.stringMatching(/"calls";r=0/)])
    for (const method of ['tools/list', 'ping', 'initialize']) expect((await world.ask(token, rpc(method))).json.result).toBeDefined()
    expect(runtime.seen).toHaveLength(5)
    const event = world.events.findLast(({ event, ...rest }) => event === 'mcp.request' && 'error' in rest)
    expect(event).toMatchObject({ error: 'budget_spent', budgets: [{ name: 'calls', refused: true }], httpStatus: 200 })
  })

  it('other methods get -31002', async () => {
    const { world, token } = await start({ budgets: [{ name: 'reads', limit: 0, per: ['user'], window: 'day', methods: ['resources/*'] }] })
    const spent = await world.ask(token, rpc('resources/read', 5, { uri: 'x' }))
    expect([spent.status, spent.json]).toMatchObject([200, { id: 5, error: { code: -31002 } }])
  })

  it('a call that never reached the runtime is given back; one that did is not', async () => {
    const { world, token } = await start({ budgets })
    await runtime.close()
    for (let turn = 0; turn < 3; turn++) {
      const ended = world.nextEvent()
      expect((await world.ask(token, call())).json.error.code).toBe(-31004)
      await ended
    }
    await runtime.reopen()
    runtime.answer = (req) => req.socket.destroy()
    for (let turn = 0; turn < 2; turn++) expect((await world.ask(token, call())).json.error.code).toBe(-31004)
    expect((await world.ask(token, call())).json.result.isError).toBe(true)
  })

  it('TR-6: a batch is charged for each member, all or nothing', async () => {
    const { world, token } = await start({ budgets })
    runtime.answer = (_req, res, body) => {
      const ids = [JSON.parse(body.toString())].flat().map(({ id }: { id: number }) => id)
      res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(ids.map((id) => ({ jsonrpc: '2.0', id, result: {} }))))
    }
    const three = await world.ask(token, [call('a', {}, 1), call('b', {}, 2), call('c', {}, 3)])
    expect(three.json).toMatchObject([
      { id: 1, result: { isError: true } },
      { id: 2, result: { isError: true } },
      { id: 3, result: { isError: true } },
    ])
    const two = await world.ask(token, [call('a', {}, 1), call('b', {}, 2)])
    expect(two.json).toEqual([
      { jsonrpc: '2.0', id: 1, result: {} },
      { jsonrpc: '2.0', id: 2, result: {} },
    ])
  })
})

describe('limits.streamsPerConnection', () => {
  it('bounds the open streams of a connection; methods that are never refused go on, and a closed stream makes room', async () => {
    const world = await startWorld({ runtime: runtime.url, gateway: { limits: { streamsPerConnection: 2 } } })
    worlds.push(world)
    const { token } = await world.connect()
    const ends: (() => void)[] = []
    runtime.answer = (req, res, body) => {
      if (req.method !== 'GET') return answerResult(req, res, body)
      res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
      ends.push(() => res.end())
    }
    const streams = [await world.open(token, undefined, {}, 'GET'), await world.open(token, undefined, {}, 'GET')]
    const refused = await world.ask(token, call())
    expect([refused.status, refused.json]).toMatchObject([200, { id: 7, result: { isError: true } }])
    const third = await world.ask(token, undefined, {}, 'GET')
    expect([third.status, Number(third.headers['retry-after']) > 0, third.json.error.code]).toEqual([429, true, -31002])
    expect((await world.ask(token, rpc('ping'))).json.result).toBeDefined()
    expect((await world.ask((await world.connect('bob')).token, call())).json.result.isError).toBeUndefined()
    const ended = world.nextEvent()
    ends[0]?.()
    await reading((streams[0] as (typeof streams)[number]).response).end()
    await ended
    expect((await world.ask(token, call())).json.result.isError).toBeUndefined()
    for (const { leave } of streams) leave()
  })

  it('lets no more in of many calls that come at once, as each may be answered by a stream, and makes room when they are answered', async () => {
    const world = await startWorld({ runtime: runtime.url, gateway: { limits: { streamsPerConnection: 2 } } })
    worlds.push(world)
    const { token } = await world.connect()
    const answers: (() => void)[] = []
    const arrived = new Promise<void>((bothAreThere) => {
      runtime.answer = (req, res, body) => {
        if (answers.push(() => answerResult(req, res, body)) === 2) bothAreThere()
      }
    })
    const early: unknown[] = []
    let asked: ReturnType<typeof world.ask>[] = []
    const refused = new Promise<void>((threeAre) => {
      asked = Array.from({ length: 5 }, async () => {
        const answer = await world.ask(token, call())
        if (early.push(answer.json.result.isError) === 3) threeAre()
        return answer
      })
    })
    await Promise.all([arrived, refused])
    expect(early).toEqual([true, true, true])
    expect(answers).toHaveLength(2)
    for (const answer of answers) answer()
    expect((await Promise.all(asked)).filter(({ json }) => json.result.isError === undefined)).toHaveLength(2)
    runtime.answer = answerResult
    expect((await world.ask(token, call())).json.result.isError).toBeUndefined()
  })
})
