import { once } from 'node:events'
import { basename, join } from 'node:path'
import { openDataFolder, readOrCreateSecret } from '../todo/data-folder.ts'
import { listen } from '../todo/listen.ts'
import { type Part, startPart } from '../todo/part.ts'
import { gatewayEnv, placesOf, teamPartsOf } from '../todo/parts.ts'
import { createFront } from './front.ts'
import { keepReplica } from './replica.ts'

/** What differs between the examples. */
export interface SharedStore {
  /** As people call it: `Redis`. */
  name: string
  /** The environment variable that holds its address, and the address when it is not set. */
  variable: string
  defaultAddress: string
  /** Rejects when nothing answers there. */
  ping(address: string): Promise<void>
}

const REPLICAS = 2

/**
 * Starts the Todo team's authorization server, API and MCP runtime, two gateway processes on one store, and one port before the two; runs until a signal.
 *
 * @param folder of the example; its `gateway.ts` is one gateway process
 * @returns the exit code
 */
export async function startReplicas(folder: string, store: SharedStore): Promise<number> {
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())
  const untilStopped = once(stopped.signal, 'abort')
  const running: { stop(): Promise<void> }[] = []
  try {
    const port = Number(process.env.PORT || 3000)
    if (!Number.isInteger(port) || port < 1 || port > 65_532) throw new Error(`PORT=${process.env.PORT} is no port from 1 to 65532`)
    const address = process.env[store.variable] || store.defaultAddress
    await store.ping(address).catch((error: Error) => {
      throw new Error(`No ${store.name} answers at ${withoutPassword(address)} (${reasonOf(error)}): start one there, or name yours with ${store.variable}=…`)
    })
    const dataDir = openDataFolder(process.env.DATA_DIR || join(import.meta.dirname, '../../.data', basename(folder)))
    const places = placesOf(port, dataDir)

    const front = createFront()
    const { server, close } = await listen(port)
    running.push({ stop: close })
    server.on('request', front.handler)
    const team: Part[] = []
    for (const settings of await teamPartsOf(places, 'sdk')) {
      if (stopped.signal.aborted) return 0
      const part = await startPart(settings)
      running.push(part)
      team.push(part)
      console.log(`${part.name.padEnd(22)}${part.url}`)
    }
    for (let number = 1; number <= REPLICAS; number++) {
      if (stopped.signal.aborted) return 0
      const name = `gateway ${number}`
      const env = {
        ...gatewayEnv(places, 'sdk'),
        PUBLIC_URL: places.gateway,
        GATEWAY_SECRET: readOrCreateSecret(dataDir, 'gateway-secret'),
        REPLICA: name,
        [store.variable]: address,
      }
      const log = join(dataDir, `gateway-${number}.log`)
      const command = { command: process.execPath, args: [join(folder, 'gateway.ts')], tellsWhenListening: true }
      running.push(await keepReplica({ ...command, name, env, log, isReady: async () => true }, front, console.log))
    }
    console.log(`Emcy Gateway ready ${places.gateway}/mcp`)
    const died = await Promise.race([untilStopped.then(() => undefined), ...team.map((part) => part.ended.then(() => part.name))])
    if (died) throw new Error(`The ${died} ended by itself: see its log in ${dataDir}`)
    return 0
  } catch (error) {
    console.error((error as Error).message)
    return 1
  } finally {
    for (const each of running.reverse()) await each.stop()
  }
}

/** The address may hold a password, which belongs on no screen. */
function withoutPassword(address: string): string {
  if (!URL.canParse(address)) return 'an address that is none'
  const url = new URL(address)
  if (url.password) url.password = '***'
  return url.href
}

/** A name with several addresses fails by an error of errors, without words of its own. */
function reasonOf(error: Error): string {
  return error.message || String((error as AggregateError).errors?.[0] ?? error.name)
}
