import { freePorts, isFree } from '../harness/ports.ts'

/** The first of four free ports in a row: the demo takes a port and the three after it. */
export async function fourPorts(): Promise<number> {
  for (;;) {
    const [port = 0] = await freePorts(1)
    const next = await Promise.all([1, 2, 3].map((offset) => isFree(port + offset)))
    if (next.every(Boolean)) return port
  }
}
