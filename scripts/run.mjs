import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** Root of the workspace. */
export const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

/**
 * Runs a program to its end with its output on ours.
 *
 * @returns its exit code; 128 + signal number is not told apart from 1
 */
export function run(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], ...options })
    child.once('error', reject)
    child.once('exit', (code) => resolve(code ?? 1))
  })
}

/** Runs a program to its end and returns its standard output; rejects, with both outputs, when it fails. */
export function output(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'], ...options })
    let out = ''
    let err = ''
    child.stdout.on('data', (chunk) => (out += chunk))
    child.stderr.on('data', (chunk) => (err += chunk))
    child.once('error', reject)
    child.once('close', (code) => (code === 0 ? resolve(out) : reject(new Error(`${command} ${args.join(' ')} ended with ${code}\n${out}${err}`))))
  })
}

/** One named step with its time; true when it went well. */
export async function step(name, action) {
  const started = Date.now()
  console.log(`\n== ${name}`)
  let good = false
  try {
    good = (await action()) !== false
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
  console.log(`== ${name}: ${good ? 'ok' : 'FAILED'} (${((Date.now() - started) / 1000).toFixed(1)} s)`)
  return good
}
