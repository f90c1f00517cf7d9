import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { ensurePythonEnv } from '../../scripts/python-env.mjs'
import { freePorts } from './ports.ts'

/** One step for test/python/client.py. */
export interface PythonStep {
  do: 'connect' | 'list' | 'call' | 'expire' | 'tokens' | 'revoke' | 'pause' | 'close'
  tool?: string
  arguments?: Record<string, unknown>
  timeout?: number
}

/** What came of a step. */
export interface PythonOutcome {
  do: string
  revision?: string
  tools?: string[]
  text?: string
  isError?: boolean
  revoked?: number
  after?: number
  challenge?: string
  access_token?: string
  client_id?: string
  error?: string
  message?: string
}

/** Who the client is. */
export interface PythonClientOptions {
  /** The user of the browser that the client opens. */
  user?: string
  /** A bearer token instead of OAuth. */
  token?: string
  /** `auto` when left out. */
  mode?: string
  timeoutMs?: number
  /** Called when the client stands at a `pause`; it goes on afterwards. */
  onPause?: () => Promise<void>
}

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/**
 * Runs the fastmcp client through steps.
 *
 * @returns what came of each step, and the URLs for which it opened the user's browser
 */
export async function runPythonClient(
  url: string,
  steps: PythonStep[],
  options: PythonClientOptions,
): Promise<{ outcomes: PythonOutcome[]; browserVisits: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-python-'))
  const log = join(folder, 'browser.log')
  const [callbackPort] = await freePorts(1)
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    BROWSER: `${process.execPath} ${path('./browser-command.ts')} %s &`,
    BROWSER_LOG: log,
    TEST_USER: options.user ?? '',
    CALLBACK_PORT: String(callbackPort),
    MODE: options.mode ?? 'auto',
    ...(options.token === undefined ? {} : { TOKEN: options.token }),
  }
  try {
    const args = [path('../python/client.py'), url, JSON.stringify(steps)]
    const child = spawn(await ensurePythonEnv(), args, { env, stdio: ['pipe', 'pipe', 'pipe'], timeout: options.timeoutMs ?? 60_000 })
    const ended = once(child, 'close')
    let errors = ''
    child.stderr.on('data', (chunk) => {
      errors += chunk
    })
    const outcomes: PythonOutcome[] = []
    for await (const line of createInterface(child.stdout)) {
      outcomes.push(JSON.parse(line) as PythonOutcome)
      if (steps[outcomes.length]?.do !== 'pause') continue
      await options.onPause?.()
      child.stdin.write('go on\n')
    }
    const [code] = await ended
    if (code !== 0) throw new Error(`client.py ended with ${code}\n${JSON.stringify(outcomes, null, 1)}\n${errors}`)
    const visits = await readFile(log, 'utf8').catch(() => '')
    return { outcomes, browserVisits: visits.split('\n').filter((line) => line !== '') }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
