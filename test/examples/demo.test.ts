import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { fourPorts } from './four-ports.ts'

const main = join(import.meta.dirname, '../../examples/todo/main.ts')

let dataDir: string
let port: number
let demo: ChildProcess | undefined

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'todo-demo-'))
  port = await fourPorts()
})
afterEach(async () => {
  await stopDemo()
  await rm(dataDir, { recursive: true })
})

/** Starts the demo; `lines` grows with its output. */
function startDemo(...args: string[]) {
  const lines: string[] = []
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', PORT: String(port), DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  demo = child
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => lines.push(line))
  const ended = once(child, 'close').then(([code]) => code as number)
  const ready = new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => line === `Emcy Gateway ready http://127.0.0.1:${port}/mcp` && resolve())
    void ended.then((code) => reject(new Error(`the demo ended with ${code}:\n${lines.join('\n')}`)))
  })
  ready.catch(() => {})
  return { lines, ended, ready }
}

async function stopDemo(): Promise<void> {
  if (demo === undefined || demo.exitCode !== null || demo.signalCode !== null) return
  demo.kill('SIGTERM')
  await once(demo, 'close')
}

describe('npm start', () => {
  it('keeps its secrets for the owner alone, and out of its log', async () => {
    const { lines, ended } = startDemo('--once', '--runtime', 'local')
    expect([await ended, lines.filter((line) => line.startsWith('FAILED'))]).toEqual([0, []])
    const files = ['worker-secret', 'gateway-secret', 'gateway-client-secret', 'authorization-server-cookie-key', 'authorization-server-jwks.json']
    const secrets = files.slice(0, 3)
    for (const name of [...files, 'gateway.log']) expect([name, (await stat(join(dataDir, name))).mode & 0o777]).toEqual([name, 0o600])
    const log = await readFile(join(dataDir, 'gateway.log'), 'utf8')
    expect(log).toContain('"authorization.')
    for (const name of secrets) expect(log).not.toContain(await readFile(join(dataDir, name), 'utf8'))
    expect(log).not.toMatch(/emcy_(at|rt|ac)_|eyJ/)
  }, 60_000)

  it('names a port that is taken, and starts nothing', async () => {
    const first = startDemo()
    await first.ready
    const running = demo
    const second = startDemo()
    expect(await second.ended).toBe(1)
    expect(second.lines).toEqual([`Port ${port} is in use: stop what listens there, or choose others with PORT=…`])
    demo = running
  }, 60_000)

  it('explains itself when it is asked for what it does not have', async () => {
    const { lines, ended } = startDemo('--runtime', 'java')
    expect(await ended).toBe(2)
    expect(lines[0]).toBe('--runtime java: there is no such runtime')
    expect(lines[1]).toBe('Usage: npm start -- [--once] [--runtime sdk|fastmcp|local]')
  })
})
