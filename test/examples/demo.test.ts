import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { Browser, callbackOf } from '../harness/browser.ts'
import { clientV2, isUnauthorized } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { freePorts } from '../harness/ports.ts'

const main = join(import.meta.dirname, '../../examples/todo/main.ts')
const legs = ['registration', 'consent', 'login', 'code', 'token', 'tools/list', 'tools/call', 'refresh', 'revoke']

let dataDir: string
let port: number
let demo: ChildProcess | undefined

beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'todo-demo-'))
  port = await fourFreePorts()
})
afterEach(async () => {
  await stopDemo()
  await rm(dataDir, { recursive: true })
})

/** The first of four that are free in a row. */
async function fourFreePorts(): Promise<number> {
  for (;;) {
    const [first] = await freePorts(1)
    const taken = await Promise.all([1, 2, 3].map(async (offset) => (await isFree((first ?? 0) + offset)) === false))
    if (first !== undefined && !taken.includes(true)) return first
  }
}

async function isFree(port: number): Promise<boolean> {
  const { createServer } = await import('node:net')
  const server = createServer()
  return new Promise((resolve) => {
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

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

describe('npm start -- --once', () => {
  for (const runtime of ['sdk', 'fastmcp', 'local']) {
    it(`lets a real client go the whole way (${runtime} runtime)`, async () => {
      const { lines, ended } = startDemo('--once', '--runtime', runtime)
      const code = await ended
      expect([code, ...lines.filter((line) => /^(ok|FAILED) /.test(line)).map((line) => line.replace(/^(ok|FAILED) +(\S+).*/, '$1 $2'))]).toEqual([
        0,
        ...legs.map((leg) => `ok ${leg}`),
      ])
      expect(lines).toContain(`Emcy Gateway ready http://127.0.0.1:${port}/mcp`)
    }, 120_000)
  }
})

describe('npm start', () => {
  it('keeps connections over a restart, and its secrets for the owner alone', async () => {
    const url = `http://127.0.0.1:${port}/mcp`
    const first = startDemo()
    await first.ready
    const oauth = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(url, oauth)
    expect(isUnauthorized(await client.connect().catch((error) => error))).toBe(true)
    await client.finishAuth(callbackOf(await new Browser(oauth.redirectUrl).authorize(String(oauth.authorizationUrl), { user: 'lea' })))
    await client.connect()
    expect(await client.callTool('add_todo', { title: 'Survive' })).toMatchObject({ isError: false })
    const saved = oauth.saved
    await stopDemo()
    expect(await first.ended).toBe(0)

    const second = startDemo()
    await second.ready
    expect((await client.callTool('list_todos')).text).toContain('Survive')
    expect(oauth.saved).toEqual(saved)
    oauth.breakAccessToken()
    expect((await client.callTool('list_todos')).text).toContain('Survive')
    await client.close()
    await stopDemo()
    expect(await second.ended).toBe(0)

    for (const name of ['worker-secret', 'gateway-secret', 'gateway-client-secret', 'gateway.log'])
      expect((await stat(join(dataDir, name))).mode & 0o777).toBe(0o600)
    const secrets = await Promise.all(['worker-secret', 'gateway-secret', 'gateway-client-secret'].map((name) => readFile(join(dataDir, name), 'utf8')))
    const log = await readFile(join(dataDir, 'gateway.log'), 'utf8')
    expect(log.length).toBeGreaterThan(0)
    for (const secret of [...secrets, saved?.access_token ?? '', saved?.refresh_token ?? '']) expect(log).not.toContain(secret)
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
