import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { freePorts } from '../../../../test/harness/ports.ts'
import { installed, output, type Program, startServer, type TestServer } from './program.ts'
import { valkeyServer } from './valkey.ts'

const cli = () => installed('/usr/bin/redis-cli')

function redis(command: string, more: (port: number) => string[] = () => []): Program {
  return {
    command,
    // Every write is on disk before its answer, so that a restarted server knows what it has promised.
    args: (folder, port) => [
      ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder, '--save', '', '--appendonly', 'yes', '--appendfsync', 'always', '--daemonize', 'no'],
      ...more(port),
    ],
    isReady: isRedisReady,
  }
}

/** Whether the server at this port is this very process. */
export async function isRedisReady(_folder: string, port: number, pid: number): Promise<boolean> {
  return (await output(cli(), ['-p', String(port), 'INFO', 'server'])).includes(`process_id:${pid}\r`)
}

/** Debian's Redis, with further settings as its command line takes them. */
export async function startRedis(more: string[] = []): Promise<TestServer> {
  const [port = 0] = await freePorts(1)
  return startServer(
    redis(installed('/usr/bin/redis-server'), () => more),
    port,
  )
}

/** Valkey, from PyPI. */
export async function startValkey(): Promise<TestServer> {
  const [port = 0] = await freePorts(1)
  return startServer(redis(await valkeyServer()), port)
}

/** Three masters without replicas. */
export async function startRedisCluster(): Promise<TestServer[]> {
  const ports = await portsWithBus(3)
  const program = redis(installed('/usr/bin/redis-server'), (port) => [
    ...['--cluster-enabled', 'yes', '--cluster-port', String(port + 10_000), '--cluster-node-timeout', '2000'],
  ])
  const nodes = await Promise.all(ports.map((port) => startServer(program, port)))
  await output(cli(), ['--cluster', 'create', ...ports.map((port) => `127.0.0.1:${port}`), '--cluster-replicas', '0', '--cluster-yes'])
  const isWhole = async (port: number) => {
    const info = await output(cli(), ['-p', String(port), 'CLUSTER', 'INFO'])
    return info.includes('cluster_state:ok') && info.includes('cluster_slots_ok:16384')
  }
  while (!(await Promise.all(ports.map(isWhole))).every(Boolean)) await pause(50)
  return nodes
}

async function portsWithBus(count: number): Promise<number[]> {
  const ports: number[] = []
  while (ports.length < count) {
    const [port = 0] = await freePorts(1)
    if (port + 10_000 < 32_000 && !ports.includes(port) && (await isFree(port + 10_000))) ports.push(port)
  }
  return ports
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer()
  server.listen(port, '127.0.0.1')
  const free = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)])
  if (free) await new Promise((closed) => server.close(closed))
  return free
}
