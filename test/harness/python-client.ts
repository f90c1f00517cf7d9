import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { ensurePythonEnv } from '../../scripts/python-env.mjs'

/** One step for test/python/client.py. */
export interface PythonStep {
  do: 'connect' | 'list' | 'call' | 'expire' | 'tokens' | 'revoke' | 'close'
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

const path = (relative: string) => fileURLToPath(new URL(relative, import.meta.url))

/**
 * Runs the fastmcp client through steps.
 *
 * @returns what came of each step, and the URLs for which it opened the user's browser
 */
export async function runPythonClient(
  url: string,
  steps: PythonStep[],
  options: { user?: string; token?: string; mode?: string; timeoutMs?: number },
): Promise<{ outcomes: PythonOutcome[]; browserVisits: string[] }> {
  const folder = await mkdtemp(join(tmpdir(), 'emcy-python-'))
  const log = join(folder, 'browser.log')
  const python = await ensurePythonEnv()
  const env = {
    ...process.env,
    NODE_OPTIONS: '',
    BROWSER: `${process.execPath} ${path('./browser-command.ts')} %s &`,
    BROWSER_LOG: log,
    TEST_USER: options.user ?? '',
    MODE: options.mode ?? 'auto',
    ...(options.token === undefined ? {} : { TOKEN: options.token }),
  }
  try {
    const child = spawn(python, [path('../python/client.py'), url, JSON.stringify(steps)], { env, stdio: ['ignore', 'pipe', 'pipe'], timeout: options.timeoutMs ?? 60_000 })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk) => {
      out += chunk
    })
    child.stderr.on('data', (chunk) => {
      err += chunk
    })
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve))
    if (code !== 0) throw new Error(`client.py ended with ${code}\n${out}\n${err}`)
    const outcomes = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as PythonOutcome)
    const visits = await readFile(log, 'utf8').catch(() => '')
    return { outcomes, browserVisits: visits.split('\n').filter((line) => line !== '') }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
