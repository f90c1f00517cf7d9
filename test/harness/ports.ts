import { randomInt } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'

/*
 * Below the range from which Linux takes the ports of outgoing connections (32768 and up): a port that was found free there can be gone a moment later, when the server that
 * it was meant for starts. The nodes of a Redis Cluster listen 10,000 above their port as well.
 */
const [lowest, beyond] = [10_000, 21_000]

/* Each of the processes that run tests side by side has ports of its own: two that try one port in the same moment would take it from each other. */
const slices = 2
const width = Math.floor((beyond - lowest) / slices)
const first = lowest + ((Number(process.env.JEST_WORKER_ID ?? 1) - 1) % slices) * width

const given = new Set<number>()

/** Whether nobody listens on a port of loopback. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  const outcome = Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)])
  server.listen(port, '127.0.0.1')
  const free = await outcome
  if (free) await new Promise((closed) => server.close(closed))
  return free
}

/** Free ports on loopback for servers that are started right afterwards; none is given twice. */
export async function freePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const port = randomInt(first, first + width)
    if (given.has(port)) continue
    given.add(port)
    if (await isFree(port)) ports.push(port)
  }
  return ports
}
