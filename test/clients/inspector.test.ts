import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { expectRefreshed, expectSignedIn, now } from '../harness/client-life.ts'
import { packageFile, runScript } from '../harness/command.ts'
import { brokenToken } from '../harness/oauth-provider.ts'
import { type OpenedBrowser, openedBrowser } from '../harness/opened-browser.ts'
import { freePorts } from '../harness/ports.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
let browser: OpenedBrowser
let home: string
let callbackUrl: string
beforeAll(async () => {
  const [port] = await freePorts(1)
  callbackUrl = `http://127.0.0.1:${port}/oauth/callback`
  home = await mkdtemp(join(tmpdir(), 'emcy-inspector-'))
  browser = await openedBrowser('inspector')
  world = await startTodo({ runtime: 'local', recorded: true })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await browser?.close()
  await rm(home, { recursive: true, force: true })
})

/** One command of the Inspector, in a process of its own, on the same home folder; gives its JSON result. */
async function inspect(...args: string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await runScript(
    packageFile('@modelcontextprotocol/inspector/clients/launcher/build/index.js'),
    ['--cli', world.mcpUrl, ...args, '--callback-url', callbackUrl, '--format', 'json'],
    // Without a terminal it opens a browser only when told to.
    { env: { ...browser.env, HOME: home, MCP_INSPECTOR_SECRET_STORE: 'file', MCP_AUTO_OPEN_ENABLED: 'true' }, timeoutMs: 110_000 },
  )
  if (code !== 0) throw new Error(`the Inspector ended with ${code}\n${stdout}\n${stderr}`)
  return (JSON.parse(stdout) as { result: Record<string, unknown> }).result
}

const secrets = () => join(home, '.mcp-inspector/secrets.json')

/** Makes the access token useless where the Inspector keeps it. */
async function breakStoredToken(): Promise<void> {
  const file = JSON.parse(await readFile(secrets(), 'utf8')) as { secrets: Record<string, string> }
  const [name = '', value = ''] = Object.entries(file.secrets).find(([key]) => key.includes(':tokens:')) ?? []
  const tokens = JSON.parse(value)
  file.secrets[name] = JSON.stringify({ ...tokens, access_token: brokenToken(tokens.access_token) })
  await writeFile(secrets(), JSON.stringify(file))
}

describe("PR-4 CR-2 TK-6: the MCP Inspector's command line", () => {
  it('signs its user in through the browser it opens, and lists tools', async () => {
    const start = await now(world)
    const { tools } = await inspect('--method', 'tools/list')
    expect((tools as { name: string }[]).map(({ name }) => name).sort()).toEqual(['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
    const added = await inspect('--method', 'tools/call', '--tool-name', 'add_todo', '--tool-arg', 'title=seen by the inspector')
    expect(JSON.stringify(added)).toContain('seen by the inspector')
    await expectSignedIn(world, start, 'inspector')
    expect(await browser.visits()).toHaveLength(1)
  }, 240_000)

  it('refreshes in a new process, without its user, when the stored access token is refused', async () => {
    await breakStoredToken()
    const broken = await now(world)
    const listed = await inspect('--method', 'tools/call', '--tool-name', 'list_todos')
    expect(JSON.stringify(listed)).toContain('seen by the inspector')
    await expectRefreshed(world, broken, 'inspector')
    expect(await browser.visits()).toHaveLength(1)
  }, 120_000)
})
