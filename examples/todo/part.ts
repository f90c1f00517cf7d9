import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'

/** What is started as a process of its own. */
export interface PartSettings {
  /** As it is shown: `MCP runtime`. */
  name: string
  command: string
  args: string[]
  env: Record<string, string>
  /** File for its output, begun anew at each start. */
  log: string
  /** Whether it says on a channel of its own that it listens, as `runAsProcess` does. */
  tellsWhenListening: boolean
  /** Asks for an answer that only this part, with the settings of this run, can give. */
  isReady(): Promise<boolean>
}

/** A running part. */
export interface Part {
  name: string
  pid: number
  /** Where it listens, by its own word; undefined of a part that tells nothing. */
  url: string | undefined
  /** Resolves when the process has ended, with how: `exit code 1`, `SIGKILL`. */
  ended: Promise<string>
  /** Ends it and waits for its end. */
  stop(): Promise<void>
}

const READY_WITHIN_MS = 60_000
const STOP_WITHIN_MS = 5_000

/**
 * Starts a part and waits until it is ready.
 *
 * @throws Error with the end of its log when it dies first or is not ready within a minute
 */
export async function startPart(settings: PartSettings): Promise<Part> {
  const { name, command, args, log } = settings
  writeFileSync(log, '', { mode: 0o600 })
  const output = openSync(log, 'a')
  // In a process group of its own, so that Ctrl-C reaches this program alone and the parts are stopped in order.
  const stdio = settings.tellsWhenListening ? (['ignore', output, output, 'ipc'] as const) : (['ignore', output, output] as const)
  const child = spawn(command, args, { env: { ...process.env, ...settings.env }, stdio: [...stdio], detached: true })
  closeSync(output)
  const ended = new Promise<string>((resolve, reject) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit code ${code}`))
    child.once('error', reject)
  })
  const part: Part = { name, pid: child.pid ?? 0, url: undefined, ended, stop: () => stop(child, ended) }
  const fail = (why: string) => new Error(`The ${name} ${why}. The end of ${log}:\n${readFileSync(log, 'utf8').trimEnd().slice(-2000)}`)
  const over = new AbortController()
  try {
    part.url = await Promise.race([
      whenReady(child, settings, over.signal),
      ended.then(() => Promise.reject(fail('ended before it was ready'))),
      once(AbortSignal.timeout(READY_WITHIN_MS), 'abort', { signal: over.signal }).then(() => Promise.reject(fail('did not become ready'))),
    ])
  } catch (error) {
    await part.stop()
    throw error
  } finally {
    over.abort()
  }
  return part
}

async function whenReady(child: ChildProcess, { tellsWhenListening, isReady }: PartSettings, over: AbortSignal): Promise<string | undefined> {
  const [told] = tellsWhenListening ? await once(child, 'message', { signal: over }) : []
  while (!over.aborted && !(await isReady().catch(() => false))) await new Promise((next) => setTimeout(next, 50))
  return (told as { url: string } | undefined)?.url
}

async function stop(child: ChildProcess, ended: Promise<string>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
  await ended
  clearTimeout(timer)
}
