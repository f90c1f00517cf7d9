import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { connectForTest, mockRuntime } from '../../src/testing.ts'

const main = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emcy-cli-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs the command from its sources. */
function run(args: string[], env: Record<string, string> = {}) {
  const program = `const { main } = await import(${JSON.stringify(main)}); await main(process.argv.slice(1))`
  const child = spawn(process.execPath, ['--no-warnings', '--input-type=module', '-e', program, '--', ...args], {
    cwd: folder,
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [out, err] = ['', '']
  const ended = once(child, 'close').then(([code, signal]) => ({ code: code as number | null, signal, out, err }))
  const ready = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      out += chunk
      const line = /^Emcy Gateway ready (.+)$/m.exec(out)?.[1]
      if (line !== undefined) resolve(line)
    })
    void ended.then(() => reject(new Error(`it ended: ${out}${err}`)))
  })
  ready.catch(() => {})
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  return { child, ended, ready }
}

async function file(name: string, text: string): Promise<string> {
  await writeFile(join(folder, name), text)
  return name
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

const config = (publicUrl: string, runtime: string, extra = '') => `
  export default async () => ({
    publicUrl: '${publicUrl}',
    identify: () => ({ sub: 'ann' }),
    servers: { todo: { path: '/mcp', name: 'Todo', runtime: '${runtime}', workerSecret: 'worker-secret-of-16' } },
    ${extra}
  })`

describe('without a command that exists', () => {
  it.each<[string[], RegExp]>([
    [[], /no command given/],
    [['doctor'], /'doctor' is no command/],
    [['__proto__'], /is no command/],
    [['serve'], /CONFIG is missing/],
    [['serve', 'a', 'b'], /'b' is one argument too many/],
    [['serve', 'a', '--port'], /port/],
    [['serve', 'a', '--port', '70000'], /--port must be a number/],
    [['serve', 'a', '--prot', '1'], /--prot/],
    [['keygen', 'x'], /one argument too many/],
  ])('%j: usage and exit code 2', async (args, words) => {
    const { code, out, err } = await run(args).ended
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(words)
    expect(err).toContain('Usage: emcy-gateway <command>')
  })
})

describe('small commands', () => {
  it('keygen prints a new secret of 32 bytes each time', async () => {
    const [one, two] = await Promise.all([run(['keygen']).ended, run(['keygen']).ended])
    expect(one).toMatchObject({ code: 0, err: '' })
    expect(one.out).toMatch(/^[\w-]{43}\n$/)
    expect(two.out).not.toBe(one.out)
  })
  it('--help lists the commands that exist, and --version the version of the package', async () => {
    const help = await run(['--help']).ended
    expect(help.code).toBe(0)
    expect([...help.out.matchAll(/^ {2}(\w+) /gm)].map((match) => match[1])).toEqual(['serve', 'connections', 'connections', 'rotate', 'keygen'])
    const { version } = JSON.parse(await readFile(fileURLToPath(new URL('../../package.json', import.meta.url)), 'utf8'))
    expect(await run(['--version']).ended).toMatchObject({ code: 0, out: `${version}\n` })
  })
})

describe('serve', () => {
  it('serves, says where, and stops when it is told to', async () => {
    const runtime = await mockRuntime()
    const port = await freePort()
    const served = run([
      'serve',
      await file('ok.mjs', config(`http://127.0.0.1:${port}`, runtime.url, "log: 'stdout', store: 'sqlite:./ok.db', secrets: ['s'.repeat(32)],")),
    ])
    expect(await served.ready).toBe(`http://127.0.0.1:${port}/mcp`)
    const connection = await connectForTest({ url: `http://127.0.0.1:${port}/mcp` })
    expect((await connection.call('tools/call', { name: 'echo', arguments: {} })).status).toBe(200)
    served.child.kill('SIGTERM')
    const { code, out } = await served.ended
    expect(code).toBe(0)
    expect(out).toContain(`  Todo: http://127.0.0.1:${port}/mcp → ${runtime.url}\n`)
    const events = out
      .split('\n')
      .filter((line) => line.startsWith('{'))
      .map((line) => JSON.parse(line).event)
    expect(events[0]).toMatch(/^gateway\./)
    expect(events.at(-1)).toBe('gateway.closed')
    // The same file and secrets again: the client is still connected.
    const again = run(['serve', 'ok.mjs'])
    await again.ready
    expect((await connection.call('tools/list')).status).toBe(200)
    again.child.kill('SIGINT')
    expect((await again.ended).code).toBe(0)
    await runtime.close()
  })

  it('lets a running call end, accepts no new one, and then exits', async () => {
    let reached = () => {}
    let goOn = () => {}
    const atRuntime = new Promise<void>((resolve) => {
      reached = resolve
    })
    const held = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const runtime = await mockRuntime({
      call: async () => {
        reached()
        await held
        return 'late but whole'
      },
    })
    const port = await freePort()
    const served = run(['serve', await file('slow.mjs', config(`http://127.0.0.1:${port}`, runtime.url, 'log: false,'))])
    await served.ready
    const connection = await connectForTest({ url: `http://127.0.0.1:${port}/mcp` })
    const running = connection.call('tools/call', { name: 'echo' })
    await atRuntime
    served.child.kill('SIGTERM')
    await refusesConnections(port)
    goOn()
    expect((await running).message.result).toEqual({ content: [{ type: 'text', text: 'late but whole' }] })
    expect((await served.ended).code).toBe(0)
    await runtime.close()
  })

  it('takes the port of --port, then of PORT, then of a loopback publicUrl', async () => {
    const [a, b, c] = [await freePort(), await freePort(), await freePort()]
    const name = await file('port.mjs', config(`http://127.0.0.1:${a}`, 'http://127.0.0.1:1', 'log: false,'))
    for (const [args, env, port] of [
      [['--port', String(c)], { PORT: String(b) }, c],
      [[], { PORT: String(b) }, b],
      [[], {}, a],
    ] as [string[], Record<string, string>, number][]) {
      const served = run(['serve', name, ...args], env)
      await served.ready
      expect((await fetch(`http://127.0.0.1:${port}/mcp`)).status).toBe(401)
      served.child.kill('SIGTERM')
      expect((await served.ended).code).toBe(0)
    }
  })

  it('says that the port is taken', async () => {
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { code, err } = await run(['serve', await file('taken.mjs', config(`http://127.0.0.1:${port}`, 'http://127.0.0.1:1', 'log: false,'))]).ended
    expect({ code, err }).toEqual({ code: 1, err: `emcy-gateway: port ${port} is taken by another program; choose another with --port\n` })
    server.close()
  })

  it.each<[string, string | undefined, RegExp]>([
    ['gone.mjs', undefined, /^emcy-gateway: gone\.mjs: there is no such file\n$/],
    ['none.mjs', 'export const options = {}', /^emcy-gateway: none\.mjs: must export as default the options/],
    ['number.mjs', 'export default 5', /must export as default/],
    ['syntax.mjs', 'export default {', /^emcy-gateway: syntax\.mjs: cannot be loaded: SyntaxError: /],
    ['throws.mjs', 'export default () => { throw new Error("no database") }', /cannot be loaded: Error: no database/],
    ['import.mjs', 'import "not-a-package-at-all"', /cannot be loaded: Error: Cannot find package/],
    [
      'typo.mjs',
      'export default { publicURL: "https://x" }',
      /^emcy-gateway: typo\.mjs: options: 'publicURL' is no option here; did you mean 'publicUrl'\?\n$/,
    ],
    [
      'path.mjs',
      config('https://mcp.example.com', 'http://127.0.0.1:1').replace("'/mcp'", "'mcp'"),
      /^emcy-gateway: path\.mjs: servers\.todo\.path: must start with '\/'\n$/,
    ],
    ['store.mjs', config('https://mcp.example.com', 'http://127.0.0.1:1', "store: 'redis:h', secrets: ['s'.repeat(32)]"), /^emcy-gateway: store\.mjs: store: /],
  ])('%s: names what is wrong and exits with 2', async (name, text, words) => {
    if (text !== undefined) await file(name, text)
    const { code, out, err } = await run(['serve', name]).ended
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toMatch(words)
    expect(err).not.toMatch(/^ +at /m)
  })
})

/** Resolves when nothing listens on a port any more. */
async function refusesConnections(port: number): Promise<void> {
  for (;;) {
    const refused = await new Promise<boolean>((resolve) => {
      const sent = request({ port, host: '127.0.0.1', path: '/' }, (res) => {
        res.resume()
        res.on('end', () => resolve(false))
      })
      sent.on('error', () => resolve(true))
      sent.end()
    })
    if (refused) return
  }
}
