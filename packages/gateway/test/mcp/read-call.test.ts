import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { decodeMirrored } from '../../src/mcp/mirrored-headers.ts'
import { answerResult, type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { call, meta, mirrored, modern, rpc, startWorld, type World } from './given.ts'

let runtime: HttpListener
let world: World
let token: string
beforeAll(async () => {
  runtime = await startHttpListener()
  world = await startWorld({ runtime: runtime.url, gateway: { limits: { bodyBytes: 100_000, jsonDepth: 16, bodySeconds: 1 } } })
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

describe('TR-5 RFC 7493: bodies', () => {
  it('reach the runtime byte for byte', async () => {
    const odd = Buffer.from(
      '\n{ "jsonrpc":"2.0" ,\t"id": "a\\u0062", "method":"tools/call","params":{"name":"x","arguments":{"big":9007199254740993,"one":1.0,"s":"\\/é"}} }\n',
    )
    expect((await world.ask(token, odd)).status).toBe(200)
    expect(runtime.seen[0]?.body.equals(odd)).toBe(true)
  })

  it.each<[string, string | Buffer, Record<string, string>, number, number]>([
    ['not JSON', '{', {}, 400, -32700],
    ['nothing', '', {}, 400, -32700],
    ['not UTF-8', Buffer.from([0x22, 0xff, 0x22]), {}, 400, -32700],
    ['a member twice', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"name":"a","n\\u0061me":"b"}}', {}, 400, -32600],
    ['too deep', `{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":${'['.repeat(20)}${']'.repeat(20)}}}`, {}, 400, -32600],
    ['another media type', JSON.stringify(call()), { 'content-type': 'text/plain' }, 415, -32600],
    ['no media type', JSON.stringify(call()), { 'content-type': '' }, 415, -32600],
    ['an encoding', JSON.stringify(call()), { 'content-encoding': 'gzip' }, 415, -32600],
    ['no object', '"x"', {}, 400, -32600],
    ['no jsonrpc', '{"id":1,"method":"ping"}', {}, 400, -32600],
    ['id null', '{"jsonrpc":"2.0","id":null,"method":"ping"}', {}, 400, -32600],
    ['id a fraction', '{"jsonrpc":"2.0","id":1.5,"method":"ping"}', {}, 400, -32600],
    ['id too large to be given back', '{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}', {}, 400, -32600],
    ['id an object', '{"jsonrpc":"2.0","id":{},"method":"ping"}', {}, 400, -32600],
    ['method no string', '{"jsonrpc":"2.0","id":1,"method":5}', {}, 400, -32600],
    ['params a list', '{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', {}, 400, -32600],
    ['neither result nor error', '{"jsonrpc":"2.0","id":1}', {}, 400, -32600],
    ['both result and error', '{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}', {}, 400, -32600],
  ])('TR-46 JR-5: %s', async (_why, body, headers, status, code) => {
    const answer = await world.ask(token, body, headers)
    expect([answer.status, answer.json.error.code]).toEqual([status, code])
    expect(runtime.seen).toHaveLength(0)
  })

  it.each([['application/json; charset=utf-8'], ['APPLICATION/JSON'], ['application/json;charset="UTF-8"']])('%s is JSON', async (type) => {
    expect((await world.ask(token, call(), { 'content-type': type })).status).toBe(200)
  })

  it('too large with the id first, or last as the TypeScript SDKs write it: 200, -32600 and the id; otherwise 413', async () => {
    const text = 'x'.repeat(300_000)
    const first = await world.ask(token, `{"jsonrpc":"2.0","id":"first","method":"tools/call","params":{"name":"x","arguments":{"t":"${text}"}}}`)
    expect([first.status, first.json]).toMatchObject([200, { id: 'first', error: { code: -32600, data: { error: 'body_too_large' } } }])
    const last = await world.ask(token, `{"method":"tools/call","params":{"name":"x","arguments":{"id":1,"t":"${text}"}},"jsonrpc":"2.0","id":42}`)
    expect([last.status, last.json]).toMatchObject([200, { id: 42, error: { code: -32600 } }])
    const none = await world.ask(token, `{"method":"tools/call","params":{"id":5,"t":"${text}"}}`)
    expect([none.status, none.json.error.code, 'id' in none.json]).toEqual([413, -32600, false])
    expect(runtime.seen).toHaveLength(0)
  })

  it('a body that does not come to its end is given up', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = connect(world.port, '127.0.0.1', () =>
        socket.write(`POST /mcp HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{`),
      )
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('error', reject)
      socket.on('close', () => resolve(text))
    })
    expect(answer).toMatch(/^HTTP\/1\.1 408 /)
  })

  it('JR-3: a tools/call without a tool is answered like an unknown one', async () => {
    for (const params of [undefined, {}, { name: 5 }]) {
      const answer = await world.ask(token, rpc('tools/call', 3, params))
      expect([answer.status, answer.json]).toMatchObject([200, { id: 3, error: { code: -32602 } }])
    }
    expect(runtime.seen).toHaveLength(0)
  })

  it('TR-1: other methods than POST, GET and DELETE: 405 with Allow', async () => {
    for (const method of ['PUT', 'PATCH', 'HEAD', 'OPTIONS']) {
      const answer = await world.ask(token, undefined, {}, method)
      expect([answer.status, answer.headers.allow]).toEqual([405, 'GET, POST, DELETE'])
    }
  })

  it('TR-2 TR-3: GET and DELETE are the runtime’s to answer', async () => {
    runtime.answer = (_req, res) =>
      void res.writeHead(405, { allow: 'POST', 'content-type': 'application/json' }).end('{"jsonrpc":"2.0","error":{"code":-32000,"message":"no"},"id":null}')
    for (const method of ['GET', 'DELETE']) {
      const answer = await world.ask(token, undefined, { accept: 'text/event-stream', 'last-event-id': '5' }, method)
      expect([answer.status, answer.headers.allow, answer.json.error.message]).toEqual([405, 'POST', 'no'])
    }
    expect(runtime.seen.map(({ req }) => [req.method, req.headers['last-event-id'], req.headers['content-type']])).toEqual([
      ['GET', '5', 'application/json'],
      ['DELETE', '5', 'application/json'],
    ])
  })
})

