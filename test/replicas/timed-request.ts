import { Agent, type IncomingHttpHeaders, request } from 'node:http'

/** What came of one request. */
export type Outcome =
  | { is: 'answer'; status: number; headers: IncomingHttpHeaders; text: string; ms: number; standstillMs: number }
  /** No answer: the connection was refused or broke. */
  | { is: 'broken'; code: string; ms: number; standstillMs: number }

const agent = new Agent({ keepAlive: true, maxSockets: 256 })

const tickMs = 20
let standstill = 0
let lastTick = performance.now()
// How long this process itself has stood still, all in all: on a starved machine that is not the gateway's time.
setInterval(() => {
  const now = performance.now()
  standstill += Math.max(0, now - lastTick - tickMs)
  lastTick = now
}, tickMs).unref()

const control: { sentAt: number; doneAt: number }[] = []

/**
 * Asks a server that has nothing to do, 20 times a second: what that takes, the machine takes.
 *
 * @param url answers a stranger at once
 */
export async function watchMachine(url: string): Promise<never> {
  for (;;) {
    const probe = { sentAt: performance.now(), doneAt: Number.POSITIVE_INFINITY }
    control.push(probe)
    await timedRequest(url, {}, '')
    probe.doneAt = performance.now()
    if (control.length > 2_000) control.shift()
    await new Promise((next) => setTimeout(next, 50))
  }
}

/** A call goes through the gateway twice, the store, and the runtime or the provider. */
const hops = 4
const unloadedMs = 20

/** How much of the time since then a starved machine took. */
function machineMs(since: number): number {
  const now = performance.now()
  const probes = control.filter(({ doneAt }) => doneAt >= since).map(({ sentAt, doneAt }) => Math.min(doneAt, now) - sentAt)
  return hops * Math.max(0, ...probes.map((ms) => ms - unloadedMs))
}

/** Nothing may take longer, whatever happens. */
const hangMs = 60_000

/** Sends a request and measures from the moment it was written to its last byte. */
export function timedRequest(url: string, headers: Record<string, string>, body: string): Promise<Outcome> {
  return new Promise((resolve) => {
    let written = performance.now()
    let before = standstill
    const times = () => ({ ms: performance.now() - written, standstillMs: standstill - before + machineMs(written) })
    const broken = (error: NodeJS.ErrnoException) => resolve({ is: 'broken', code: error.code ?? error.message, ...times() })
    const sent = request(url, { method: 'POST', agent, headers: { ...headers, 'content-length': String(Buffer.byteLength(body)) } })
    sent.setTimeout(hangMs, () => sent.destroy(new Error(`no answer in ${hangMs} ms`)))
    sent.on('finish', () => {
      written = performance.now()
      before = standstill
    })
    sent.on('error', broken)
    sent.on('response', (answer) => {
      const chunks: Buffer[] = []
      answer.on('data', (chunk: Buffer) => chunks.push(chunk))
      answer.on('error', broken)
      answer.on('end', () =>
        resolve({ is: 'answer', status: answer.statusCode ?? 0, headers: answer.headers, text: Buffer.concat(chunks).toString(), ...times() }),
      )
    })
    sent.end(body)
  })
}
