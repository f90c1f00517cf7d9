import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { GatewaySettings } from './gateway-settings.ts'
import { freePorts } from './ports.ts'
import { type ServerProcess, startModule } from './process.ts'
import { recordsIn } from './store-records.ts'

/** A gateway in a process of its own with nothing behind it: for what ends before anyone signs in. */
export interface BareGateway {
  issuer: string
  mcpUrl: string
  process: ServerProcess
  /** Every event it has logged, in order. */
  events(): Record<string, unknown>[]
  /** How many live records of each prefix stand in its store. */
  records(): Record<string, number>
  /** Moves its clock; resolves when it has. */
  advanceClock(milliseconds: number): Promise<void>
  /** Bytes of its heap in use after a full collection. */
  heapBytes(): Promise<number>
  /** Stops it; it must still be there. */
  close(): Promise<void>
}

/** What a test may say of it. */
export interface BareOptions {
  /** Members of the gateway's options. */
  gateway?: Partial<Omit<GatewaySettings, 'port' | 'publicUrl'>>
  /** A store that it shares with another; its own in a folder of its own otherwise. */
  storeFile?: string
  /** Environment of its process. */
  env?: Record<string, string>
  /** Modules loaded before it. */
  preload?: string[]
}

/** Starts one: one MCP server at /mcp, whose runtime nobody is. */
export async function startBareGateway(options: BareOptions = {}): Promise<BareGateway> {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-bare-'))
  const [port, nobody] = (await freePorts(2)) as [number, number]
  const issuer = `http://127.0.0.1:${port}`
  const nowhere = `http://127.0.0.1:${nobody}`
  const storeFile = options.storeFile ?? join(folder, 'gateway.db')
  const settings: GatewaySettings = {
    port,
    publicUrl: issuer,
    apiUrl: nowhere,
    downstream: { issuer: nowhere, clientId: 'gateway', clientSecret: 'secret-of-the-gateway', scopes: ['read', 'write'] },
    servers: { mcp: { path: '/mcp', runtime: `${nowhere}/mcp`, workerSecret: randomBytes(32).toString('base64url'), scopes: ['read', 'write'] } },
    store: `sqlite:${storeFile}`,
    secrets: [randomBytes(32).toString('base64url')],
    ...options.gateway,
  }
  const execArgv = ['--expose-gc', ...(options.preload ?? []).flatMap((file) => ['--import', file])]
  const file = fileURLToPath(new URL('./gateway-process.ts', import.meta.url))
  const gateway = await startModule(file, { GATEWAY_SETTINGS: JSON.stringify(settings), ...options.env }, { execArgv })
  return {
    issuer,
    mcpUrl: `${issuer}/mcp`,
    process: gateway,
    events: () => (gateway.messages as { event?: Record<string, unknown> }[]).flatMap(({ event }) => (event === undefined ? [] : [event])),
    records: () => recordsIn(storeFile),
    async advanceClock(milliseconds) {
      const before = told(gateway, 'clockOffsetMs').length
      gateway.send({ advanceClockMs: milliseconds })
      while (told(gateway, 'clockOffsetMs').length === before) await gateway.nextMessage()
    },
    async heapBytes() {
      const before = told(gateway, 'heapBytes').length
      gateway.send({ tellHeap: true })
      while (told(gateway, 'heapBytes').length === before) await gateway.nextMessage()
      return told(gateway, 'heapBytes').at(-1) as number
    },
    async close() {
      await gateway.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** What its process has said so far under one name. */
function told({ messages }: ServerProcess, name: 'heapBytes' | 'clockOffsetMs'): number[] {
  return (messages as Record<string, unknown>[]).flatMap((message) => (typeof message[name] === 'number' ? [message[name]] : []))
}
