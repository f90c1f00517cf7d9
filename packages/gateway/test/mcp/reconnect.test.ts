import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { saveReconnected } from '../../src/grants/grants.ts'
import type { ServerOptions } from '../../src/options/gateway-options.ts'
import type { Store } from '../../src/store/store.ts'
import { gatewayClient, signIn } from '../grants/given.ts'
import { type Oidc, startOidc } from '../grants/oidc.ts'
import { answerResult, type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { type Connected, call, meta, mirrored, rpc, startWorld, type World, type WorldOptions } from './given.ts'

let oidc: Oidc
let runtime: HttpListener
const worlds: World[] = []
beforeAll(async () => {
  oidc = await startOidc([gatewayClient])
})
afterAll(() => oidc?.close())
beforeEach(async () => {
  runtime = await startHttpListener()
})
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close()
  await runtime.close()
})

const urlMeta = { ...meta, 'io.modelcontextprotocol/clientCapabilities': { elicitation: { url: {} } } }
const ours = 'ai.emcy/reconnect'
const linkPattern = /^https:\/\/mcp\.example\.com\/reconnect\?link=[\w-]{100,400}$/

/** A user whose access token at the provider is over, without a refresh token: the next call finds the grant dead. */
async function withDeadGrant(server: Partial<ServerOptions> = {}, gateway: WorldOptions['gateway'] = {}): Promise<{ world: World; user: Connected }> {
  const world = await startWorld({ runtime: runtime.url, issuer: oidc.issuer, server, gateway, around: watching })
  worlds.push(world)
  const user = await world.connect('ann', { tokens: { accessToken: 'over', expiresIn: 60 } })
  world.time.ahead = 61_000
  return { world, user }
}

/** Reads of connections from now on: a call's token is checked by the first, and one that waits for its user reads it again. */
let onConnectionRead = () => {}
const watching = (store: Store): Store => ({
  ...store,
  get(key) {
    if (key.startsWith('connection:')) onConnectionRead()
    return store.get(key)
  },
})
function connectionRead(count: number): Promise<void> {
  let left = count
  return new Promise((resolve) => {
    onConnectionRead = () => {
      left -= 1
      if (left === 0) resolve()
    }
  })
}

const accepted = (requestState: string) => `"requestState":"${requestState}","inputResponses":{"${ours}":{"action":"accept"}}`

/** Ann signs in again, without the pages. */
async function reconnect(world: World, user: Connected, deadVersion = 1): Promise<string> {
  const downstream = Object.values(world.deps.downstreams)[0] as World['deps']['downstreams'][string]
  const tokens = await signIn(oidc, downstream)
  const identity = { issuer: 'https://login.example.com', sub: 'ann', claims: {} }
  const grant = { ...tokens, identity, provider: 'default', owner: user.connectionId, lifeSeconds: 86_400 }
  expect(await saveReconnected(world.deps, String(user.grantKey), grant, deadVersion)).toBe('reconnected')
  return tokens.accessToken
}

/** A request of 2026-07-28 as bytes that the test chose, down to how a number is written. */
const text = (method: string, params: string, id = 7) =>
  `{"jsonrpc":"2.0","id":${id},"method":"${method}","params":{${params}${params === '' ? '' : ','}"_meta":${JSON.stringify(urlMeta)}}}`
const listTodos = '"name":"list_todos","arguments":{"n":1.0}'
const askTodos = (world: World, user: Connected, more = '') =>
  world.ask(user.token, text('tools/call', `${listTodos}${more === '' ? '' : `,${more}`}`), mirrored('tools/call', 'list_todos'))

