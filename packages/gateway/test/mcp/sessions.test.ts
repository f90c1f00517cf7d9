import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { call, mirrored, modern, rpc, startWorld, type World } from './given.ts'

const runtimes: HttpListener[] = []
const worlds: World[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
  for (const runtime of runtimes.splice(0)) await runtime.close()
})

/** A runtime with sessions: `initialize` opens one, everything else needs one that it has opened. */
async function stateful(name: string): Promise<HttpListener> {
  let count = 0
  const known = new Set<string>()
  const runtime = await startHttpListener((req, res, body) => {
    const { id, method } = JSON.parse(body.toString() || '{}') as { id?: unknown; method?: string }
    const given = req.headers['mcp-session-id']
    if (method === 'initialize') {
      const session = `${name}.${++count}~x`
      known.add(session)
      res.setHeader('mcp-session-id', session)
    } else if (typeof given !== 'string' || !known.has(given)) return void res.writeHead(404, { 'content-type': 'text/plain' }).end('session not found')
    res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ jsonrpc: '2.0', id: id ?? null, result: { by: name } }))
  })
  runtimes.push(runtime)
  return runtime
}

async function start(runtime: string | string[]): Promise<World> {
  const world = await startWorld({ runtime })
  worlds.push(world)
  return world
}

let runtime: HttpListener
let world: World
let token: string
let session: string
beforeEach(async () => {
  runtime = await stateful('r')
  world = await start(runtime.url)
  token = (await world.connect()).token
  session = String((await world.ask(token, rpc('initialize', 1, { protocolVersion: '2025-11-25' }))).headers['mcp-session-id'])
})

describe('BC-15 TR-42 TR-43: legacy sessions', () => {
  it('the client sees a bound id, the runtime its own, on POST, GET and DELETE', async () => {
    expect(session).toMatch(/^r\.1~x\.[\w-]{22}$/)
    expect((await world.ask(token, call(), { 'mcp-session-id': session })).json.result).toEqual({ by: 'r' })
    for (const method of ['GET', 'DELETE']) await world.ask(token, undefined, { 'mcp-session-id': session }, method)
    expect(runtime.seen.slice(1).map(({ req }) => [req.method, req.headers['mcp-session-id']])).toEqual([
      ['POST', 'r.1~x'],
      ['GET', 'r.1~x'],
      ['DELETE', 'r.1~x'],
    ])
  })

  it('another user, another client, or an id that was not given out: as if it had ended, and the runtime hears nothing', async () => {
    const bob = await world.connect('bob')
    const otherClient = await world.connect('ann', { clientId: 'client-2' })
    const before = runtime.seen.length
    const asks: [string, string][] = [
      [bob.token, session],
      [otherClient.token, session],
      [token, 'r.1~x'],
      [token, `r.2~x.${session.split('.').at(-1)}`],
      [token, session.slice(0, -1)],
      [token, `${session}, ${session}`],
      [token, ''],
    ]
    for (const [who, id] of asks) {
      for (const [method, body] of [
        ['POST', call()],
        ['GET', undefined],
        ['DELETE', undefined],
      ] as const) {
        const answer = await world.ask(who, body, { 'mcp-session-id': id }, method)
        expect([id, method, answer.status, answer.json.error.data.error]).toEqual([id, method, 404, 'session_ended'])
      }
    }
    expect(runtime.seen).toHaveLength(before)
  })

  it('the same user signed in again, on another replica, goes on', async () => {
    const replica = await start(runtime.url)
    const again = await replica.connect('ann')
    expect((await replica.ask(again.token, call(), { 'mcp-session-id': session })).json.result).toEqual({ by: 'r' })
  })

  it('one that the runtime has lost is 404 with JSON, even if the runtime says so in plain text', async () => {
    await world.ask(token, rpc('initialize', 1, { protocolVersion: '2025-11-25' }))
    runtime.answer = (_req, res) => void res.writeHead(404, { 'content-type': 'text/plain' }).end('session not found')
    const answer = await world.ask(token, call(), { 'mcp-session-id': session })
    expect([answer.status, answer.json]).toMatchObject([404, { id: 7, error: { code: -32600, data: { error: 'session_ended' } } }])
  })

  it('without an id the runtime decides', async () => {
    runtime.answer = (_req, res) =>
      void res.writeHead(400, { 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"id needed"}}')
    expect((await world.ask(token, call())).status).toBe(400)
  })

  it('of several runtimes a session stays with the one that opened it', async () => {
    const [a, b] = [await stateful('a'), await stateful('b')]
    const both = await start([a.url, b.url])
    const { token: one } = await both.connect()
    const opened = new Map<string, string>()
    for (let turn = 0; turn < 4; turn++) {
      const answer = await both.ask(one, rpc('initialize', 1, { protocolVersion: '2025-11-25' }))
      opened.set(String(answer.headers['mcp-session-id']), answer.json.result.by)
    }
    expect(new Set(opened.values())).toEqual(new Set(['a', 'b']))
    for (let turn = 0; turn < 3; turn++) {
      for (const [id, by] of opened) expect((await both.ask(one, call(), { 'mcp-session-id': id })).json.result).toEqual({ by })
    }
    const fewer = await start([a.url, runtime.url])
    const { token: other } = await fewer.connect()
    for (const [id, by] of opened) expect((await fewer.ask(other, call(), { 'mcp-session-id': id })).status).toBe(by === 'a' ? 200 : 404)
  })
})

describe('TR-44: modern requests have no session', () => {
  it('the header is removed in both directions', async () => {
    runtime.answer = (_req, res) =>
      void res.writeHead(200, { 'content-type': 'application/json', 'mcp-session-id': 'x' }).end('{"jsonrpc":"2.0","id":7,"result":{"resultType":"complete"}}')
    for (const id of [session, 'anything']) {
      const answer = await world.ask(token, modern('tools/list'), { ...mirrored('tools/list'), 'mcp-session-id': id })
      expect([answer.status, 'mcp-session-id' in answer.headers]).toEqual([200, false])
      expect(runtime.seen.at(-1)?.req.headers).not.toHaveProperty('mcp-session-id')
    }
  })
})
