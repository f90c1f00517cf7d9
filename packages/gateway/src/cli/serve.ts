import { createServer, type Server } from 'node:http'
import { ConfigError } from '../errors/errors.ts'
import type { Gateway } from '../gateway.ts'
import { gatewayOf, loadOptions } from './load-gateway.ts'

/** What `serve` is told. */
export interface ServeOptions {
  /** Path of the module, from the working directory. */
  config: string
  /** Left out: `PORT`, else the port of a loopback `publicUrl`, else 3000. */
  port: number | undefined
  print: (line: string) => void
}

/** How long calls that run when a stop is asked for may go on. */
const stopMs = 10_000

/**
 * Runs a gateway of its own, until SIGTERM or SIGINT: then nothing more is accepted, running calls end within ten seconds, the store is closed, and the process
 * exits with 0.
 *
 * @throws ConfigError for a configuration that cannot be read or is wrong
 */
export async function serve({ config, port, print }: ServeOptions): Promise<void> {
  const options = await loadOptions(config)
  const gateway = gatewayOf(options, config)
  const { publicUrl, servers } = options
  const server = createServer((req, res) => gateway(req, res))
  try {
    await listen(server, port ?? defaultPort(publicUrl), new URL(publicUrl))
  } catch (error) {
    await gateway.close()
    throw error
  }
  stopOnSignal(server, gateway)
  for (const line of gateway.describe()) print(`  ${line}`)
  const urls = Object.values(servers).map(({ path }) => publicUrl.replace(/\/$/, '') + path)
  print(`Emcy Gateway ready ${urls.join(' ')}`)
}

function defaultPort(publicUrl: string): number {
  const { PORT } = process.env
  if (PORT !== undefined && PORT !== '') {
    if (!/^\d{1,5}$/.test(PORT) || Number(PORT) > 65_535) throw new ConfigError('PORT', 'must be a number from 0 to 65535')
    return Number(PORT)
  }
  const url = new URL(publicUrl)
  return url.protocol === 'http:' ? Number(url.port || 80) : 3000
}

/** A gateway whose public URL is this machine is meant for nobody else. */
function listen(server: Server, port: number, { protocol, hostname }: URL): Promise<void> {
  const host = protocol === 'http:' ? hostname.replace(/^\[|\]$/g, '') : undefined
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'EADDRINUSE' ? new Error(`port ${port} is taken by another program; choose another with --port`) : error)
    })
    server.listen({ port, host }, () => resolve())
  })
}

function stopOnSignal(server: Server, gateway: Gateway): void {
  let stopping = false
  // A connection that is kept alive would keep the server open once its call has ended.
  server.prependListener('request', (_req, res) => res.once('close', () => stopping && setImmediate(() => server.closeIdleConnections())))
  const stop = () => {
    if (stopping) return server.closeAllConnections()
    stopping = true
    const timer = setTimeout(() => server.closeAllConnections(), stopMs)
    server.close(() => {
      clearTimeout(timer)
      gateway.close().then(
        () => process.exit(0),
        (error: unknown) => {
          process.stderr.write(`emcy-gateway: ${String(error)}\n`)
          process.exit(1)
        },
      )
    })
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
}
