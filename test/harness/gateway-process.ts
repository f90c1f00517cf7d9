// A gateway of its own process, in an Express 5 app, as a team would run it. Options come as JSON by environment; what JSON cannot hold is named.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGateway, type GatewayOptions } from '@emcy/gateway'
import express from 'express'
import { createRuntime } from '../../examples/todo/runtime.ts'
import type { GatewaySettings } from './gateway-settings.ts'

const settings = JSON.parse(process.env.GATEWAY_SETTINGS ?? '{}') as GatewaySettings

/** A server whose runtime is the Todo runtime as a handler in this process. */
function withLocalRuntime(server: GatewaySettings['servers'][string]): unknown {
  if (server.runtime !== undefined) return server
  const secret = server.workerSecret
  return { ...server, runtime: createRuntime({ apiUrl: settings.apiUrl, secret: typeof secret === 'string' ? secret : [...secret] }) }
}

const { apiUrl: _, port, clockOffsetMs, ...options } = settings
let offset = clockOffsetMs ?? 0
const servers = Object.fromEntries(Object.entries(options.servers).map(([name, server]) => [name, withLocalRuntime(server)]))
const gateway = createGateway({
  ...options,
  servers,
  clock: () => Date.now() + offset,
  // Every event goes to the test over this process's own channel.
  log: (event: unknown) => {
    if (process.connected) process.send?.({ event })
  },
} as unknown as GatewayOptions)

const app = express()
app.disable('x-powered-by')
app.use(gateway)
app.get('/health', (_req, res) => {
  res.json({ host: 'app' })
})
const server = createServer(app).listen(port, '127.0.0.1')
server.once('listening', () => process.send?.({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
process.on('message', (message: { advanceClockMs?: number }) => {
  offset += message.advanceClockMs ?? 0
  process.send?.({ clockOffsetMs: offset })
})
const stop = async () => {
  server.close()
  server.closeAllConnections()
  await gateway.close()
  process.exit(0)
}
process.once('SIGTERM', stop)
process.once('disconnect', stop)
