import { once } from 'node:events'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { listen } from './listen.ts'
import { walkThrough } from './once.ts'
import { type Part, startPart } from './part.ts'
import { type Places, partsOf, placesOf, RUNTIMES, type RuntimeKind } from './parts.ts'

const USAGE = `Usage: npm start -- [--once] [--runtime ${RUNTIMES.join('|')}]
  --once      lets a real MCP client walk through everything, prints one line a leg, and ends
  --runtime   the MCP runtime behind the gateway: the MCP SDK for TypeScript (sdk), Python FastMCP, or a handler in the gateway's process (local)
  PORT        environment: the gateway's port, 3000 when left out; the others take the next three
  DATA_DIR    environment: where data, keys and logs are kept, .data when left out`

/** Runs the demo until a signal, or with `--once` to the end of the walk. @returns the exit code */
export async function main(argv: string[]): Promise<number> {
  const settings = settingsOf(argv)
  if (typeof settings === 'string') {
    console.error(settings)
    return argv.includes('--help') || argv.includes('-h') ? 0 : 2
  }
  const { places, runtime } = settings
  const parts: Part[] = []
  const stopped = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stopped.abort())
  const untilStopped = once(stopped.signal, 'abort')
  try {
    for (const url of [places.gateway, places.authorizationServer, places.api, places.runtime]) await (await listen(Number(new URL(url).port))).close()
    for (const each of await partsOf(places, runtime)) {
      if (stopped.signal.aborted) return 0
      parts.push(await startPart(each))
      console.log(whereIs(each.name, places, runtime))
    }
    if (runtime === 'local') console.log(whereIs('MCP runtime', places, runtime))
    console.log(howToConnect(places))
    console.log(`Emcy Gateway ready ${places.gateway}/mcp`)
    if (settings.once) return (await walkThrough(`${places.gateway}/mcp`, console.log)) ? 0 : 1
    const died = await Promise.race([untilStopped.then(() => undefined), ...parts.map((part) => part.ended.then(() => part.name))])
    if (died) throw new Error(`The ${died} ended by itself: see its log in ${places.dataDir}`)
    return 0
  } catch (error) {
    console.error((error as Error).message)
    return 1
  } finally {
    for (const part of parts.reverse()) await part.stop()
  }
}

/** What the command line and the environment ask for, or what is wrong with them. */
function settingsOf(argv: string[]): { once: boolean; runtime: RuntimeKind; places: Places } | string {
  let values: { once: boolean; runtime: string; help: boolean }
  try {
    const options = {
      once: { type: 'boolean', default: false },
      runtime: { type: 'string', default: 'sdk' },
      help: { type: 'boolean', short: 'h', default: false },
    } as const
    values = parseArgs({ args: argv, options }).values
  } catch (error) {
    return `${(error as Error).message}\n${USAGE}`
  }
  if (values.help) return USAGE
  const runtime = RUNTIMES.find((name) => name === values.runtime)
  if (!runtime) return `--runtime ${values.runtime}: there is no such runtime\n${USAGE}`
  const port = Number(process.env.PORT || 3000)
  if (!Number.isInteger(port) || port < 1 || port > 65_532) return `PORT=${process.env.PORT} is no port from 1 to 65532\n${USAGE}`
  return { once: values.once, runtime, places: placesOf(port, process.env.DATA_DIR || join(import.meta.dirname, '../../.data')) }
}

function whereIs(name: string, places: Places, runtime: RuntimeKind): string {
  const runtimes = {
    sdk: `${places.runtime}  MCP SDK for TypeScript; takes requests with the gateway's worker secret only`,
    fastmcp: `${places.runtime}  Python FastMCP; takes requests with the gateway's worker secret only`,
    local: "a handler in the gateway's process",
  }
  const lines: Record<string, string> = {
    'authorization server': `${places.authorizationServer}  oidc-provider; any user name logs in, refresh tokens rotate`,
    'Todo API': `${places.api}  takes that server's access tokens for itself only`,
    'MCP runtime': runtimes[runtime],
    gateway: `${places.gateway}  Express 5 with @emcy/gateway; data and logs in ${places.dataDir}`,
  }
  return `${name.padEnd(22)}${lines[name]}`
}

const howToConnect = ({ gateway }: Places) => `
Connect a client of your own to ${gateway}/mcp, for example:
  claude mcp add --transport http todo ${gateway}/mcp
  npx @modelcontextprotocol/inspector                 (transport: Streamable HTTP)
  curl -i ${gateway}/mcp                  (the 401 with which every client begins)
Allow it on the consent page, log in as anyone, and ask for your todos. Ctrl-C stops everything; a restart logs nobody out.
`

if (import.meta.main) process.exit(await main(process.argv.slice(2)))
