import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { clockSkewMs } from '../../src/lib/clock-skew.ts'
import type { Store } from '../../src/store/store.ts'
import { answerResult, type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { call, publicUrl, rpc, startWorld, type World } from './given.ts'

let runtime: HttpListener
let world: World
let token: string
/** What was asked of the store, each with the tick in which it was asked. */
const asked: { what: string; tick: number }[] = []
let tick = 0

const watching = (store: Store): Store => {
  const note = (what: string) => {
    asked.push({ what, tick })
    queueMicrotask(() => tick++)
  }
  return {
    ...store,
    get(key) {
      note(`get ${key.split(':')[0]}`)
      return store.get(key)
    },
    spend(...args) {
      note('spend')
      return store.spend(...args)
    },
    compareAndSet(key, ...args) {
      note(`set ${key.split(':')[0]}`)
      return store.compareAndSet(key, ...args)
    },
  }
}

beforeAll(async () => {
  runtime = await startHttpListener()
  world = await startWorld({
    runtime: runtime.url,
    around: watching,
    server: {
      origins: ['https://app.example'],
      budgets: [
        { name: 'a', limit: 1000, per: ['user'], window: 'day' },
        { name: 'b', limit: 1000, per: ['tool'], window: 'day' },
      ],
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

const metadata = `resource_metadata="${publicUrl}/.well-known/oauth-protected-resource/mcp"`

describe('BC-1 BC-2 BC-6 BC-7 BC-8 BC-14: who calls', () => {
  it('BC-7 BC-8: without a token 401, a challenge with metadata and scopes, and no error code', async () => {
    const answer = await world.ask(undefined, call())
    expect(answer.status).toBe(401)
    expect(answer.headers['www-authenticate']).toBe(`Bearer ${metadata}, scope="todos.read todos.write"`)
    expect(answer.json).toEqual({ error: 'unauthorized', error_description: 'This MCP server needs an access token.' })
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  it('BC-1: a token in the query is none', async () => {
    const answer = await world.ask(undefined, call(), {}, 'POST', `/mcp?access_token=${token}`)
    expect([answer.status, answer.headers['www-authenticate']]).toEqual([401, `Bearer ${metadata}, scope="todos.read todos.write"`])
  })

  it('another scheme is no bearer token, and the scheme has no case', async () => {
    expect((await world.ask(undefined, call(), { authorization: 'Basic YTpi' })).headers['www-authenticate']).not.toContain('error')
    expect((await world.ask(undefined, call(), { authorization: `bEARER  ${token}` })).status).toBe(200)
  })

  it('BC-6 BC-7: a token that is unknown, malformed, of another kind or of another server is invalid_token', async () => {
    const other = await world.connect('ann', { server: 'other', scopes: ['todos.read'] })
    const { refreshToken } = await world.connect('ann')
    for (const bad of ['nonsense', `${token}x`, `${token} ${token}`, '', token.slice(0, -1), other.token, refreshToken]) {
      const answer = await world.ask(bad, call())
      expect([bad, answer.status]).toEqual([bad, 401])
      expect(answer.headers['www-authenticate']).toContain(`${metadata}, scope="todos.read todos.write", error="invalid_token"`)
      expect(answer.json).toMatchObject({ error: 'invalid_token' })
    }
    expect(runtime.seen).toHaveLength(0)
  })

  it('BC-2: an expired one too', async () => {
    world.time.ahead = 3_600_000 + clockSkewMs
    const answer = await world.ask(token, call())
    world.time.ahead = 0
    expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token'])
  })

  it('BC-2: comes before method, body, Accept, Origin, session and version', async () => {
    const asks: [string, unknown, Record<string, string>][] = [
      ['GET', undefined, { accept: '*/*' }],
      ['DELETE', undefined, {}],
      ['PUT', 'x', {}],
      ['HEAD', undefined, {}],
      ['OPTIONS', undefined, {}],
      ['POST', '{', { 'content-type': 'text/plain', 'content-encoding': 'gzip' }],
      ['POST', call(), { 'mcp-protocol-version': 'nonsense, nonsense', 'mcp-method': 'x' }],
      ['POST', call(), { 'mcp-session-id': 'x', origin: 'https://evil.example' }],
    ]
    for (const [method, body, headers] of asks) {
      const answer = await world.ask(undefined, body, headers, method)
      expect([method, answer.status, answer.headers['www-authenticate']?.includes(metadata)]).toEqual([method, 401, true])
    }
  })
})

describe('TR-8 PR-14: browsers', () => {
  const preflight = (origin: string) => ({
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,mcp-protocol-version,mcp-param-region',
  })

  it('a preflight needs no credentials, for origins that may', async () => {
    for (const origin of ['https://app.example', publicUrl]) {
      const answer = await world.ask(undefined, undefined, preflight(origin), 'OPTIONS')
      expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([204, origin])
      for (const name of [
        'authorization',
        'content-type',
        'mcp-protocol-version',
        'mcp-session-id',
        'mcp-method',
        'mcp-name',
        'last-event-id',
        'mcp-param-region',
      ]) {
        expect(String(answer.headers['access-control-allow-headers']).split(', ')).toContain(name)
      }
    }
    expect((await world.ask(undefined, undefined, preflight('https://evil.example'), 'OPTIONS')).headers).not.toHaveProperty('access-control-allow-origin')
  })

  it('a 401 can be read by the page, and so can its challenge', async () => {
    const answer = await world.ask(undefined, call(), { origin: 'https://app.example' })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([401, 'https://app.example'])
    expect(answer.headers['access-control-expose-headers']).toMatch(/WWW-Authenticate, Mcp-Session-Id/)
  })

  it('TR-8: an Origin that may not: 403 with a JSON-RPC error without id, and nothing goes on', async () => {
    for (const origin of ['https://evil.example', 'null', 'http://mcp.example.com', `${publicUrl}.evil.example`]) {
      const answer = await world.ask(token, call(), { origin })
      expect([origin, answer.status]).toEqual([origin, 403])
      expect(answer.json).toMatchObject({ jsonrpc: '2.0', error: { code: -31001, data: { error: 'origin_forbidden' } } })
      expect(answer.json).not.toHaveProperty('id')
    }
    expect(runtime.seen).toHaveLength(0)
    for (const origin of ['https://app.example', publicUrl]) expect((await world.ask(token, call(), { origin })).status).toBe(200)
  })

  it("'*' is an explicit choice", async () => {
    const open = await startWorld({ runtime: runtime.url, change: { origins: ['*'] } })
    const { token: other } = await open.connect()
    const answer = await open.ask(other, call(), { origin: 'https://anyone.example' })
    expect([answer.status, answer.headers['access-control-allow-origin']]).toEqual([200, '*'])
    await open.close()
  })
})

describe('design, architecture: what a call costs', () => {
  it('one round trip for connection and grant together, one spend a budget, nothing else', async () => {
    await world.ask(token, call())
    asked.length = 0
    expect((await world.ask(token, call())).status).toBe(200)
    expect(asked.map(({ what }) => what)).toEqual(['get grant', 'get connection', 'spend', 'spend'])
    expect(asked[1]?.tick).toBe(asked[0]?.tick)
  })

  it('nothing is asked for a token that we did not issue', async () => {
    asked.length = 0
    await world.ask(`${token.slice(0, -3)}AAA`, call())
    expect(asked).toEqual([])
  })
})

describe('design, refusals: the store is down', () => {
  it('a token of ours is never 401: -31003 with the id at 200, or 503 where no id is', async () => {
    const down = await startWorld({ runtime: runtime.url })
    const { token: good } = await down.connect()
    await down.deps.store.close()
    const answer = await down.ask(good, call('x', {}, 'abc'))
    expect([answer.status, answer.json, Number(answer.headers['retry-after']) > 0]).toMatchObject([
      200,
      { id: 'abc', error: { code: -31003, data: { error: 'store_unavailable' } } },
      true,
    ])
    expect(answer.headers).not.toHaveProperty('www-authenticate')
    const batch = await down.ask(good, [call('x', {}, 1), rpc('ping', 2)])
    expect(batch.json).toMatchObject([
      { id: 1, error: { code: -31003 } },
      { id: 2, error: { code: -31003 } },
    ])
    const asks: [string, unknown][] = [
      ['GET', undefined],
      ['DELETE', undefined],
      ['POST', { jsonrpc: '2.0', method: 'notifications/initialized' }],
      ['POST', '{'],
    ]
    for (const [method, body] of asks) {
      const plain = await down.ask(good, body, {}, method)
      expect([method, plain.status, plain.json.error.code, 'id' in plain.json]).toEqual([method, 503, -31003, false])
      expect(Number(plain.headers['retry-after'])).toBeGreaterThan(0)
    }
    expect((await down.ask(`${good}x`, call())).status).toBe(401)
    expect((await down.ask(undefined, call())).status).toBe(401)
    expect(runtime.seen).toHaveLength(0)
    await down.close()
  })

  it("refusals: 'http' says 503 with the id", async () => {
    const down = await startWorld({ runtime: runtime.url, server: { refusals: 'http' } })
    const { token: good } = await down.connect()
    await down.deps.store.close()
    const answer = await down.ask(good, call())
    expect([answer.status, answer.json.id, answer.json.error.code]).toEqual([503, 7, -31003])
    await down.close()
  })
})