describe('TR-6: batches', () => {
  const batch = [call('a', {}, 1), { jsonrpc: '2.0', method: 'notifications/progress' }, call('b', {}, 2)]

  it('pass in 2025-03-26, whole', async () => {
    runtime.answer = (_req, res) =>
      res.writeHead(200, { 'content-type': 'application/json' }).end('[{"jsonrpc":"2.0","id":1,"result":{}},{"jsonrpc":"2.0","id":2,"result":{}}]')
    for (const headers of [{}, { 'mcp-protocol-version': '2025-03-26' }]) {
      const answer = await world.ask(token, batch, headers)
      expect([answer.status, answer.json.length]).toEqual([200, 2])
    }
    expect(runtime.seen).toHaveLength(2)
  })

  it.each<[string, unknown[], Record<string, string>]>([
    ['a later revision', batch, { 'mcp-protocol-version': '2025-06-18' }],
    ['2026-07-28', batch, { 'mcp-protocol-version': '2026-07-28' }],
    ['a modern member', [modern('tools/list')], {}],
    ['initialize', [rpc('initialize', 1, { protocolVersion: '2025-03-26' })], {}],
    ['an id twice', [call('a', {}, 1), call('b', {}, 1)], {}],
    ['nothing', [], {}],
    ['too much', Array.from({ length: 51 }, (_, id) => rpc('ping', id)), {}],
    ['a bad member', [call('a', {}, 1), 5], {}],
  ])('never with %s', async (_why, body, headers) => {
    const answer = await world.ask(token, body, headers)
    expect(answer.status).toBe(400)
    expect(runtime.seen).toHaveLength(0)
  })
})

