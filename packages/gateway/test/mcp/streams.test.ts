import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { readSseFields, SseReader } from '../../src/lib/sse.ts'
import { type HttpListener, reading, startHttpListener } from '../runtime/http-listener.ts'
import { call, mirrored, modern, rpc, startWorld, type World } from './given.ts'

let runtime: HttpListener
let world: World
let token: string
beforeEach(async () => {
  runtime = await startHttpListener()
  world = await startWorld({ runtime: runtime.url, gateway: { limits: { responseStartSeconds: 1 } } })
  token = (await world.connect()).token
})
afterEach(async () => {
  await world?.close()
  await runtime?.close()
})

const result = (id: unknown) => `data: ${JSON.stringify({ jsonrpc: '2.0', id, result: { content: [] } })}\n\n`
const progress = (step: number) => `event: message\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{"progress":${step}}}\n\n`

/** A runtime that hands its stream to the test. */
function streams(head: Record<string, string> = {}): Promise<ServerResponse> {
  return new Promise((resolve) => {
    runtime.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream', ...head })
      res.flushHeaders()
      resolve(res)
    }
  })
}

/** Data of the events of a whole stream, as a client reads them. */
function messagesOf(text: string): unknown[] {
  return new SseReader(1e6)
    .push(Buffer.from(text))
    .map((block) => readSseFields(block.raw as Buffer))
    .filter(({ data, type }) => data !== undefined && type === 'message')
    .map(({ data }) => JSON.parse(data as string))
}

const dies = (res: ServerResponse) => new Promise<void>((resolve) => res.write('', () => resolve(void res.socket?.destroy())))

describe('TR-7 TR-31 TR-36: event streams', () => {
  it('TR-31: arrive event by event, the head before the first, byte for byte', async () => {
    const upstream = streams({ 'x-accel-buffering': 'yes', 'cache-control': 'no-cache', 'set-cookie': 'a=1', server: 'x' })
    const { response } = await world.open(token, call())
    expect(response.headers).toMatchObject({ 'content-type': 'text/event-stream', 'x-accel-buffering': 'no', 'cache-control': 'no-cache' })
    for (const name of ['set-cookie', 'server', 'x-powered-by']) expect(response.headers).not.toHaveProperty(name)
    const res = await upstream
    const seen = reading(response)
    const parts = [': keep-alive\n\n', 'retry: 50\nid: 1\ndata:\n\n', progress(1), 'event: odd\r\ndata: ü\r\n\r\n', progress(2), result(7)]
    let sent = ''
    for (const part of parts) {
      res.write(part)
      sent += part
      // Each is waited for before the next is sent: a gateway that holds anything back never gets on.
      expect(await seen.until(sent)).toBe(sent)
    }
    res.end()
    expect(await seen.end()).toBe(sent)
  })

  it('a chunk that ends inside a character or a line is passed at once', async () => {
    const upstream = streams()
    const { response } = await world.open(token, call())
    const res = await upstream
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => chunks.push(chunk))
    const bytes = Buffer.from(`data: {"jsonrpc":"2.0","id":7,"result":"ü"}\n\n`)
    for (const byte of bytes) {
      const next = once(response, 'data')
      res.write(Buffer.from([byte]))
      await next
    }
    res.end()
    await once(response, 'end')
    expect(Buffer.concat(chunks).equals(bytes)).toBe(true)
  })

  it('the runtime writes no faster than the client reads', async () => {
    const upstream = streams()
    const { response } = await world.open(token, call())
    response.pause()
    const res = await upstream
    const block = `: ${'x'.repeat(65_536)}\n\n`
    let written = 0
    while (written < 2000 && res.write(block)) written++
    while (written < 2000) {
      const drained = await Promise.race([once(res, 'drain').then(() => true), new Promise<boolean>((resolve) => setTimeout(resolve, 300, false))])
      if (!drained) break
      while (written < 2000 && res.write(block)) written++
    }
    expect(written).toBeLessThan(2000)
    const seen = reading(response)
    res.end(result(7))
    response.resume()
    expect((await seen.end()).endsWith(result(7))).toBe(true)
  })
})

