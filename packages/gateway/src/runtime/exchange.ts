import { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { RuntimeRequest } from './contract.ts'

/** A request and its response as `node:http` would hand them to a listener, with no network behind them. */
export interface Exchange {
  req: IncomingMessage
  res: ServerResponse
  /** Ends it as a client that leaves does: `close` on the response, `aborted` on a request that was not read to its end. */
  leave(): void
  /** Ends it after the response is complete: `close` on the response. */
  finish(): void
}

/*
 * Libraries look at the socket of a request: whether it is readable (body-parser), encrypted (express), writable (httpxy), and its address. What is written to this one
 * goes nowhere.
 */
class Loop extends Duplex {
  readonly encrypted: boolean
  readonly remoteAddress = '127.0.0.1'
  constructor(encrypted: boolean) {
    super({ allowHalfOpen: true })
    this.encrypted = encrypted
  }
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: string, done: () => void): void {
    done()
  }
  setTimeout(): this {
    return this
  }
  setNoDelay(): this {
    return this
  }
  setKeepAlive(): this {
    return this
  }
  ref(): this {
    return this
  }
  unref(): this {
    return this
  }
}

/**
 * Builds the exchange of one request: the body is already in the request, byte for byte. The response is a real one on which nothing is listening; whoever
 * builds the exchange decides what becomes of what is written to it.
 *
 * @param url request target
 * @param encrypted what `req.socket.encrypted` says
 */
export function createExchange(request: RuntimeRequest, url: string, encrypted: boolean): Exchange {
  const socket = new Loop(encrypted) as unknown as Socket
  // A library that destroys the response with an error destroys this socket with it. Servers of node:http listen for that; without a listener it would end the process.
  socket.on('error', () => {})
  const req = new IncomingMessage(socket)
  req.method = request.method
  req.url = url
  req.httpVersion = '1.1'
  req.httpVersionMajor = 1
  req.httpVersionMinor = 1
  req.headers = joined(request.headers)
  req.rawHeaders = Object.entries(request.headers).flatMap(([name, value]) => [value].flat().flatMap((one) => [name, one]))
  if (request.body) req.push(request.body)
  req.complete = true
  req.push(null)
  const res = new ServerResponse(req)
  res.assignSocket(socket)
  return {
    req,
    res,
    leave() {
      if (!req.readableEnded) req.destroy()
      socket.destroy()
    },
    finish() {
      req.resume()
      socket.destroy()
    },
  }
}

/* Repeated headers are a list in node:http only for Set-Cookie, which no request has. */
function joined(headers: RuntimeRequest['headers']): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]))
}
