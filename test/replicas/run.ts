import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { openStore } from '../../packages/gateway/src/store/open-store.ts'
import type { Order, Report } from './hammer.ts'
import type { ClientTokens } from './hammered-connection.ts'
import type { Replicas } from './replicas.ts'

/** A deed of the test while the clients call: when it begins, in seconds after their first call, and what it does. */
export type Deed = [atSecond: number, act: () => Promise<unknown>]

/** Lets the clients call through both gateways while the deeds are done, one after the other. */
export async function hammer(
  world: Replicas,
  connections: ClientTokens[],
  options: { seconds: number; callsPerSecond: number; refreshAfterSeconds?: number; deeds: Deed[] },
): Promise<Report> {
  const child = fork(fileURLToPath(new URL('./hammer.ts', import.meta.url)), [], { execArgv: [], env: { ...process.env, NODE_OPTIONS: '' } })
  try {
    await once(child, 'message')
    const { refreshAfterSeconds } = options
    const place = {
      gateways: world.gateways.map(({ url }) => url),
      resource: world.mcpUrl,
      control: world.runtimeUrl,
      ...(refreshAfterSeconds !== undefined && { refreshAfterSeconds }),
    }
    const say = (order: Order) => child.send(order)
    const reported = once(child, 'message') as Promise<[{ report: Report }]>
    const died = once(child, 'exit').then(([code]) => Promise.reject(new Error(`the process of the clients ended with ${code}`)))
    died.catch(() => undefined)
    say({ do: 'begin', place, connections, callsPerSecond: options.callsPerSecond })
    const startedAt = performance.now()
    const until = (second: number) => pause(Math.max(0, second * 1000 - (performance.now() - startedAt)))
    for (const [second, act] of options.deeds) {
      await until(second)
      await act()
    }
    await until(options.seconds)
    say({ do: 'end' })
    return (await Promise.race([reported, died]))[0].report
  } finally {
    child.kill('SIGKILL')
  }
}

/** How many token sets each connection's grant has had, by user; a grant that is gone is left out. */
export async function grantVersions(storeUrl: string, connections: ClientTokens[]): Promise<Map<string, number>> {
  const store = openStore(storeUrl, 5_000)
  try {
    const versions = new Map<string, number>()
    for (const { user, accessToken } of connections) {
      const id = /^emcy_at_([\w-]+)\./.exec(accessToken)?.[1]
      const raw = await store.get(`grant:default:${id}`)
      if (raw !== undefined) versions.set(user, (JSON.parse(raw) as { version: number }).version)
    }
    return versions
  } finally {
    await store.close()
  }
}
