import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { selfSigned } from '../../packages/gateway/test/http/certificate.ts'

/** What happens on a connection once the head of its request is in. */
export type Behaviour = (socket: Socket, request: { path: string; head: string }) => void

/** A web host that answers with whatever bytes a test wants, over TLS. */
export interface HostileHost {
  /** `https://localhost:port`. */
  origin: string
  port: number
  /** File with its certificate, for NODE_EXTRA_CA_CERTS. */
  caFile: string
  /** Paths asked for, in order. */
  readonly asked: string[]
  /** Lets a path behave; gives its URL. */
  on(path: string, behaviour: Behaviour): string
  /** Connections that are open now. */
  open(): number
  close(): Promise<void>
}

/** Starts one on a free port of loopback. Paths without a behaviour are answered with 404. */
export async function startHostileHost(): Promise<HostileHost> {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-hostile-'))
  const caFile = join(folder, 'cert.pem')
  const certificate = selfSigned('localhost')
  await writeFile(caFile, certificate.cert)
  const behaviours = new Map<string, Behaviour>()
  const asked: string[] = []
  const sockets = new Set<Socket>()
  const server = createServer(certificate, (socket) => {
    sockets.add(socket)
    let head = ''
    // The gateway hangs up on most of what is sent here.
    socket.on('error', () => {})
    socket.on('close', () => sockets.delete(socket))
    socket.on('data', (chunk) => {
      const isNew = !head.includes('\r\n\r\n')
      head += chunk.toString('latin1')
      if (!isNew || !head.includes('\r\n\r\n')) return
      const path = head.split(' ', 2)[1] ?? ''
      asked.push(path)
      const behaviour = behaviours.get(path)
      if (behaviour) behaviour(socket, { path, head })
      else socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n')
    })
  }).on('tlsClientError', () => {})
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const { port } = server.address() as AddressInfo
  const origin = `https://localhost:${port}`
  return {
    origin,
    port,
    caFile,
    asked,
    on(path, behaviour) {
      behaviours.set(path, behaviour)
      return origin + path
    },
    open: () => sockets.size,
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((closed) => server.close(closed))
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Answers with a body of a known length. */
export function answers(status: string, headers: Record<string, string>, body: string | Buffer): Behaviour {
  return (socket) => {
    const lines = Object.entries({ 'content-length': String(Buffer.byteLength(body)), connection: 'close', ...headers }).map(
      ([name, value]) => `${name}: ${value}\r\n`,
    )
    socket.write(`HTTP/1.1 ${status}\r\n${lines.join('')}\r\n`)
    socket.end(body)
  }
}

/** Sends a beginning, and then a piece again and again for as long as the other side listens; counts what it was able to send. */
export function sendsForever(beginning: string, piece: string, everyMs: number): Behaviour & { sent(): number } {
  let sent = 0
  const behaviour: Behaviour = (socket) => {
    socket.write(beginning)
    const next = () => {
      if (socket.destroyed) return
      sent += piece.length
      const isTaken = socket.write(piece)
      if (everyMs > 0) setTimeout(next, everyMs)
      else if (isTaken) setImmediate(next)
      else socket.once('drain', next)
    }
    next()
  }
  return Object.assign(behaviour, { sent: () => sent })
}
