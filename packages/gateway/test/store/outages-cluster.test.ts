import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { output, type TestServer } from '../servers/program.ts'
import { startRedisCluster } from '../servers/redis.ts'
import type { Kind } from './open-backend.ts'
import { Caller, refuses, works } from './outage-caller.ts'
import type { Seen } from './outage-worker.ts'

const kinds: Kind[] = ['redis cluster, keyv 6', 'redis cluster, keyv 5', 'valkey cluster, keyv 5']

/** The node that is lost, of three. */
const lost = 1
const isWhole = (seen: Seen[]) => seen.every(works)
const lacksOne = (seen: Seen[]) => seen.every((one, node) => (node === lost ? refuses(one) : works(one)))

describe('a Redis Cluster of three masters without replicas', () => {
  let nodes: TestServer[]
  const callers: Caller[] = []
  const cli = (node: number, ...args: string[]) => output('redis-cli', ['-p', String(nodes[node]?.port), ...args])
  const allSee = (met: (seen: Seen[]) => boolean) => Promise.all(callers.map((caller) => caller.until(met, 20_000)))

  beforeAll(async () => {
    nodes = await startRedisCluster()
    const groups = await Promise.all(nodes.map((_, node) => groupOn(node)))
    const ports = nodes.map(({ port }) => port)
    callers.push(...kinds.map((kind) => new Caller(kind, ports, groups)))
    await Promise.all(callers.map((caller) => caller.ready()))
  }, 120_000)
  afterAll(async () => {
    for (const { child } of callers) child.kill('SIGKILL')
    await Promise.all(nodes.map((node) => node.remove()))
  })

  /** A beginning of keys that are all on this node: what stands in braces alone decides where a key is. */
  async function groupOn(node: number): Promise<string> {
    const id = (await cli(node, 'CLUSTER', 'MYID')).trim()
    const own = (await cli(node, 'CLUSTER', 'NODES')).split('\n').find((line) => line.startsWith(id)) ?? ''
    const [from = 0, to = 0] = (/ (\d+)-(\d+)$/.exec(own) ?? []).slice(1).map(Number)
    for (let number = 0; ; number++) {
      const slot = Number(await cli(node, 'CLUSTER', 'KEYSLOT', `emcy:{${number}}kept`))
      if (slot >= from && slot <= to) return `{${number}}`
    }
  }

  it.each<[string, (node: TestServer) => unknown, (node: TestServer) => unknown]>([
    ['dies', (node) => node.kill(), (node) => node.start()],
    ['hangs', (node) => node.hang(), (node) => node.goOn()],
  ])(
    'serves the keys of two nodes while the third %s, refuses its keys in time, and serves all when it is back',
    async (_, bringDown, bringUp) => {
      // Redis' default is that the whole cluster refuses while a slot is served by nobody.
      for (const index of nodes.keys()) await cli(index, 'CONFIG', 'SET', 'cluster-require-full-coverage', 'no')
      const node = nodes[lost] as TestServer
      await allSee(isWhole)
      await bringDown(node)
      await allSee(lacksOne)
      // Longer than the cluster's own patience, and than clients are kept that fail: not one call to a sound node may suffer.
      const end = performance.now() + 6_000
      for (const seen of await allSee(() => performance.now() > end)) {
        expect(seen.map(({ right, unavailable }) => [right > 0, unavailable > 0])).toEqual(nodes.map((_, index) => [index !== lost, index === lost]))
      }
      await bringUp(node)
      await allSee(isWhole)
    },
    120_000,
  )

  it('no process has ended of it, and each ends well', async () => {
    for (const caller of callers) await caller.end()
  }, 30_000)
})