describe('TR-10 TR-12 TR-21 TR-22 TR-23 TR-24 JR-15: revision 2026-07-28', () => {
  const named = mirrored('tools/call', 'list')
  const toList = { name: 'list', arguments: {} }

  it('passes with headers that say what the body says, all of them untouched', async () => {
    const names: [string, object, string][] = [
      ['tools/call', toList, 'list'],
      ['prompts/get', { name: 'p' }, 'p'],
      ['resources/read', { uri: 'file:///a b' }, 'file:///a b'],
      ['tasks/get', { taskId: 't' }, 't'],
      ['tools/call', { name: 'Grüße' }, '=?base64?R3LDvMOfZQ==?='],
    ]
    for (const [method, params, name] of names) {
      expect((await world.ask(token, modern(method, params), mirrored(method, name))).status).toBe(200)
      expect(runtime.seen.at(-1)?.req.headers).toMatchObject(mirrored(method, name))
    }
    expect((await world.ask(token, modern('tools/list'), mirrored('tools/list'))).status).toBe(200)
  })

  it.each<[string, unknown, Record<string, string>, number]>([
    ['no version header', modern('tools/call', toList), { 'mcp-method': 'tools/call', 'mcp-name': 'list' }, -32020],
    ['another version header', modern('tools/call', toList), { ...named, 'mcp-protocol-version': '2025-11-25' }, -32020],
    ['two version headers', modern('tools/call', toList), { ...named, 'mcp-protocol-version': '2026-07-28, 2026-07-28' }, -32020],
    ['no Mcp-Method', modern('tools/call', toList), { 'mcp-protocol-version': '2026-07-28', 'mcp-name': 'list' }, -32020],
    ['another method', modern('tools/call', toList), { ...named, 'mcp-method': 'tools/list' }, -32020],
    ['another case', modern('tools/call', toList), { ...named, 'mcp-method': 'TOOLS/CALL' }, -32020],
    ['two methods', modern('tools/call', toList), { ...named, 'mcp-method': 'tools/call, tools/call' }, -32020],
    ['no Mcp-Name', modern('tools/call', toList), mirrored('tools/call'), -32020],
    ['another name', modern('tools/call', toList), { ...named, 'mcp-name': 'other' }, -32020],
    ['undecodable Base64', modern('tools/call', toList), { ...named, 'mcp-name': '=?base64?%%?=' }, -32020],
    ['Base64 of another name', modern('tools/call', toList), { ...named, 'mcp-name': '=?base64?b3RoZXI=?=' }, -32020],
    ['a name without one in the body', modern('resources/read', {}), mirrored('resources/read', 'x'), -32020],
    ['no _meta', rpc('tools/call', 7, toList), named, -32602],
    ['no clientCapabilities', rpc('tools/call', 7, { ...toList, _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' } }), named, -32602],
    ['no protocolVersion', rpc('tools/call', 7, { ...toList, _meta: { 'io.modelcontextprotocol/clientCapabilities': {} } }), named, -32602],
    ['a version that is no text', rpc('tools/list', 7, { _meta: { ...meta, 'io.modelcontextprotocol/protocolVersion': 5 } }), {}, -32602],
    [
      'clientCapabilities null',
      rpc('tools/list', 7, { _meta: { ...meta, 'io.modelcontextprotocol/clientCapabilities': null } }),
      mirrored('tools/list'),
      -32602,
    ],
  ])('%s: 400, the id, and nothing goes on', async (_why, body, headers, code) => {
    const answer = await world.ask(token, body, headers)
    expect([answer.status, answer.json]).toMatchObject([400, { id: 7, error: { code } }])
    expect(runtime.seen).toHaveLength(0)
  })

  it('TR-15: a modern revision whose rules are not known: 400, -32022 with what is', async () => {
    const body = rpc('tools/list', 7, { _meta: { ...meta, 'io.modelcontextprotocol/protocolVersion': '2099-01-01' } })
    const answer = await world.ask(token, body, { ...mirrored('tools/list'), 'mcp-protocol-version': '2099-01-01' })
    expect([answer.status, answer.json]).toMatchObject([
      400,
      { id: 7, error: { code: -32022, data: { requested: '2099-01-01', supported: expect.arrayContaining(['2026-07-28']) } } },
    ])
  })

  it('TR-21: notifications go with and without mirrored headers, but not against them', async () => {
    const note = { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 1 } }
    const version = { 'mcp-protocol-version': '2026-07-28' }
    for (const headers of [{}, version, { ...version, 'mcp-method': note.method }]) expect((await world.ask(token, note, headers)).status).toBe(202)
    const answer = await world.ask(token, note, { ...version, 'mcp-method': 'notifications/progress' })
    expect([answer.status, answer.json.error.code, 'id' in answer.json]).toEqual([400, -32020, false])
  })

  it('TR-14 TR-19 TR-25: legacy passes through, whatever its version and decoration say', async () => {
    const asks: [unknown, Record<string, string>][] = [
      [call(), {}],
      [call(), { 'mcp-protocol-version': '2024-11-05' }],
      [call(), { 'mcp-protocol-version': '2025-06-18', 'mcp-method': 'other', 'mcp-name': 'other' }],
      [call(), { 'mcp-protocol-version': 'DRAFT-2026' }],
      [rpc('initialize', 1, { protocolVersion: '2026-07-28', capabilities: {}, clientInfo: { name: 'rmcp', version: '1' } }), {}],
      [{ jsonrpc: '2.0', id: 'from-the-runtime', result: {} }, {}],
      [{ jsonrpc: '2.0', id: null, error: { code: -1, message: 'x' } }, {}],
    ]
    for (const [body, headers] of asks) {
      const answer = await world.ask(token, body, headers)
      expect([JSON.stringify(body), [200, 202].includes(answer.status)]).toEqual([JSON.stringify(body), true])
    }
    expect(runtime.seen).toHaveLength(asks.length)
  })

  it('TR-23: markers are exact, everything else is literal', () => {
    expect(decodeMirrored('=?BASE64?ZXU=?=')).toBe('=?BASE64?ZXU=?=')
    expect(decodeMirrored('=?base64?ZXU=')).toBe('=?base64?ZXU=')
    expect(decodeMirrored('=?base64?ZXU=?=')).toBe('eu')
    expect(decodeMirrored('=?base64??=')).toBe('')
    expect(decodeMirrored('=?base64?ZXU?=')).toBeUndefined()
    expect(decodeMirrored('=?base64?/w==?=')).toBeUndefined()
  })
})