describe('EL-1: what a modern client may be asked at', () => {
  it('tools/call, prompts/get and resources/read require input', async () => {
    const { world, user } = await withDeadGrant()
    const asks: [method: string, params: string, name: string][] = [
      ['tools/call', listTodos, 'list_todos'],
      ['prompts/get', '"name":"greet"', 'greet'],
      ['resources/read', '"uri":"todo://1"', 'todo://1'],
    ]
    for (const [method, params, name] of asks) {
      const answer = await world.ask(user.token, text(method, params), mirrored(method, name))
      const request = { method: 'elicitation/create', params: { mode: 'url', url: expect.stringMatching(linkPattern), message: expect.any(String) } }
      expect([answer.status, answer.json.id, answer.json.result.resultType, answer.json.result.inputRequests]).toEqual([
        200,
        7,
        'input_required',
        { [ours]: request },
      ])
    }
    expect(runtime.seen).toEqual([])
  })

  it('JR-7: every other method gets an error with the link in words, and none of the reserved codes', async () => {
    const { world, user } = await withDeadGrant()
    for (const method of ['resources/list', 'prompts/list', 'completion/complete', 'subscriptions/listen']) {
      const answer = await world.ask(user.token, text(method, ''), mirrored(method))
      expect([answer.status, answer.json]).toEqual([
        200,
        {
          jsonrpc: '2.0',
          id: 7,
          error: { code: -31001, message: expect.stringContaining('https://mcp.example.com/reconnect?link='), data: expect.any(Object) },
        },
      ])
      expect(answer.json.error.data).toMatchObject({ error: 'reconnect_required' })
    }
  })

  it('what is never refused goes on without a token; a notification, which says nothing of capabilities, too', async () => {
    const { world, user } = await withDeadGrant()
    for (const method of ['tools/list', 'server/discover']) {
      expect((await world.ask(user.token, text(method, ''), mirrored(method))).json.result).toEqual({ content: [] })
    }
    const notification = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1, _meta: meta } }
    expect((await world.ask(user.token, notification, mirrored('notifications/cancelled'))).status).toBe(202)
    expect(runtime.seen.map(({ req }) => req.headers['x-emcy-access-token'])).toEqual([undefined, undefined, undefined])
    expect((await askTodos(world, user)).json.result.resultType).toBe('input_required')
  })

  it('a runtime that lists nothing without a token: the link in words', async () => {
    const { world, user } = await withDeadGrant()
    runtime.answer = (_req, res) => void res.writeHead(401).end()
    const answer = await world.ask(user.token, text('tools/list', ''), mirrored('tools/list'))
    expect([answer.status, answer.json.error]).toMatchObject([200, { code: -31001, message: expect.stringContaining('/reconnect?link=') }])
  })

  it('a runtime that refuses a fresh token too: the same question, and the grant counts as dead', async () => {
    const { world, user } = await withDeadGrant()
    await askTodos(world, user)
    await reconnect(world, user)
    runtime.answer = (_req, res) => void res.writeHead(401).end()
    expect((await askTodos(world, user)).json.result.resultType).toBe('input_required')
    runtime.answer = answerResult
    expect((await askTodos(world, user)).json.result.resultType).toBe('input_required')
    const fresh = await reconnect(world, user, 3)
    expect((await askTodos(world, user)).json.result).toEqual({ content: [] })
    expect(runtime.seen.at(-1)?.req.headers['x-emcy-access-token']).toBe(fresh)
  })

  it('with HTTP refusals too: whoever declares it is an MCP client', async () => {
    const { world, user } = await withDeadGrant({ refusals: 'http' })
    expect((await askTodos(world, user)).json.result.resultType).toBe('input_required')
  })

  it('is logged as what it is', async () => {
    const { world, user } = await withDeadGrant()
    const written = world.nextEvent()
    await askTodos(world, user)
    const event = await written
    expect(event).toMatchObject({ error: 'reconnect_required', httpStatus: 200, method: 'tools/call' })
    expect(event).not.toHaveProperty('rpcCode')
    expect(JSON.stringify(world.events)).not.toContain('reconnect?link')
  })
})

