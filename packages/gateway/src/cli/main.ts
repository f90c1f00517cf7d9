import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { type ParseArgsConfig, parseArgs } from 'node:util'
import type { ConnectionFilter } from '../account/connections-control.ts'
import { ConfigError } from '../errors/errors.ts'
import { connections } from './connections.ts'
import { rotate } from './rotate.ts'
import { serve } from './serve.ts'

const usage = `Usage: emcy-gateway <command>

  serve CONFIG [--port N]   runs the gateway that the module CONFIG describes: its default export is the options of createGateway, or a function that returns them
  connections CONFIG [list] [--subject S] [--client C] [--server S] [--json]
                            lists connections: all, or those of a user (issuer|sub), a client, a server
  connections CONFIG revoke ID | --subject S | --client C | --server S
                            ends them at once
  rotate CONFIG             seals everything stored under the first of the secrets, and says when the others may go
  keygen                    prints a random secret, for secrets or a workerSecret

  --help                    prints this
  --version                 prints the version
`

/** A command line that makes no sense: answered with the usage. */
class UsageError extends Error {}

const commands: Record<string, (args: string[]) => Promise<void> | void> = {
  serve: startServe,
  connections: startConnections,
  async rotate(args) {
    const { positionals } = parse(args, {}, [1, 1])
    await rotate({ config: positionals[0] as string, print })
  },
  keygen(args) {
    parse(args, {}, [0, 0])
    print(randomBytes(32).toString('base64url'))
  },
}

/**
 * Runs the command line. `serve` goes on in the background when this has resolved; every other command is over. What went wrong stands on stderr and in
 * `process.exitCode`: 2 for a wrong command line or configuration, 1 for everything else.
 *
 * @param argv arguments after the program's name
 */
export async function main(argv: readonly string[]): Promise<void> {
  const [first, ...rest] = argv
  try {
    if (first === '--help' || first === '-h' || first === 'help') return print(usage.trimEnd())
    if (first === '--version' || first === '-v') return print(version())
    if (first === undefined) throw new UsageError('no command given')
    const command = Object.hasOwn(commands, first) ? commands[first] : undefined
    if (!command) throw new UsageError(`'${first}' is no command`)
    await command(rest)
  } catch (error) {
    process.exitCode = fail(error)
  }
}

async function startServe(args: string[]): Promise<void> {
  const { positionals, values } = parse(args, { port: { type: 'string' } }, [1, 1])
  const port = typeof values.port === 'string' ? portOf(values.port) : undefined
  await serve({ config: positionals[0] as string, port, print })
}

const filters = { subject: { type: 'string' }, client: { type: 'string' }, server: { type: 'string' } } as const

async function startConnections(args: string[]): Promise<void> {
  const { positionals, values } = parse(args, { ...filters, json: { type: 'boolean' } }, [1, 3])
  const [config = '', action = 'list', connectionId] = positionals
  if (action !== 'list' && action !== 'revoke') throw new UsageError(`'${action}' is neither list nor revoke`)
  if (action === 'list' && connectionId !== undefined) throw new UsageError(`'${connectionId}' is one argument too many`)
  const named = Object.keys(filters).filter((name) => values[name] !== undefined)
  if (connectionId !== undefined && named.length > 0) throw new UsageError(`an ID and --${named[0]} do not go together`)
  if (action === 'revoke' && connectionId === undefined && named.length === 0) throw new UsageError('revoke needs an ID, --subject, --client or --server')
  const { subject, client, server, json } = values as { subject?: string; client?: string; server?: string; json?: boolean }
  const filter: ConnectionFilter = connectionId === undefined ? { subject, clientId: client, server } : { connectionId }
  await connections({ config, action, filter, json: json ?? false, print })
}

type Values = Record<string, string | boolean | undefined>

/** @param counts fewest and most arguments that are no options; the first is CONFIG */
function parse(args: string[], options: NonNullable<ParseArgsConfig['options']>, [fewest, most]: [number, number]): { positionals: string[]; values: Values } {
  let parsed: { values: Values; positionals: string[] }
  try {
    parsed = parseArgs({ args, options, allowPositionals: true }) as typeof parsed
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const { positionals } = parsed
  if (positionals.length < fewest) throw new UsageError('CONFIG is missing')
  if (positionals.length > most) throw new UsageError(`'${positionals[most]}' is one argument too many`)
  return parsed
}

function portOf(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (!(port <= 65_535)) throw new UsageError('--port must be a number from 0 to 65535')
  return port
}

function fail(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`emcy-gateway: ${error.message}\n\n${usage}`)
    return 2
  }
  process.stderr.write(`emcy-gateway: ${error instanceof Error ? error.message : String(error)}\n`)
  return error instanceof ConfigError ? 2 : 1
}

function version(): string {
  // Two folders up from src/cli and from dist/cli alike.
  return (createRequire(import.meta.url)('../../package.json') as { version: string }).version
}

function print(line: string): void {
  process.stdout.write(`${line}\n`)
}