describe('design, refusals: a runtime that dies in a stream', () => {
  const died = { jsonrpc: '2.0', id: 7, error: { code: -31004, data: { error: 'runtime_died' } } }

  it.each<[string, string, number]>([
    ['after whole events', progress(1) + progress(2), 2],
    ['before any', '', 0],
    ['in a comment', `${progress(1)}: keep`, 1],
    ['in a field name', `${progress(1)}dat`, 1],
    ['in the middle of data', `${progress(1)}data: {"jsonrpc":"2.0","id":7,"resu`, 1],
    ['between lines of an event', `${progress(1)}data: {"jsonrpc":\ndata: "2.0",\n`, 1],
    ['after an id alone', `${progress(1)}id: 9\n`, 1],
    ['in the middle of a CRLF', `${progress(1)}data: {"a\r`, 1],
  ])('%s: one last event says so, with the id, and the stream ends well', async (_why, text, whole) => {
    runtime.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(text, () => void dies(res))
      if (text === '') res.flushHeaders()
    }
    const answer = await world.ask(token, call())
    expect(answer.text.startsWith(text)).toBe(true)
    const messages = messagesOf(answer.text)
    expect(messages).toHaveLength(whole + 1)
    expect(messages.at(-1)).toMatchObject(died)
    expect(answer.text).not.toMatch(/\bid: (?!9)/)
    expect(world.events.findLast(({ event }) => event === 'mcp.request')).toMatchObject({ error: 'runtime_died', rpcCode: -31004, level: 'warn' })
  })

  it('an event that lacks only its blank line counts, and gets no second answer', async () => {
    runtime.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(result(7).trimEnd(), () => void dies(res))
    }
    const messages = messagesOf((await world.ask(token, call())).text)
    expect(messages).toEqual([{ jsonrpc: '2.0', id: 7, result: { content: [] } }])
  })

  it('after the answer nothing is added', async () => {
    runtime.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(progress(1) + result(7), () => void dies(res))
    }
    const answer = await world.ask(token, call())
    expect(answer.text).toBe(progress(1) + result(7))
    expect(world.events.findLast(({ event }) => event === 'mcp.request')).not.toHaveProperty('error')
  })

  it('an answer too large to look at is still an answer', async () => {
    const big = `data: ${JSON.stringify({ result: { text: 'x'.repeat(600_000) }, jsonrpc: '2.0', id: 7 })}\n\n`
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).end(big)
    expect((await world.ask(token, call())).text).toBe(big)
  })

  it('a stream that ends gracefully without the answer gets one; TR-37: unless it could be resumed', async () => {
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).end(progress(1))
    expect(messagesOf((await world.ask(token, call())).text).at(-1)).toMatchObject(died)
    const resumable = `id: 1\ndata:\n\n${progress(1)}`
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).end(resumable)
    expect((await world.ask(token, call())).text).toBe(resumable)
  })

  it('TR-35: a request of the runtime with the same id is not the answer', async () => {
    const asks = 'data: {"jsonrpc":"2.0","id":7,"method":"sampling/createMessage","params":{}}\n\n'
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).end(asks)
    const { text } = await world.ask(token, call())
    expect(text.startsWith(asks)).toBe(true)
    expect(messagesOf(text).at(-1)).toMatchObject(died)
  })

  it('TR-6: in a batch only the members without an answer get one', async () => {
    runtime.answer = (_req, res) => void res.writeHead(200, { 'content-type': 'text/event-stream' }).end(result(2))
    const messages = messagesOf((await world.ask(token, [call('a', {}, 1), call('b', {}, 2), rpc('ping', '3')])).text)
    expect(messages).toMatchObject([
      { id: 2, result: {} },
      { id: 1, error: { code: -31004 } },
      { id: '3', error: { code: -31004 } },
    ])
  })

  it('JR-14: in 2026-07-28 as well', async () => {
    runtime.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(progress(1), () => void dies(res))
    }
    const { text } = await world.ask(token, modern('tools/call', { name: 'x' }), mirrored('tools/call', 'x'))
    expect(messagesOf(text).at(-1)).toMatchObject(died)
  })

  it('TR-2: a GET stream just ends', async () => {
    runtime.answer = (_req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write(progress(1), () => void dies(res))
    }
    expect((await world.ask(token, undefined, { accept: 'text/event-stream' }, 'GET')).text).toBe(progress(1))
  })
})

describe('TR-32 TR-33: a client that leaves', () => {
  it('is seen by the runtime at once, in a stream, before the head, and on GET', async () => {
    const asks: [string, unknown, boolean][] = [
      ['POST', call(), true],
      ['POST', call(), false],
      ['GET', undefined, true],
    ]
    for (const [method, body, hasHead] of asks) {
      const delays: number[] = []
      for (let round = 0; round < 5; round++) {
        const { promise: arrived, resolve: arrive } = Promise.withResolvers<ServerResponse>()
        runtime.answer = (_req, res) => {
          if (hasHead) res.writeHead(200, { 'content-type': 'text/event-stream' }).write(progress(1))
          arrive(res)
        }
        const leaving = new AbortController()
        const asked = fetch(`http://127.0.0.1:${world.port}/mcp`, {
          method,
          headers: { authorization: `Bearer ${token}`, ...(body ? { 'content-type': 'application/json' } : {}) },
          ...(body ? { body: JSON.stringify(body) } : {}),
          signal: leaving.signal,
        }).catch((error: Error) => error)
        const res = await arrived
        if (hasHead) await asked
        const closed = once(res, 'close')
        const ended = world.nextEvent()
        const leftAt = performance.now()
        leaving.abort()
        await closed
        delays.push(performance.now() - leftAt)
        expect(await ended).toMatchObject({ clientGone: true, httpMethod: method })
      }
      // The median, so that one pause of a busy machine does not decide.
      expect(delays.sort((a, b) => a - b)[2]).toBeLessThan(100)
    }
  })

  it('nothing more is sent to the runtime for a client that left before its call went out', async () => {
    let go = () => {}
    const waiting = new Promise<void>((resolve) => (go = resolve))
    const { promise: asked, resolve: ask } = Promise.withResolvers<void>()
    const slow = await startWorld({
      runtime: runtime.url,
      server: {
        policy: {
          default: 'allow',
          rules: [],
          decide: async () => {
            ask()
            await waiting
            return 'allow' as const
          },
        },
      },
    })
    const other = await slow.connect()
    const leaving = new AbortController()
    const sent = fetch(`http://127.0.0.1:${slow.port}/mcp`, {
      method: 'POST',
      headers: { authorization: `Bearer ${other.token}`, 'content-type': 'application/json' },
      body: JSON.stringify(call()),
      signal: leaving.signal,
    }).catch((error: Error) => error.name)
    await asked
    const ended = slow.nextEvent()
    leaving.abort()
    expect(await sent).toBe('AbortError')
    expect(await ended).toMatchObject({ clientGone: true, httpStatus: 0 })
    go()
    expect((await slow.ask(other.token, rpc('ping'))).status).toBe(200)
    expect(runtime.seen.map(({ body }) => JSON.parse(body.toString()).method)).toEqual(['ping'])
    await slow.close()
  })
})
