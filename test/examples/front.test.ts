import { once } from 'node:events'
import { createServer, type RequestListener, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer, text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { createFront, type Front } from '../../examples/replicas/front.ts'
import { freePorts } from '../harness/ports.ts'

let front: Front
let url: string
const servers: Server[] = []

async function serve(handler: RequestListener): Promise<string> {
  const server = createServer(handler).listen(0, '127.0.0.1')
  servers.push(server)
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

beforeEach(async () => {
  front = createFront()
  url = await serve(front.handler)
})
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    await new Promise((closed) => server.close(closed))
  }
})

/** Requests so far, of a process that answers by its name. */
async function named(name: string, seen: string[] = []): Promise<string> {
  return serve(async (req, res) => {
    seen.push(`${name}: ${await text(req)}`)
    res.end(name)
  })
}

const post = (body: string) => fetch(url, { method: 'POST', body })

describe('the port before several processes', () => {
  it('gives each request to the next process in turn, and none to one that was taken out', async () => {
    front.add(await named('one'))
    const leave = front.add(await named('two'))
    const answers = async () => [await (await fetch(url)).text(), await (await fetch(url)).text(), await (await fetch(url)).text()]
    expect(await answers()).toEqual(['one', 'two', 'one'])
    leave()
    leave()
    expect(await answers()).toEqual(['one', 'one', 'one'])
  })

  it('passes a request and its answer on as they are, without what holds between neighbours only', async () => {
    let seen: unknown
    front.add(
      await serve(async (req, res) => {
        seen = { method: req.method, url: req.url, headers: req.headers, body: await buffer(req) }
        res
          .writeHead(418, 'Teapot', ['Set-Cookie', 'a=1', 'Set-Cookie', 'b=2', 'Connection', 'close, X-Hop', 'X-Hop', 'no', 'X-End', 'yes'])
          .end('short and stout')
      }),
    )
    const body = Buffer.from([0, 255, 10, 13])
    const headers = { Host: 'mcp.example.com', Connection: 'X-Mine', 'X-Mine': 'no', TE: 'trailers', 'X-Yours': 'yes', Expect: '100-continue' }
    const req = request(`${url}/a%2Fb?c=d&c=e`, { method: 'PUT', headers })
    req.end(body)
    const [res] = await once(req, 'response')
    expect(seen).toEqual({ method: 'PUT', url: '/a%2Fb?c=d&c=e', headers: expect.objectContaining({ host: 'mcp.example.com', 'x-yours': 'yes' }), body })
    for (const name of ['x-mine', 'te', 'expect']) expect((seen as { headers: object }).headers).not.toHaveProperty(name)
    expect([res.statusCode, res.statusMessage, res.headers['set-cookie'], res.headers['x-end'], res.headers['x-hop']]).toEqual([
      418,
      'Teapot',
      ['a=1', 'b=2'],
      'yes',
      undefined,
    ])
    expect(await text(res)).toBe('short and stout')
  })

  it('keeps nothing of an event stream back, and ends it at the process when the client leaves', async () => {
    let write = (_event: string): void => undefined
    let left = Promise.resolve<unknown>(undefined)
    front.add(
      await serve((_req, res) => {
        res.writeHead(200, { 'Content-Type': 'text/event-stream' }).flushHeaders()
        write = (event) => res.write(event)
        left = once(res, 'close')
      }),
    )
    const leaving = new AbortController()
    const response = await fetch(url, { signal: leaving.signal })
    expect(response.headers.get('content-type')).toBe('text/event-stream')
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    for (const event of ['data: 1\n\n', 'data: 2\n\n']) {
      write(event)
      expect(await reader?.read()).toEqual({ done: false, value: event })
    }
    leaving.abort()
    await left
  })

  it('passes over a process that is not there, and sends the request whole, once', async () => {
    const [nobody] = await freePorts(1)
    const seen: string[] = []
    front.add(`http://127.0.0.1:${nobody}`)
    front.add(await named('two', seen))
    for (const body of ['first', 'second', 'third']) expect(await (await post(body)).text()).toBe('two')
    expect(seen).toEqual(['two: first', 'two: second', 'two: third'])
  })

  it('never sends a request again that a process has got: it says 502', async () => {
    const seen: string[] = []
    front.add(
      await serve(async (req) => {
        seen.push(`broken: ${await text(req)}`)
        req.socket.destroy()
      }),
    )
    front.add(await named('two', seen))
    const response = await post('spend')
    expect([response.status, response.headers.get('retry-after')]).toEqual([502, '1'])
    expect(seen).toEqual(['broken: spend'])
  })

  it('breaks an answer off that the process broke off: a half is not passed on as a whole', async () => {
    front.add(
      await serve((_req, res) => {
        res.write('half')
        setImmediate(() => res.destroy())
      }),
    )
    await expect(fetch(url).then((response) => response.text())).rejects.toThrow()
  })

  it('says 503 when no process is there', async () => {
    expect((await fetch(url)).status).toBe(503)
    const [nobody] = await freePorts(1)
    front.add(`http://127.0.0.1:${nobody}`)
    const response = await post('x')
    expect([response.status, response.headers.get('retry-after')]).toEqual([503, '1'])
  })
})
