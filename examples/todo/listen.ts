import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server that listens on loopback and can be stopped. */
export interface Running {
  url: string
  close(): Promise<void>
}

/**
 * Listens on loopback; port 0 lets the kernel choose.
 *
 * @throws Error that names the port when another program holds it
 */
export async function listen(port: number): Promise<{ server: Server } & Running> {
  const server = createServer()
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? new Error(`Port ${port} is in use: stop what listens there, or choose others with PORT=…`) : error)
    })
    server.listen(port, '127.0.0.1', resolve)
  })
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
