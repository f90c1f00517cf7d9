import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { freePorts } from '../harness/ports.ts'
import { rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

const command = fileURLToPath(new URL('../../node_modules/.bin/emcy-gateway', import.meta.url))
let world: TodoWorld
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emcy-serve-'))
  world = await startTodo()
}, 60_000)
afterAll(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

/** Runs `emcy-gateway` to its end, or until `stop`. */
function run(args: string[]) {
  const child = spawn(command, args, { cwd: folder, env: { ...process.env, NODE_OPTIONS: '' }, stdio: ['ignore', 'pipe', 'pipe'] })
  const lines: string[] = []
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, lines, errors }))
  const ready = new Promise<string>((resolve, reject) => {
    createInterface(child.stdout).on('line', (line) => {
      lines.push(line)
      const url = /^Emcy Gateway ready (\S+)$/.exec(line)?.[1]
      if (url !== undefined) resolve(url)
    })
    void ended.then(({ code }) => reject(new Error(`ended with ${code}\n${lines.join('\n')}\n${errors}`)))
  })
  ready.catch(() => {})
  const stop = () => {
    child.kill('SIGTERM')
    return ended
  }
  return { ready, ended, stop }
}

async function config(name: string, source: string): Promise<string> {
  await writeFile(join(folder, name), source)
  return name
}

describe('emcy-gateway serve', () => {
  it('serves a module of options and stops gracefully', async () => {
    const [port = 0] = await freePorts(1)
    const publicUrl = `http://127.0.0.1:${port}`
    const options = {
      publicUrl,
      servers: { todo: { path: '/mcp', runtime: world.runtime?.url.concat('/mcp'), workerSecret: world.workerSecret, grants: 'none' } },
      store: 'sqlite:./gateway.db',
      secrets: ['s'.repeat(40)],
    }
    const file = await config('gateway.config.mjs', `export default () => (${JSON.stringify(options)})`)
    const served = run(['serve', file, '--port', String(port)])
    expect(await served.ready).toBe(`${publicUrl}/mcp`)
    const answer = await rpc(`${publicUrl}/mcp`, undefined, { jsonrpc: '2.0', id: 1, method: 'tools/list' })
    expect(answer.status).toBe(401)
    const client = new ScriptedClient(publicUrl, `${publicUrl}/mcp`)
    expect((await client.register()).clientId).not.toBe('')
    expect(await served.stop()).toMatchObject({ code: 0 })
  }, 60_000)

  it('says what is wrong with a config, and where', async () => {
    const wrong: [string, string, RegExp][] = [
      ['unknown.mjs', `export default { publicUrl: 'http://127.0.0.1:1', server: {} }`, /server/],
      ['nothing.mjs', 'export const a = 1', /default/],
      ['broken.mjs', 'export default {', /broken\.mjs/],
    ]
    for (const [name, source, words] of wrong) {
      const { code, errors } = await run(['serve', await config(name, source)]).ended
      expect(code).not.toBe(0)
      expect(errors).toMatch(words)
      expect(errors).not.toMatch(/^\s+at /m)
    }
    const { code, errors } = await run(['serve', 'missing.mjs']).ended
    expect([code === 0, errors]).toEqual([false, expect.stringContaining('missing.mjs')])
  }, 60_000)

  it('keygen prints a secret that createGateway takes', async () => {
    const [one, two] = await Promise.all([run(['keygen']).ended, run(['keygen']).ended])
    expect(one.lines.join('').length).toBeGreaterThanOrEqual(32)
    expect(one.lines).not.toEqual(two.lines)
  })
})
