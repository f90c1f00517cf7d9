// A gateway in a process of its own, mounted as a team would mount it. Options come as JSON by environment; what JSON cannot hold is named.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGateway, type GatewayOptions } from '@emcy/gateway'
import { createRuntime } from '../../examples/todo/runtime.ts'
import type { GatewaySettings } from './gateway-settings.ts'
import { hosts } from './hosts.ts'

const settings = JSON.parse(process.env.GATEWAY_SETTINGS ?? '{}') as GatewaySettings

/** A server whose runtime is the Todo runtime as a handler in this process, unless it has one of its own. */
function withLocalRuntime(server: GatewaySettings['servers'][string]): unknown {
  if (server.runtime !== undefined) return server
  const secret = server.workerSecret
  return { ...server, runtime: createRuntime({ apiUrl: settings.apiUrl, secret: typeof secret === 'string' ? secret : [...secret] }) }
}

/** Tells the test something over this process's own channel, while there is one. */
const tell = (message: object) => {
  if (process.connected) process.send?.(message)
}

const { apiUrl: _, port, host, clockOffsetMs, ...options } = settings
let offset = clockOffsetMs ?? 0
const gateway = createGateway({
  ...options,
  servers: Object.fromEntries(Object.entries(options.servers).map(([name, server]) => [name, withLocalRuntime(server)])),
  clock: () => Date.now() + offset,
  log: settings.log ?? ((event: unknown) => tell({ event })),
} as unknown as GatewayOptions)

const server = createServer(hosts[host ?? 'express5'](gateway, tell)).listen(port, '127.0.0.1')
// Longer than any client or balancer keeps a connection that is idle, as behind any balancer: else it may close one on which a request is under way.
server.keepAliveTimeout = 65_000
server.once('listening', () => tell({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
process.on('message', (message: { advanceClockMs?: number; tellHeap?: boolean }) => {
  if (message.tellHeap) {
    globalThis.gc?.()
    return tell({ heapBytes: process.memoryUsage().heapUsed + process.memoryUsage().external })
  }
  offset += message.advanceClockMs ?? 0
  tell({ clockOffsetMs: offset })
})
const stop = async () => {
  server.close()
  server.closeAllConnections()
  await gateway.close()
  process.exit(0)
}
process.once('SIGTERM', stop)
process.once('disconnect', stop)
