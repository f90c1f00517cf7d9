/*
 * Runs a script of this workspace on the workspace's own Node, from a machine that has only Node 20 and npm:
 *
 *   node scripts/bootstrap.mjs scripts/start.mjs [arguments]
 *
 * It has no dependency, because it is what installs them. pnpm comes once into .cache, the packages follow when pnpm-lock.yaml is not what
 * is installed, then the script is started by node_modules/node. Killed at any moment, the next run goes on from there.
 */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { constants } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const PNPM = 'pnpm@12.21.0'
const root = join(dirname(fileURLToPath(import.meta.url)), '..')
const bin = join(root, 'node_modules', '.bin')
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']

let child
let stoppedBy
for (const signal of signals) {
  process.on(signal, () => {
    stoppedBy = signal
    child?.kill(signal)
  })
}

/** Runs a program to its end and gives what this process is to exit with: its code, or 128 + the signal's number as shells do. */
function run(program, args, options = {}) {
  if (stoppedBy) process.exit(128 + constants.signals[stoppedBy])
  return new Promise((resolve, reject) => {
    child = spawn(program, args, { stdio: 'inherit', cwd: root, ...options })
    if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => isAboutThisNode(line) || say(line))
    child.once('error', reject)
    child.once('exit', (code, signal) => resolve(code ?? 128 + constants.signals[signal]))
  })
}

/** pnpm warns that packages want a newer Node than the one that installs them. They get it: it is one of the packages. */
function isAboutThisNode(line) {
  return line.startsWith('[WARN] Unsupported engine')
}

/** pnpm writes its copy of the lock file last, so equal means that everything in it is installed. */
function isInstalled() {
  const installed = join(root, 'node_modules', '.pnpm', 'lock.yaml')
  return existsSync(installed) && readFileSync(installed).equals(readFileSync(join(root, 'pnpm-lock.yaml')))
}

/** Installs pnpm beside its final place and renames it: a half-done install never counts, and two at once do not meet. */
async function installPnpm() {
  const place = join(root, '.cache', PNPM)
  if (existsSync(place)) return place
  const mine = `${place}.${process.pid}`
  say(`Getting ${PNPM} …`)
  const code = await run('npm', ['install', '--prefix', mine, '--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--loglevel=error', PNPM])
  if (code !== 0) stop(code, `npm could not install ${PNPM}.`)
  try {
    renameSync(mine, place)
  } catch (error) {
    if (!existsSync(place)) throw error
    rmSync(mine, { recursive: true, force: true })
  }
  return place
}

async function installPackages() {
  const started = Date.now()
  const pnpm = join(await installPnpm(), 'node_modules', '.bin', 'pnpm')
  say('Installing the packages of pnpm-lock.yaml …')
  // No stdin: pnpm would ask before it replaces a node_modules that another tool made. The answer here is yes.
  const env = { ...process.env, CI: 'true' }
  const code = await run(pnpm, ['install', '--frozen-lockfile', '--reporter=append-only'], { stdio: ['ignore', 'pipe', 'inherit'], env })
  if (code !== 0) stop(code, 'pnpm could not install the packages.')
  say(`Installed in ${((Date.now() - started) / 1000).toFixed(1)} s.`)
}

function say(line) {
  process.stderr.write(`${line}\n`)
}

function stop(code, line) {
  say(line)
  process.exit(code)
}

const [script, ...args] = process.argv.slice(2)
if (script === undefined) stop(2, 'Usage: node scripts/bootstrap.mjs <script> [arguments]')
if (!isInstalled()) await installPackages()

const env = { ...process.env, PATH: `${bin}${delimiter}${process.env.PATH}` }
process.exit(await run(join(root, 'node_modules', 'node', 'bin', 'node'), [join(root, script), ...args], { env, cwd: process.cwd() }))