describe('EL-9 EL-10 EL-11: the retry', () => {
  it('reaches the runtime as it was before we asked, to the digit', async () => {
    const { world, user } = await withDeadGrant()
    const before = '"requestState":"the runtime’s own","inputResponses":{"theirs":{"action":"accept","content":{"big":12345678901234567890}}}'
    const { requestState } = (await askTodos(world, user, before)).json.result
    const fresh = await reconnect(world, user)
    const answer = await askTodos(world, user, `"requestState":"${requestState}","inputResponses":{"${ours}":{"action":"accept"}}`)
    expect(answer.json.result).toEqual({ content: [] })
    expect(runtime.seen).toHaveLength(1)
    const { req, body } = runtime.seen[0] as HttpListener['seen'][number]
    expect(req.headers['x-emcy-access-token']).toBe(fresh)
    expect(body.toString()).toContain('"arguments":{"n":1.0}')
    expect(body.toString()).toContain('"content":{"big":12345678901234567890}')
    expect(req.headers['content-length']).toBe(String(body.length))
    const { _meta, ...params } = JSON.parse(body.toString()).params
    expect(params).toEqual({
      name: 'list_todos',
      arguments: { n: 1 },
      requestState: 'the runtime’s own',
      inputResponses: { theirs: { action: 'accept', content: { big: expect.any(Number) } } },
    })
  })

  it('of a call that had none of these has none of these', async () => {
    const { world, user } = await withDeadGrant()
    const { requestState } = (await askTodos(world, user)).json.result
    await reconnect(world, user)
    await askTodos(world, user, `"requestState":"${requestState}","inputResponses":{"${ours}":{"action":"accept"}}`)
    expect(Object.keys(JSON.parse(runtime.seen[0]?.body.toString() ?? '{}').params)).toEqual(['name', 'arguments', '_meta'])
    // Nor does an answer under our key alone get through, with a state that is not ours left as it is.
    await askTodos(world, user, `"requestState":"theirs","inputResponses":{"${ours}":{"action":"accept"},"b":{}}`)
    const { requestState: kept, inputResponses } = JSON.parse(runtime.seen[1]?.body.toString() ?? '{}').params
    expect([kept, inputResponses]).toEqual(['theirs', { b: {} }])
  })

  it('a call without anything of ours passes byte for byte', async () => {
    const { world, user } = await withDeadGrant()
    await askTodos(world, user)
    await reconnect(world, user)
    const sent = text('tools/call', `${listTodos}, "inputResponses" : {} ,"requestState":"theirs"`)
    await world.ask(user.token, sent, mirrored('tools/call', 'list_todos'))
    expect(runtime.seen[0]?.body.toString()).toBe(sent)
  })

  it('too much of the runtime’s own to keep: the link in words', async () => {
    const { world, user } = await withDeadGrant()
    const answer = await askTodos(world, user, `"requestState":"${'x'.repeat(140_000)}"`)
    expect([answer.status, answer.json.error]).toMatchObject([200, { code: -31001, message: expect.stringContaining('/reconnect?link=') }])
  })

  it('JR-17: declined, it gets a result whose own _meta keys stand under our own prefix', async () => {
    const { world, user } = await withDeadGrant()
    const { requestState } = (await askTodos(world, user)).json.result
    const { result } = (await askTodos(world, user, accepted(requestState).replace('accept', 'decline'))).json
    expect(result).toMatchObject({ resultType: 'complete', isError: true, content: [{ type: 'text' }] })
    const keys = Object.keys(result._meta)
    expect([keys.length, keys.filter((key) => !key.startsWith('ai.emcy/'))]).toEqual([2, []])
  })

  it('waits for its user', async () => {
    const { world, user } = await withDeadGrant()
    const { requestState } = (await askTodos(world, user)).json.result
    const isWaiting = connectionRead(2)
    const waiting = askTodos(world, user, accepted(requestState))
    await isWaiting
    await reconnect(world, user)
    expect((await waiting).json.result).toEqual({ content: [] })
    expect(runtime.seen).toHaveLength(1)
  })

  it('asks again after a while, for the same link; with another once the grant has died anew', async () => {
    const { world, user } = await withDeadGrant()
    const urlOf = (result: { inputRequests: Record<string, { params: { url: string } }> }) => result.inputRequests[ours]?.params.url
    const first = (await askTodos(world, user)).json.result
    const second = (await askTodos(world, user, accepted(first.requestState))).json.result
    expect([second.resultType, urlOf(second)]).toEqual(['input_required', urlOf(first)])
    await reconnect(world, user)
    runtime.answer = (_req, res) => void res.writeHead(401).end()
    const third = (await askTodos(world, user, accepted(second.requestState))).json.result
    expect([third.resultType, urlOf(third)]).toEqual(['input_required', expect.stringMatching(linkPattern)])
    expect(urlOf(third)).not.toBe(urlOf(first))
  }, 60_000)

  it('counts as an open stream while it waits: beyond the bound a call is refused at once', async () => {
    const { world, user } = await withDeadGrant({}, { limits: { streamsPerConnection: 1 } })
    const { requestState } = (await askTodos(world, user)).json.result
    const isWaiting = connectionRead(2)
    const waiting = askTodos(world, user, accepted(requestState))
    await isWaiting
    expect((await askTodos(world, user, accepted(requestState))).json.result).toMatchObject({ isError: true, _meta: { 'ai.emcy/error': 'too_many_streams' } })
    await reconnect(world, user)
    expect((await waiting).json.result).toEqual({ content: [] })
  })

  it('is let go by a client that leaves, and the runtime hears nothing', async () => {
    const { world, user } = await withDeadGrant()
    const { requestState } = (await askTodos(world, user)).json.result
    const isWaiting = connectionRead(2)
    const written = world.nextEvent()
    const leaving = new AbortController()
    const headers = { 'content-type': 'application/json', authorization: `Bearer ${user.token}`, ...mirrored('tools/call', 'list_todos') }
    const body = text('tools/call', `${listTodos},${accepted(requestState)}`)
    const sent = fetch(`http://127.0.0.1:${world.port}/mcp`, { method: 'POST', body, headers, signal: leaving.signal }).catch(() => 'left')
    await isWaiting
    leaving.abort()
    expect(await sent).toBe('left')
    expect(await written).toMatchObject({ clientGone: true })
    await reconnect(world, user)
    expect((await askTodos(world, user)).json.result).toEqual({ content: [] })
    expect(runtime.seen).toHaveLength(1)
  })
})

