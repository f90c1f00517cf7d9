import { execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** A database server of the tests: its own process, port and folder, on loopback. */
export interface TestServer {
  readonly port: number
  /** Ends it as a crash does; its data stays. */
  kill(): Promise<void>
  /** Stops it in the middle: it takes connections and answers nothing. */
  hang(): void
  goOn(): void
  /** Starts it again on the same port and data. */
  start(): Promise<void>
  /** Ends it and removes its folder. */
  remove(): Promise<void>
}

/** How one kind of server runs. */
export interface Program {
  command: string
  args(folder: string, port: number): string[]
  /** The user that it runs as where the tests run as root. */
  user?: string
  /** Makes its data, once. */
  prepare?(folder: string, port: number): Promise<void>
  /** Asks it something that only this very process, with this folder, can answer. */
  isReady(folder: string, port: number, pid: number): Promise<boolean>
}

const running = new Set<{ kill(signal: NodeJS.Signals): boolean }>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

/** Runs a program to its end and gives its output. */
export async function output(command: string, args: string[], options: object = {}): Promise<string> {
  return (await execute(command, args, { timeout: 60_000, ...options })).stdout
}

/** uid and gid to run as; none where the tests are no root, or the server asks for no user of its own. */
export function asUser(user: string | undefined): { uid?: number; gid?: number } {
  if (user === undefined || process.getuid?.() !== 0) return {}
  const idOf = (flag: string) => Number(execFileSync('id', [flag, user], { encoding: 'utf8' }))
  return { uid: idOf('-u'), gid: idOf('-g') }
}

/** The first of these paths that exists. */
export function installed(...paths: string[]): string {
  const found = paths.find((path) => existsSync(path))
  if (found === undefined) throw new Error(`none of ${paths.join(', ')} is installed: run npm test, which installs what the tests need`)
  return found
}

/** Starts a server and waits until it answers. */
export async function startServer(program: Program, port: number): Promise<TestServer> {
  const folder = mkdtempSync(join(tmpdir(), 'emcy-server-'))
  const user = asUser(program.user)
  // mkdtemp makes it for root alone.
  if (user.uid !== undefined && user.gid !== undefined) chownSync(folder, user.uid, user.gid)
  await program.prepare?.(folder, port)
  let child = await launch(program, folder, port, user)
  return {
    port,
    async kill() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      running.delete(child)
    },
    hang: () => signalAll(child.pid as number, 'SIGSTOP'),
    goOn: () => signalAll(child.pid as number, 'SIGCONT'),
    async start() {
      child = await launch(program, folder, port, user)
    },
    async remove() {
      if (child.exitCode === null && child.signalCode === null) {
        const ended = once(child, 'exit')
        signalAll(child.pid as number, 'SIGCONT')
        child.kill('SIGKILL')
        await ended
      }
      running.delete(child)
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** PostgreSQL serves each connection by a process of its own. */
function signalAll(pid: number, signal: NodeJS.Signals): void {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
  for (const one of [pid, ...children]) {
    try {
      process.kill(one, signal)
    } catch (error) {
      // A connection that closed in between took its process with it.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH' || one === pid) throw error
    }
  }
}

async function launch(program: Program, folder: string, port: number, user: { uid?: number; gid?: number }) {
  const child = spawn(program.command, program.args(folder, port), { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], ...user })
  running.add(child)
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4000)
    })
  }
  const deadline = performance.now() + 60_000
  while (!(await program.isReady(folder, port, child.pid as number).catch(() => false))) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${program.command} ended before it was ready\n${log}`)
    if (performance.now() > deadline) {
      child.kill('SIGKILL')
      throw new Error(`${program.command} was not ready within a minute\n${log}`)
    }
    await pause(50)
  }
  return child
}
