import { once } from 'node:events'
import net from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import express from 'express'
import express4 from 'express4'
import { BodyTooLarge, readBody, readForm, readJsonObject } from '../../src/http/body.ts'
import { toOAuthAnswer } from '../../src/http/send-error.ts'
import { ask, type Listening, listen } from './listen.ts'

const limits = { maxBytes: 1000, timeoutMs: 5_000 }
let server: Listening | undefined
afterEach(() => server?.close())

type Reader = (req: Parameters<typeof readBody>[0]) => Promise<unknown>

/** Answers with what was read, or with the error's code and reason. */
function reading(read: Reader): Parameters<typeof listen>[0] {
  return (req, res) => {
    read(req).then(
      (value) => res.end(`read ${Buffer.isBuffer(value) ? value.toString('utf8') : JSON.stringify(value)}`),
      (error: Error & { code?: string; status?: number }) => {
        res.statusCode = error.status ?? 500
        res.end(`${error.code} ${error.message}`)
      },
    )
  }
}

const post = (headers: Record<string, string>, body: string) => ask((server as Listening).port, { method: 'POST', headers }, body)

describe('readBody', () => {
  it('reads a body whole, up to its bound', async () => {
    server = await listen(reading((req) => readBody(req, limits)))
    expect((await post({}, 'x'.repeat(1000))).text).toBe(`read ${'x'.repeat(1000)}`)
    expect((await post({}, '')).text).toBe('read ')
  })

  it.each([
    ['with Content-Length', {}],
    ['chunked', { 'transfer-encoding': 'chunked' }],
  ])('refuses a larger one, %s, and the client gets to read that', async (_, headers) => {
    server = await listen(reading((req) => readBody(req, limits)))
    const answer = await post(headers, 'x'.repeat(3_000_000))
    expect(answer.status).toBe(413)
    expect((await post({}, 'next')).text).toBe('read next')
  })

  it('adds up the pieces of one that trickles in', async () => {
    server = await listen(reading((req) => readBody(req, limits)))
    const socket = net.connect(server.port, '127.0.0.1')
    const answer = once(socket, 'data')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n')
    for (let piece = 0; piece < 11; piece++) socket.write(`64\r\n${'x'.repeat(100)}\r\n`)
    expect(String((await answer)[0])).toMatch(/^HTTP\/1.1 413 /)
    socket.destroy()
  })

  it('keeps the start of a body that is too large', async () => {
    const caught: unknown[] = []
    server = await listen(
      reading((req) =>
        readBody(req, limits).catch((error: unknown) => {
          caught.push(error)
          throw error
        }),
      ),
    )
    await post({}, `{"id":7,${' '.repeat(5000)}`)
    expect(caught[0]).toBeInstanceOf(BodyTooLarge)
    expect((caught[0] as BodyTooLarge).prefix.toString('utf8')).toMatch(/^\{"id":7/)
    expect((caught[0] as BodyTooLarge).prefix).toHaveLength(1000)
  })

  it('refuses a Content-Encoding', async () => {
    server = await listen(reading((req) => readBody(req, limits)))
    expect((await post({ 'content-encoding': 'gzip' }, 'x')).status).toBe(415)
    expect((await post({ 'content-encoding': 'identity' }, 'x')).text).toBe('read x')
  })

  it('gives up on a body that does not arrive in time', async () => {
    server = await listen(reading((req) => readBody(req, { maxBytes: 1000, timeoutMs: 100 })))
    const socket = net.connect(server.port, '127.0.0.1')
    socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf')
    const [head] = (await once(socket, 'data')) as [Buffer]
    expect(head.toString('utf8')).toMatch(/^HTTP\/1.1 408 /)
    socket.destroy()
  })

  it('ends when the client leaves', async () => {
    let reason: Promise<unknown> | undefined
    const started = new Promise<void>((resolve) => {
      listen((req) => {
        reason = readBody(req, limits).catch((error: unknown) => error)
        resolve()
      }).then((listening) => {
        server = listening
        const socket = net.connect(listening.port, '127.0.0.1')
        socket.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf', () => socket.destroy())
      })
    })
    await started
    expect(await reason).toMatchObject({ code: 'body_invalid', reason: 'the client left before its body was complete' })
  })
})

describe('readBody behind a host app', () => {
  const body = '{"a":1}'
  const json = { 'content-type': 'application/json' }

  it.each([
    ['express.raw()', () => express().use(express.raw({ type: '*/*' }))],
    ['express.text()', () => express().use(express.text({ type: '*/*' }))],
    ['express 4, a parser that did not read it', () => express4().use(express4.urlencoded({ extended: true }))],
    ['express 5, a parser that did not read it', () => express().use(express.urlencoded())],
  ])('takes what is left of the body: %s', async (_, app) => {
    server = await listen((app() as express.Express).use(reading((req) => readBody(req, limits)) as express.RequestHandler))
    expect((await post(json, body)).text).toBe(`read ${body}`)
  })

  it.each([
    ['express 5', () => express().use(express.json())],
    ['express 4', () => express4().use(express4.json())],
  ])('names the parser that took the body away: %s', async (_, app) => {
    server = await listen((app() as express.Express).use(reading((req) => readBody(req, limits)) as express.RequestHandler))
    const answer = await post(json, body)
    expect(answer.status).toBe(500)
    expect(answer.text).toMatch(/config_invalid mounting: a body parser \(express\.json\(\)/)
  })
})

describe('readForm and readJsonObject', () => {
  it('reads a form', async () => {
    server = await listen(reading(async (req) => [...(await readForm(req, limits)).entries()]))
    const type = { 'content-type': 'Application/X-WWW-Form-Urlencoded; charset=UTF-8' }
    expect((await post(type, 'a=b&c=d+e')).text).toBe('read [["a","b"],["c","d e"]]')
    expect((await post({ 'content-type': 'application/json' }, '{}')).text).toMatch(/^invalid_request /)
    expect((await post(type, 'a=1&a=2')).text).toMatch(/^invalid_request /)
  })

  it('reads a JSON object and nothing else', async () => {
    server = await listen(reading((req) => readJsonObject(req, limits)))
    expect((await post({ 'content-type': 'application/json; charset=UTF-8' }, '{"uri":"https:\\/\\/a"}')).text).toBe('read {"uri":"https://a"}')
    for (const text of ['[]', 'null', '"x"', '{', '']) expect((await post({ 'content-type': 'application/json' }, text)).text).toMatch(/^body_not_json /)
    expect((await post({ 'content-type': 'text/plain' }, '{}')).status).toBe(415)
  })

  it('answers all of it in OAuth terms', () => {
    expect(toOAuthAnswer(new BodyTooLarge(Buffer.alloc(0)))).toMatchObject({ status: 413, error: 'invalid_request' })
  })
})
