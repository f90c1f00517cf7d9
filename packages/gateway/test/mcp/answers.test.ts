import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { answerResult, type HttpListener, startHttpListener } from '../runtime/http-listener.ts'
import { call, mirrored, modern, rpc, startWorld, type World } from './given.ts'

let runtime: HttpListener
let world: World
let token: string
beforeEach(async () => {
  runtime = await startHttpListener()
  world = await startWorld({ runtime: runtime.url, gateway: { limits: { responseStartSeconds: 1, responseBytes: 100_000 } } })
  token = (await world.connect()).token
})
afterEach(async () => {
  await world?.close()
  await runtime?.close()
})

const note = { jsonrpc: '2.0', method: 'notifications/initialized' }
const json = { 'content-type': 'application/json' }

/** What a runtime may do wrong, and what it is called. */
const failures: [string, HttpListener['answer'], string, number][] = [
  ['HTML at 200', (_req, res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<h1>Welcome</h1>'), 'runtime_invalid', 502],
  ['HTML at 502', (_req, res) => void res.writeHead(502, { 'content-type': 'text/html' }).end('<h1>Bad gateway</h1>'), 'runtime_invalid', 502],
  ['an empty 200', (_req, res) => void res.writeHead(200, json).end(), 'runtime_invalid', 502],
  ['202 to a request', (_req, res) => void res.writeHead(202).end(), 'runtime_invalid', 502],
  ['204 to a request', (_req, res) => void res.writeHead(204).end(), 'runtime_invalid', 502],
  ['a redirect', (_req, res) => void res.writeHead(307, { location: '/mcp/' }).end(), 'runtime_invalid', 502],
  ['broken JSON', (_req, res) => void res.writeHead(200, json).end('{"jsonrpc":"2.0","id":7,'), 'runtime_invalid', 502],
  ['JSON that is no JSON-RPC', (_req, res) => void res.writeHead(200, json).end('{"detail":"Not Found"}'), 'runtime_invalid', 502],
  ['the answer to another request', (_req, res) => void res.writeHead(200, json).end('{"jsonrpc":"2.0","id":8,"result":{}}'), 'runtime_invalid', 502],
  [
    'an error at 200 with id null',
    (_req, res) => void res.writeHead(200, json).end('{"jsonrpc":"2.0","id":null,"error":{"code":-1,"message":"x"}}'),
    'runtime_invalid',
    502,
  ],
  ['a list for one request', (_req, res) => void res.writeHead(200, json).end('[{"jsonrpc":"2.0","id":7,"result":{}}]'), 'runtime_invalid', 502],
  ['plain text at 400', (_req, res) => void res.writeHead(400, { 'content-type': 'text/plain' }).end('Bad Request'), 'runtime_invalid', 502],
  [
    'JSON beyond responseBytes',
    (_req, res) => void res.writeHead(200, json).end(`{"jsonrpc":"2.0","id":7,"result":"${'x'.repeat(200_000)}"}`),
    'runtime_invalid',
    502,
  ],
  [
    'a body that breaks off',
    (_req, res) => void res.writeHead(200, { ...json, 'content-length': '500' }).write('{"jsonrpc"', () => res.socket?.destroy()),
    'runtime_died',
    502,
  ],
  ['a body that comes to a halt', (_req, res) => void res.writeHead(200, json).write('{"jsonrpc"'), 'runtime_timeout', 504],
  ['no answer', () => {}, 'runtime_timeout', 504],
  ['a closed connection', (req) => void req.socket.destroy(), 'runtime_died', 502],
]

describe('design, refusals: a runtime that fails', () => {
  it.each(failures)('%s: -31004 at 200 with the id, and nothing of its answer', async (_why, answer, code) => {
    runtime.answer = answer
    const told = await world.ask(token, call())
    expect([told.status, told.json]).toMatchObject([200, { jsonrpc: '2.0', id: 7, error: { code: -31004, data: { error: code } } }])
    expect(told.text).not.toMatch(/Welcome|gateway<|Not Found|Bad Request/)
    expect(told.headers).not.toHaveProperty('location')
    const inModern = await world.ask(token, modern('tools/call', { name: 'x' }), mirrored('tools/call', 'x'))
    expect([inModern.status, inModern.json.error.code]).toEqual([200, -31004])
    runtime.answer = answerResult
    expect((await world.ask(token, call())).json.result).toBeDefined()
  })

  it('down: -31004 for requests of every kind; 502 for GET, DELETE and notifications', async () => {
    await runtime.close()
    for (const method of ['tools/call', 'tools/list', 'initialize', 'ping']) {
      const told = await world.ask(token, rpc(method, 'q', { name: 'x' }))
      expect([told.status, told.json]).toMatchObject([200, { id: 'q', error: { code: -31004, data: { error: 'runtime_unreachable' } } }])
    }
    const batch = await world.ask(token, [rpc('ping', 1), note, rpc('ping', 2)])
    expect(batch.json).toMatchObject([
      { id: 1, error: { code: -31004 } },
      { id: 2, error: { code: -31004 } },
    ])
    for (const [method, body] of [
      ['GET', undefined],
      ['DELETE', undefined],
      ['POST', note],
      ['POST', { jsonrpc: '2.0', id: 1, result: {} }],
    ] as const) {
      const told = await world.ask(token, body, {}, method)
      expect([method, told.status, 'id' in told.json]).toEqual([method, 502, false])
    }
  })

  it.each(failures.filter(([why]) => ['HTML at 200', 'no answer', 'a closed connection'].includes(why)))(
    "refusals: 'http', %s",
    async (_why, answer, _code, status) => {
      const plain = await startWorld({ runtime: runtime.url, server: { refusals: 'http' }, gateway: { limits: { responseStartSeconds: 1 } } })
      runtime.answer = answer
      const told = await plain.ask((await plain.connect()).token, call())
      expect([told.status, told.json.id, told.json.error.code]).toEqual([status, 7, -31004])
      await plain.close()
    },
  )

  it('on GET, DELETE and notifications pages never come through, statuses do', async () => {
    runtime.answer = (_req, res) => void res.writeHead(503, { 'content-type': 'text/html' }).end('<h1>secret host</h1>')
    for (const [method, body] of [
      ['GET', undefined],
      ['DELETE', undefined],
      ['POST', note],
    ] as const) {
      const told = await world.ask(token, body, {}, method)
      expect([method, told.status, told.text]).toEqual([method, 503, ''])
      expect(told.headers).not.toHaveProperty('content-type')
    }
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/html' }).end('<h1>secret host</h1>')
    expect((await world.ask(token, undefined, {}, 'GET')).status).toBe(502)
  })
})

describe('worker contract, rule 5: what is an answer passes as it is', () => {
  it('a JSON-RPC error of the runtime with its status and its bytes', async () => {
    const odd = '{ "jsonrpc":"2.0","id":null,"error":{"code":-32020,"message":"x","data":1.0}}'
    for (const status of [400, 404, 406, 500]) {
      runtime.answer = (_req, res) => void res.writeHead(status, { ...json, 'x-mine': 'yes' }).end(odd)
      const told = await world.ask(token, call())
      expect([told.status, told.text, told.headers['x-mine'], told.headers['content-length']]).toEqual([status, odd, 'yes', String(odd.length)])
    }
  })

  it('TR-9: 404 with -32601 for an unknown method, and the code is in the log', async () => {
    runtime.answer = (_req, res) => void res.writeHead(404, json).end('{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"x"}}')
    const ended = world.nextEvent()
    expect((await world.ask(token, rpc('no/such'))).status).toBe(404)
    expect(await ended).toMatchObject({ httpStatus: 404, rpcCode: -32601, method: 'no/such' })
  })

  it('JSON whose numbers JavaScript cannot hold', async () => {
    const odd = '{"jsonrpc":"2.0","id":7,"result":{"n":9007199254740993,"one":1.0}}'
    runtime.answer = (_req, res) => void res.writeHead(200, json).end(odd)
    expect((await world.ask(token, call())).text).toBe(odd)
  })

  it('TR-7: 202 to a notification, and to an answer for the runtime', async () => {
    for (const body of [note, { jsonrpc: '2.0', id: 1, result: {} }]) {
      runtime.answer = (_req, res) => void res.writeHead(202, { 'content-type': 'text/plain' }).end('Accepted')
      const told = await world.ask(token, body)
      expect([told.status, told.text]).toEqual([202, ''])
    }
  })
})

describe('TR-18 JR-12: server/discover while the runtime is down', () => {
  const discover = (id: unknown) => modern('server/discover', {}, id)
  const answerDiscover = (cacheScope: string, as: 'json' | 'sse' = 'json'): HttpListener['answer'] => {
    return (_req, res, body) => {
      const { id } = JSON.parse(body.toString()) as { id: unknown }
      const message = JSON.stringify({
        jsonrpc: '2.0',
        id,
        result: { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: {}, cacheScope },
      })
      res.writeHead(200, { 'content-type': as === 'json' ? 'application/json' : 'text/event-stream' }).end(as === 'json' ? message : `data: ${message}\n\n`)
    }
  }
  const headers = mirrored('server/discover')

  for (const as of ['json', 'sse'] as const) {
    it(`gets the last answer (${as}) with the request’s own id`, async () => {
      runtime.answer = answerDiscover('public', as)
      await world.ask(token, discover('a'), headers)
      await runtime.close()
      const told = await world.ask(token, discover('b'), headers)
      expect([told.status, told.json]).toEqual([
        200,
        { jsonrpc: '2.0', id: 'b', result: { resultType: 'complete', supportedVersions: ['2026-07-28'], capabilities: {}, cacheScope: 'public' } },
      ])
      const bob = await world.connect('bob')
      expect((await world.ask(bob.token, discover('c'), headers)).json.result.supportedVersions).toEqual(['2026-07-28'])
      expect(world.events.findLast(({ event }) => event === 'mcp.request')).toMatchObject({ error: 'runtime_unreachable', httpStatus: 200 })
    })
  }

  it('JR-12: a private answer goes to its own connection only', async () => {
    runtime.answer = answerDiscover('private')
    await world.ask(token, discover('a'), headers)
    await runtime.close()
    expect((await world.ask(token, discover('b'), headers)).json.result).toBeDefined()
    expect((await world.ask((await world.connect('bob')).token, discover('c'), headers)).json.error.code).toBe(-31004)
  })

  it('without an earlier answer it is a failure like any other', async () => {
    await runtime.close()
    expect((await world.ask(token, discover('b'), headers)).json).toMatchObject({ id: 'b', error: { code: -31004 } })
  })
})

describe('anything that failed inside', () => {
  it('is -32603 with an id that the log has too, and nothing else', async () => {
    const broken = await startWorld({ runtime: runtime.url })
    const { token: good } = await broken.connect('än\nne', { tokens: { accessToken: 'downstream', expiresIn: 3600 } })
    const ended = broken.nextEvent()
    const told = await broken.ask(good, call())
    const event = await ended
    expect([told.status, told.json]).toEqual([
      200,
      {
        jsonrpc: '2.0',
        id: 7,
        error: {
          code: -32603,
          message: `Something failed inside the gateway. Its id in the log is ${event.requestId}.`,
          data: { error: 'internal_error', requestId: event.requestId },
        },
      },
    ])
    expect(event).toMatchObject({ level: 'error', error: 'internal_error', reason: 'the value of x-emcy-subject cannot stand in a header' })
    await broken.close()
  })
})
