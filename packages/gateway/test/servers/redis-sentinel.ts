import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { freePorts } from '../../../../test/harness/ports.ts'
import { installed, output, startServer, type TestServer } from './program.ts'
import { isRedisReady, startRedis } from './redis.ts'

/** How the sentinels call the Redis that they watch. */
export const sentinelGroup = 'emcy-tests'

/** A master, its replica, and three sentinels, two of which decide. */
export interface SentinelGroup {
  nodes: TestServer[]
  sentinels: TestServer[]
  /** The node that is the master by the word of every sentinel; undefined while they do not agree. */
  master(): Promise<TestServer | undefined>
  /** Resolves when the master has its replica and every sentinel knows both and the other two. */
  whole(): Promise<void>
  remove(): Promise<void>
}

/** Starts such a group; a master that has been gone for a second is replaced. */
export async function startSentinelGroup(): Promise<SentinelGroup> {
  const first = await startRedis()
  const replica = await startRedis(['--replicaof', '127.0.0.1', String(first.port)])
  const sentinels = await Promise.all((await freePorts(3)).map((port) => startServer(sentinelOf(first.port), port)))
  const nodes = [first, replica]
  const ask = async (server: TestServer, ...args: string[]) => output('redis-cli', ['-p', String(server.port), ...args])
  const master = async () => {
    const words = await Promise.all(sentinels.map((sentinel) => ask(sentinel, 'SENTINEL', 'GET-MASTER-ADDR-BY-NAME', sentinelGroup)))
    const ports = new Set(words.map((word) => Number(word.split('\n')[1])))
    return ports.size === 1 ? nodes.find(({ port }) => ports.has(port)) : undefined
  }
  const isWhole = async () => {
    const found = await master()
    if (!found || !(await ask(found, 'INFO', 'replication')).includes('state=online')) return false
    const infos = await Promise.all(sentinels.map((sentinel) => ask(sentinel, 'INFO', 'sentinel')))
    return infos.every((info) => info.includes('status=ok') && info.includes('slaves=1,sentinels=3'))
  }
  const group: SentinelGroup = {
    nodes,
    sentinels,
    master,
    async whole() {
      while (!(await isWhole())) await pause(50)
    },
    async remove() {
      await Promise.all([...sentinels, ...nodes].map((server) => server.remove()))
    },
  }
  await group.whole()
  return group
}

function sentinelOf(masterPort: number) {
  const file = (folder: string) => join(folder, 'sentinel.conf')
  return {
    command: installed('/usr/bin/redis-server'),
    // It writes what it finds out into its configuration.
    async prepare(folder: string, port: number) {
      const settings = [
        ...[`port ${port}`, 'bind 127.0.0.1', `dir ${folder}`, `sentinel monitor ${sentinelGroup} 127.0.0.1 ${masterPort} 2`],
        ...[`sentinel down-after-milliseconds ${sentinelGroup} 1000`, `sentinel failover-timeout ${sentinelGroup} 3000`],
      ]
      writeFileSync(file(folder), `${settings.join('\n')}\n`)
    },
    args: (folder: string) => [file(folder), '--sentinel'],
    isReady: isRedisReady,
  }
}
