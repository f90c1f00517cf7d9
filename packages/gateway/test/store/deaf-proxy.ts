import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Stands before a server; connections can be made to answer nothing any more, while new ones work. */
export interface DeafProxy {
  port: number
  /** Connections that are open now stay open, and nothing passes through them again. */
  deafen(): void
  /** Ends every open connection, as a server does that goes away. */
  breakAll(): void
  connections(): number
  close(): Promise<void>
}

/** Starts such a proxy on loopback. */
export async function startDeafProxy(to: number): Promise<DeafProxy> {
  const sockets = new Set<Socket>()
  const pairs = new Set<[Socket, Socket]>()
  const server = createServer((client) => {
    const upstream = connect(to, '127.0.0.1')
    const pair: [Socket, Socket] = [client, upstream]
    pairs.add(pair)
    for (const [from, into] of [pair, [upstream, client] as const]) {
      sockets.add(from)
      from.pipe(into)
      from.on('error', () => into.destroy())
      from.on('close', () => {
        sockets.delete(from)
        pairs.delete(pair)
        into.destroy()
      })
    }
  })
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    deafen() {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream)
        upstream.unpipe(client)
        // Read on, or the end of the client's side would go unseen.
        client.resume()
      }
    },
    breakAll,
    connections: () => pairs.size,
    async close() {
      breakAll()
      await new Promise((closed) => server.close(closed))
    },
  }
}
