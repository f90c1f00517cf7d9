import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { type ExampleProcess, startExample } from './example-process.ts'
import { fourPorts } from './four-ports.ts'

const main = join(import.meta.dirname, '../../examples/todo/main.ts')

let dataDir: string
let port: number
let demo: ExampleProcess | undefined

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'todo-demo-'))
  port = await fourPorts()
})
afterEach(async () => {
  await demo?.stop()
  await rm(dataDir, { recursive: true })
})

function startDemo(...args: string[]): ExampleProcess {
  demo = startExample(main, args, { PORT: String(port), DATA_DIR: dataDir })
  return demo
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
    await first.line(new RegExp(`^Emcy Gateway ready http://127\\.0\\.0\\.1:${port}/mcp$`))
    const second = startDemo()
    expect(await second.ended).toBe(1)
    expect(second.lines).toEqual([`Port ${port} is in use: stop what listens there, or choose others with PORT=…`])
    demo = first
  }, 60_000)

  it('explains itself when it is asked for what it does not have', async () => {
    const { lines, ended } = startDemo('--runtime', 'java')
    expect(await ended).toBe(2)
    expect(lines[0]).toBe('--runtime java: there is no such runtime')
    expect(lines[1]).toBe('Usage: npm start -- [--once] [--runtime sdk|fastmcp|local]')
  })
})
