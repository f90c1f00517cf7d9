import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'

/** A server of the tests in a process of its own. */
export interface ServerProcess {
  readonly pid: number
  readonly url: string
  /** Both outputs so far. */
  output(): string
  /** Messages that the process sent over its own channel, the ready message left out. */
  readonly messages: unknown[]
  /** Resolves when the next of them is there; rejects when the process ends instead. */
  nextMessage(): Promise<void>
  send(message: object): void
  /** Ends it by SIGTERM, waits for its end, and gives its exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  readonly exited: Promise<number | null>
}

/** Ends of processes that are still to be awaited; the last resort when a test forgets one or its run is cut. */
const running = new Set<ChildProcess>()
process.once('exit', () => {
  for (const child of running) child.kill('SIGKILL')
})

function watch(child: ChildProcess): { output: () => string; exited: Promise<number | null> } {
  running.add(child)
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
  }
  const exited = once(child, 'exit').then(([code]) => {
    running.delete(child)
    return code as number | null
  })
  return { output: () => text, exited }
}

async function end(child: ChildProcess, exited: Promise<number | null>, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) child.kill(signal)
  return exited
}

/** Ends a server that was ready. One that is gone already has crashed under the test, and no test may overlook that. */
async function stopReady(child: ChildProcess, exited: Promise<number | null>, output: () => string, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode !== null && child.exitCode !== 0)
    throw new Error(`${child.spawnargs.join(' ')} ended by itself with ${child.exitCode}\n${output().slice(-4000)}`)
  return end(child, exited, signal)
}

/** Rejects with the end of the log when the process ends before `ready`, or when it takes too long. */
async function untilReady<T>(ready: Promise<T>, exited: Promise<number | null>, output: () => string, what: string, timeoutMs: number): Promise<T> {
  const failure = (why: string) => new Error(`${what} ${why}\n${output().slice(-4000)}`)
  const died = exited.then((code) => Promise.reject(failure(`ended with ${code} before it was ready`)))
  died.catch(() => {})
  const deadline = AbortSignal.timeout(timeoutMs)
  const late = once(deadline, 'abort').then(() => Promise.reject(failure(`was not ready after ${timeoutMs} ms`)))
  late.catch(() => {})
  return Promise.race([ready, died, late])
}

/** Starts a module of ours that says `{ url }` over its channel once it listens: an answer that only our own process can give. */
export async function startModule(
  file: string,
  env: Record<string, string>,
  options: { execArgv?: string[]; timeoutMs?: number } = {},
): Promise<ServerProcess> {
  const child = fork(file, [], {
    env: { ...process.env, NODE_OPTIONS: '', ...env },
    execArgv: options.execArgv ?? [],
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
  })
  const { output, exited } = watch(child)
  const messages: unknown[] = []
  const ready = new Promise<string>((resolve) => {
    child.on('message', (message: { url?: string }) => {
      if (typeof message.url === 'string' && Object.keys(message).length === 1) resolve(message.url)
      else messages.push(message)
    })
  })
  const url = await untilReady(ready, exited, output, file, options.timeoutMs ?? 30_000).catch(async (error) => {
    await end(child, exited, 'SIGKILL')
    throw error
  })
  return {
    pid: child.pid ?? 0,
    url,
    output,
    messages,
    exited,
    async nextMessage() {
      const died = exited.then((code) => Promise.reject(new Error(`${file} ended with ${code}\n${output().slice(-4000)}`)))
      await Promise.race([once(child, 'message'), died])
    },
    send: (message) => child.send(message),
    stop: (signal = 'SIGTERM') => stopReady(child, exited, output, signal),
  }
}

/** Starts any program; ready when `isReady` says so, asked every 50 ms. */
export async function startProgram(
  command: string,
  args: string[],
  options: { url: string; env?: Record<string, string>; cwd?: string; isReady: () => Promise<boolean>; timeoutMs?: number },
): Promise<ServerProcess> {
  const child = spawn(command, args, { env: { ...process.env, NODE_OPTIONS: '', ...options.env }, cwd: options.cwd, stdio: ['ignore', 'pipe', 'pipe'] })
  const { output, exited } = watch(child)
  let over = false
  const ready = (async () => {
    while (!over && !(await options.isReady().catch(() => false))) await new Promise((next) => setTimeout(next, 50))
  })()
  await untilReady(ready, exited, output, command, options.timeoutMs ?? 60_000).catch(async (error) => {
    over = true
    await end(child, exited, 'SIGKILL')
    throw error
  })
  return {
    pid: child.pid ?? 0,
    url: options.url,
    output,
    messages: [],
    exited,
    nextMessage: () => Promise.reject(new Error('this program has no channel')),
    send: () => {
      throw new Error('this program has no channel')
    },
    stop: (signal = 'SIGTERM') => stopReady(child, exited, output, signal),
  }
}
