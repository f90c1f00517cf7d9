import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** How a program ended. */
export interface Ended {
  code: number | null
  stdout: string
  stderr: string
}

/** File of an npm package of the workspace. */
export const packageFile = (path: string): string => fileURLToPath(new URL(`../../node_modules/${path}`, import.meta.url))

/** The environment of a program beside these members: this one's, without what Node's test runner put there. */
export const environment = (members: Record<string, string> = {}): Record<string, string> =>
  Object.fromEntries(Object.entries({ ...process.env, NODE_OPTIONS: '', ...members }).filter((entry): entry is [string, string] => entry[1] !== undefined))

/**
 * Runs a Node script to its end, without stdin.
 *
 * @param options.onOutput called with everything on stdout so far whenever something came
 * @throws when it has not ended after `timeoutMs` (60 s), with the end of its output
 */
export async function runScript(
  file: string,
  args: string[],
  options: { env?: Record<string, string>; onOutput?: (stdout: string) => void; timeoutMs?: number } = {},
): Promise<Ended> {
  const child = spawn(process.execPath, [file, ...args], { env: environment(options.env), stdio: ['ignore', 'pipe', 'pipe'] })
  const ended: Ended = { code: null, stdout: '', stderr: '' }
  child.stdout.on('data', (chunk) => {
    ended.stdout += chunk
    options.onOutput?.(ended.stdout)
  })
  child.stderr.on('data', (chunk) => {
    ended.stderr += chunk
  })
  const killer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? 60_000)
  const [code, signal] = await once(child, 'close')
  clearTimeout(killer)
  if (signal !== null) throw new Error(`${file} ${args.join(' ')} was ended by ${signal}\n${ended.stdout.slice(-2000)}\n${ended.stderr.slice(-2000)}`)
  return { ...ended, code }
}
