import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/*
 * Below the range from which Linux takes the ports of outgoing connections (32768 and up): a port that was found free there can be gone a moment later, when the server that
 * it was meant for starts.
 */
const [lowest, beyond] = [10_000, 32_000]

/** Whether nobody listens on a port of loopback. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const outcome = Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)])
  server.listen(port, '127.0.0.1')
  const free = await outcome
  if (free) await new Promise((closed) => server.close(closed))
  return free
}

/** Free ports on loopback, all different, for servers that are started right afterwards. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>()
  while (ports.size < count) {
    const port = randomInt(lowest, beyond)
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}
