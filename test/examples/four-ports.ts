import { once } from 'node:events'
import { createServer } from 'node:net'
import { freePorts } from '../harness/ports.ts'

/** Whether nobody listens on a port. */
async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const outcome = once(server, 'listening').then(
    () => true,
    () => false,
  )
  server.listen(port, '127.0.0.1')
  const free = await outcome
  if (free) await new Promise((closed) => server.close(closed))
  return free
}

/** The first of four free ports in a row: the demo takes a port and the three after it. */
export async function fourPorts(): Promise<number> {
  for (;;) {
    const [port = 0] = await freePorts(1)
    const next = await Promise.all([1, 2, 3].map((offset) => isFree(port + offset)))
    if (port < 65_000 && next.every(Boolean)) return port
  }
}
