import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, describe, expect, it } from '@jest/globals'
import type { RuntimeLeg, RuntimeRequest } from '../../src/runtime/contract.ts'
import { httpRuntime } from '../../src/runtime/http-runtime.ts'
import { type HttpListener, reading, startHttpListener } from './http-listener.ts'

const open: { close(): unknown }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

async function listener(answer?: HttpListener['answer']): Promise<HttpListener> {
  const started = await startHttpListener(answer)
  open.push(started)
  return started
}

function leg(...urls: string[]): RuntimeLeg {
  const made = httpRuntime(urls)
  open.unshift(made)
  return made
}

const request = (more: Partial<RuntimeRequest> = {}): RuntimeRequest => {
  const body = Buffer.from('{"jsonrpc":"2.0","id":1,"method":"x"}')
  return {
    method: 'POST',
    headers: { host: 'public.example', 'content-type': 'application/json', 'content-length': String(body.length) },
    body,
    signal: new AbortController().signal,
    responseStartMs: 5000,
    affinity: undefined,
    ...more,
  }
}

const codeOf = (sent: Promise<unknown>) =>
  sent.then(
    () => 'answered',
    (error: { code: string }) => error.code,
  )

/** A TCP server that does what no HTTP server would. */
async function rawServer(onData: (socket: import('node:net').Socket) => void): Promise<string> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => onData(socket))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  open.push({ close: () => server.close() })
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/mcp`
}

describe('the HTTP leg', () => {
  it('sends to the configured path and query, under the host of the runtime, and streams both ways', async () => {
    const runtime = await listener((req, res) => {
      res.writeHead(200, { 'content-type': 'text/event-stream' })
      res.write('data: 1\n\n')
      req.socket.once('close', () => {})
      res.end('data: 2\n\n')
    })
    const { status, body, affinity } = await leg(`${runtime.url}?profile=a`).send(request())
    expect([status, affinity, await reading(body).end()]).toEqual([200, undefined, 'data: 1\n\ndata: 2\n\n'])
    const { req } = runtime.seen[0] as HttpListener['seen'][number]
    expect([req.method, req.url, req.headers.host]).toEqual(['POST', '/mcp?profile=a', new URL(runtime.url).host])
    expect(runtime.seen[0]?.body.toString()).toBe('{"jsonrpc":"2.0","id":1,"method":"x"}')
  })

  it('says that nothing was executed only when it never connected', async () => {
    const runtime = await listener()
    await runtime.close()
    expect(await codeOf(leg(runtime.url).send(request()))).toBe('runtime_unreachable')
    expect(await codeOf(leg('http://no-such-host.invalid/mcp').send(request()))).toBe('runtime_unreachable')
    const dying = await rawServer((socket) => socket.destroy())
    expect(await codeOf(leg(dying).send(request()))).toBe('runtime_died')
    const lost = await listener((req) => req.socket.destroy())
    expect(await codeOf(leg(lost.url).send(request()))).toBe('runtime_died')
  })

  it('calls no HTTP no HTTP, and slow slow', async () => {
    const talking = await rawServer((socket) => socket.end('220 mail.example ESMTP\r\n'))
    expect(await codeOf(leg(talking).send(request()))).toBe('runtime_invalid')
    const silent = await listener(() => {})
    expect(await codeOf(leg(silent.url).send(request({ responseStartMs: 500 })))).toBe('runtime_timeout')
  })

  it('https to what speaks no TLS never got to the call', async () => {
    const plain = await listener()
    expect(await codeOf(leg(plain.url.replace('http:', 'https:')).send(request()))).toBe('runtime_unreachable')
    expect(plain.seen).toHaveLength(0)
  })

  it('goes on to the next URL only while nothing was executed, and a session stays where it is', async () => {
    const [down, first, second] = [await listener(), await listener(), await listener()]
    await down.close()
    const runtime = leg(down.url, first.url, second.url)
    const affinities: (string | undefined)[] = []
    for (let turn = 0; turn < 6; turn++) {
      const response = await runtime.send(request())
      response.body.resume()
      affinities.push(response.affinity)
    }
    expect(new Set(affinities).size).toBe(2)
    expect([first.seen.length + second.seen.length, first.seen.length > 0, second.seen.length > 0]).toEqual([6, true, true])
    const before = second.seen.length
    const sticky = affinities.find((_, index) => index >= 0 && affinities[index] !== undefined) as string
    for (let turn = 0; turn < 4; turn++) (await runtime.send(request({ affinity: sticky }))).body.resume()
    expect([0, 4]).toContain(second.seen.length - before)
    expect(await codeOf(runtime.send(request({ affinity: 'gone-now' })))).toBe('session_ended')
    first.answer = (req) => req.socket.destroy()
    second.answer = first.answer
    const total = first.seen.length + second.seen.length
    expect(await codeOf(runtime.send(request()))).toBe('runtime_died')
    expect(first.seen.length + second.seen.length).toBe(total + 1)
  })

  it('an abort is seen by the runtime, before and after the head', async () => {
    const left: Promise<unknown>[] = []
    const runtime = await listener((_req, res, body) => {
      left.push(once(res, 'close'))
      if (body.includes('stream')) res.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: 1\n\n')
      arrived()
    })
    let arrived = () => {}
    const arrival = () => new Promise<void>((resolve) => (arrived = resolve))
    const made = leg(runtime.url)
    const [before, after] = [new AbortController(), new AbortController()]
    const here = arrival()
    const sent = codeOf(made.send(request({ signal: before.signal })))
    await here
    before.abort()
    expect(await sent).toBe('runtime_died')
    await left[0]
    const body = Buffer.from('"stream"')
    const response = await made.send(request({ signal: after.signal, body, headers: { 'content-length': String(body.length) } }))
    response.body.on('error', () => {})
    after.abort()
    await left[1]
    expect(response.body.destroyed).toBe(true)
  })

  it('has room for more open streams than the 256 sockets of the proxy', async () => {
    const runtime = await listener((_req, res, body) => {
      if (body.length > 0) res.writeHead(200, { 'content-type': 'application/json' }).end('{}')
      else res.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    })
    const made = leg(runtime.url)
    const streams = await Promise.all(Array.from({ length: 300 }, () => made.send(request({ method: 'GET', headers: {}, body: undefined }))))
    expect((await made.send(request())).status).toBe(200)
    for (const { body } of streams) body.on('error', () => {}).destroy()
  })

  it('uses a connection again, and none that has been idle so long that the runtime may be closing it', async () => {
    const sockets = new Set<unknown>()
    const runtime = await listener((req, res) => {
      sockets.add(req.socket)
      res.writeHead(200, { 'content-type': 'application/json' }).end('{}')
    })
    const made = leg(runtime.url)
    for (let turn = 0; turn < 3; turn++) {
      const { body } = await made.send(request())
      body.resume()
      await once(body, 'close')
    }
    expect(sockets.size).toBe(1)
    const [socket] = sockets as Set<import('node:net').Socket>
    const startedAt = performance.now()
    await once(socket as import('node:net').Socket, 'close')
    expect(performance.now() - startedAt).toBeLessThan(5000)
  })
})
