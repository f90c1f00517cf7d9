import { randomBytes } from 'node:crypto'
import { createRequire } from 'node:module'
import { parseArgs } from 'node:util'
import { ConfigError } from '../errors/errors.ts'
import { serve } from './serve.ts'

const usage = `Usage: emcy-gateway <command>

  serve CONFIG [--port N]   runs the gateway that the module CONFIG describes: its default export is the options of createGateway, or a function that returns them
  keygen                    prints a random secret, for secrets or a workerSecret

  --help                    prints this
  --version                 prints the version
`

/** A command line that makes no sense: answered with the usage. */
class UsageError extends Error {}

const commands: Record<string, (args: string[]) => Promise<void> | void> = {
  serve: startServe,
  keygen(args) {
    parse(args, 0)
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
  const { positionals, port } = parse(args, 1)
  await serve({ config: positionals[0] as string, port, print })
}

function parse(args: string[], count: number): { positionals: string[]; port: number | undefined } {
  const options = count === 0 ? {} : { port: { type: 'string' } as const }
  let parsed: { values: { port?: string | undefined }; positionals: string[] }
  try {
    parsed = parseArgs({ args, options, allowPositionals: true }) as typeof parsed
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
  const { values, positionals } = parsed
  if (positionals.length !== count) throw new UsageError(positionals.length < count ? 'CONFIG is missing' : `'${positionals[count]}' is one argument too many`)
  if (values.port === undefined) return { positionals, port: undefined }
  const port = /^\d{1,5}$/.test(values.port) ? Number(values.port) : Number.NaN
  if (!(port <= 65_535)) throw new UsageError('--port must be a number from 0 to 65535')
  return { positionals, port }
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