describe('TR-45: a legacy session remembers what its initialize said', () => {
  const initialize = (capabilities: object) => rpc('initialize', 1, { protocolVersion: '2025-11-25', capabilities })
  const canOpen = { elicitation: { url: {} } }
  const answerWithSession: HttpListener['answer'] = (req, res, body) => {
    res.setHeader('mcp-session-id', 'r.1')
    answerResult(req, res, body)
  }

  it('beside the runtime’s id, which every later answer may repeat; the runtime sees its own', async () => {
    runtime.answer = answerWithSession
    const { world, user } = await withDeadGrant()
    const opened = await world.ask(user.token, initialize(canOpen))
    const session = String(opened.headers['mcp-session-id'])
    expect(session).toMatch(/^r\.1\.url~[\w-]{22}$/)
    const headers = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }
    const listed = await world.ask(user.token, rpc('tools/list', 2), headers)
    expect([listed.status, listed.headers['mcp-session-id']]).toEqual([200, session])
    const asked = await world.ask(user.token, call('list_todos', {}, 3), headers)
    expect([asked.status, asked.json]).toMatchObject([200, { id: 3, error: { code: -32042, data: { elicitations: [{ mode: 'url' }] } } }])
    expect((await world.ask(user.token, undefined, headers, 'GET')).status).toBeLessThan(400)
    expect(runtime.seen.slice(1).map(({ req }) => req.headers['mcp-session-id'])).toEqual(['r.1', 'r.1'])
    // Neither taken off nor put on by hand.
    expect((await world.ask(user.token, call(), { ...headers, 'mcp-session-id': session.replace('url~', '') })).status).toBe(404)
    const bob = await world.connect('bob')
    for (const forged of [session.replace('url~', 'own~'), `${'a'.repeat(24)}.own~${'b'.repeat(22)}`]) {
      // A session of our own is nothing to any runtime: who has none of that name has no session.
      expect((await world.ask(bob.token, call(), { ...headers, 'mcp-session-id': forged })).status).toBe(200)
      expect(runtime.seen.at(-1)?.req.headers).not.toHaveProperty('mcp-session-id')
    }
  })

  it('a session without it, or a call of another revision: the connection ends', async () => {
    runtime.answer = answerWithSession
    for (const [capabilities, revision] of [
      [{ elicitation: {} }, '2025-11-25'],
      [canOpen, '2025-06-18'],
    ] as const) {
      const { world, user } = await withDeadGrant()
      world.time.ahead = 0
      const session = String((await world.ask(user.token, initialize(capabilities))).headers['mcp-session-id'])
      world.time.ahead = 61_000
      const answer = await world.ask(user.token, call(), { 'mcp-session-id': session, 'mcp-protocol-version': revision })
      expect([answer.status, answer.json.error]).toEqual([401, 'invalid_token'])
    }
  })

  it('where the runtime keeps no sessions, in one of our own that it never hears of', async () => {
    const { world, user } = await withDeadGrant()
    const session = String((await world.ask(user.token, initialize(canOpen))).headers['mcp-session-id'])
    expect(session).toMatch(/^[\w-]{24}\.own~[\w-]{22}$/)
    const headers = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-11-25' }
    await world.ask(user.token, rpc('tools/list', 2), headers)
    expect((await world.ask(user.token, call(), headers)).json.error.code).toBe(-32042)
    expect(runtime.seen.map(({ req }) => req.headers['mcp-session-id'])).toEqual([undefined, undefined])
    expect((await world.ask(user.token, undefined, headers, 'DELETE')).status).toBe(405)
    // Somebody else, or the same user with a client that registered anew: no session, and nothing that was declared in it.
    const other = await world.connect('ann', { clientId: 'client-2', tokens: { accessToken: 'good', expiresIn: 3600 } })
    expect((await world.ask(other.token, call(), headers)).json.result).toEqual({ content: [] })
    world.time.ahead = 3_601_000
    expect(
      (await world.ask((await world.connect('ann', { clientId: 'client-3', tokens: { accessToken: 'over', expiresIn: 0 } })).token, call(), headers)).status,
    ).toBe(401)
  })

  it('an initialize that the runtime refuses without a token ends the connection, so that the client authorizes anew', async () => {
    const { world, user } = await withDeadGrant()
    runtime.answer = (_req, res) => void res.writeHead(401).end()
    expect((await world.ask(user.token, initialize(canOpen))).status).toBe(401)
    expect((await world.ask(user.token, call())).status).toBe(401)
  })
})
