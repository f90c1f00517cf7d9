import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { clientV2, signIn } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { freePorts, isFree } from '../harness/ports.ts'
import { rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

const main = fileURLToPath(new URL('../../examples/todo/main.ts', import.meta.url))

/** The demo takes a port and the three after it. */
async function fourPorts(): Promise<number> {
  for (;;) {
    const [port = 0] = await freePorts(1)
    const next = await Promise.all([1, 2, 3].map((offset) => isFree(port + offset)))
    if (next.every(Boolean)) return port
  }
}

/** Runs the demo as `npm start` does. `ready` resolves with the URL of its ready line. */
function startDemo(port: number, dataDir: string, args: string[] = []) {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, NODE_OPTIONS: '', PORT: String(port), DATA_DIR: dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const ended = once(child, 'close').then(([code]) => code as number | null)
  const ready = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line)
      const url = /^Emcy Gateway ready (\S+)$/.exec(line)?.[1]
      if (url !== undefined) resolve(url)
    })
    void ended.then((code) => reject(new Error(`the demo ended with ${code}\n${lines.join('\n')}\n${errors}`)))
  })
  ready.catch(() => {})
  const stop = () => {
    child.kill('SIGTERM')
    return ended
  }
  return { ready, ended, lines, errors: () => errors, stop }
}

describe('AS-11: the demo restarted in the middle', () => {
  let dataDir: string
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'emcy-demo-'))
  })
  afterAll(() => rm(dataDir, { recursive: true, force: true }))

  it("the client's token still works, and it can refresh", async () => {
    const port = await fourPorts()
    const first = startDemo(port, dataDir)
    const url = await first.ready
    expect(url).toBe(`http://127.0.0.1:${port}/mcp`)
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(url, provider, { pin: '2026-07-28' })
    await signIn(client, provider, 'ann')
    await client.callTool('add_todo', { title: 'survive' })
    const token = provider.saved?.access_token
    expect(await first.stop()).toBe(0)

    const second = startDemo(port, dataDir)
    expect(await second.ready).toBe(url)
    expect((await client.callTool('list_todos')).text).toContain('survive')
    expect(provider.saved?.access_token).toBe(token)
    provider.breakAccessToken()
    expect((await client.callTool('list_todos')).text).toContain('survive')
    await client.close()
    expect(await second.stop()).toBe(0)
  }, 120_000)

  for (const runtime of ['sdk', 'local', 'fastmcp']) {
    it(`--once --runtime ${runtime} goes the whole way and exits 0`, async () => {
      const demo = startDemo(await fourPorts(), join(dataDir, runtime), ['--once', '--runtime', runtime])
      const code = await demo.ended
      expect([code, demo.errors()]).toEqual([0, ''])
      for (const leg of ['registration', 'consent', 'login', 'code', 'token', 'tools/list', 'tools/call', 'refresh', 'revoke'])
        expect(demo.lines.join('\n')).toContain(leg)
    }, 120_000)
  }
})

describe('AS-11: a gateway that is killed and started again', () => {
  let world: TodoWorld
  beforeAll(async () => {
    world = await startTodo({ runtime: 'local' })
  }, 60_000)
  afterAll(() => world?.close())

  it('loses nobody: access token, refresh token, and an authorization under way', async () => {
    const client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
    const tokens = await client.signIn('ann')
    const { code, verifier } = await client.code('ann')
    await world.restartGateway('SIGKILL')
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }
    expect((await rpc(world.mcpUrl, tokens.access_token, list)).status).toBe(200)
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200)
    expect((await client.redeem(code, verifier)).status).toBe(200)
  })

  it('without its downstream it says so, and never 401', async () => {
    const client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
    const tokens = await client.signIn('bob')
    await world.stopAuthorizationServer()
    await world.advanceClock(300_000)
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }
    const answer = await rpc(world.mcpUrl, tokens.access_token, list)
    expect([answer.status, answer.message?.error]).toEqual([200, expect.objectContaining({ code: -31003 })])
    const retryAfter = Number(answer.headers.get('retry-after'))
    expect(retryAfter).toBeGreaterThan(0)
    await world.startAuthorizationServer()
    await world.advanceClock(retryAfter * 1000)
    expect((await rpc(world.mcpUrl, tokens.access_token, list)).message?.result).toBeDefined()
  }, 60_000)
})
