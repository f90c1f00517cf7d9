import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js'
import { expectRefreshed, expectSignedIn, now, revisionsOfCalls } from '../harness/client-life.ts'
import { environment, packageFile } from '../harness/command.ts'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { brokenToken } from '../harness/oauth-provider.ts'
import { type OpenedBrowser, openedBrowser } from '../harness/opened-browser.ts'
import { freePorts } from '../harness/ports.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let documents: DocumentServer
let world: TodoWorld
let browser: OpenedBrowser
let folder: string
/** Where mcp-remote keeps what it knows. */
let store: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emcy-mcp-remote-'))
  store = join(folder, 'registered')
  browser = await openedBrowser('desktop')
  documents = await startDocumentServer()
  world = await startTodo({ runtime: 'local', recorded: true, caFile: documents.caFile })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await documents?.close()
  await browser?.close()
  await rm(folder, { recursive: true, force: true })
})

/** A desktop app with mcp-remote as its server: a new process, spoken to over stdio. */
async function desktopApp(...flags: string[]): Promise<Client> {
  const env = environment({ ...browser.env, MCP_REMOTE_CONFIG_DIR: store })
  // Its own 30 s for the user are few on a loaded machine.
  const args = [packageFile('mcp-remote/dist/proxy.js'), world.mcpUrl, ...flags, '--auth-timeout', '100']
  const transport = new StdioClientTransport({ command: process.execPath, args, env, stderr: 'pipe' })
  let errors = ''
  transport.stderr?.on('data', (chunk) => {
    errors += chunk
  })
  const client = new Client({ name: 'desktop-app', version: '1.0.0' })
  await client.connect(transport as never, { timeout: 100_000 }).catch((error) => {
    throw new Error(`${error.message}\n${errors}`)
  })
  return client
}

const textOf = (result: object) => JSON.stringify((result as { content?: unknown }).content)

/** The file of mcp-remote's store with its tokens. */
async function tokenFile(): Promise<string> {
  const names = await readdir(store, { recursive: true })
  return join(store, names.find((name) => name.endsWith('_tokens.json')) ?? 'no tokens file')
}

/** Makes the access token useless where mcp-remote keeps it; gives the refresh token beside it. */
async function breakStoredToken(): Promise<string> {
  const file = await tokenFile()
  const tokens = JSON.parse(await readFile(file, 'utf8'))
  await writeFile(file, JSON.stringify({ ...tokens, access_token: brokenToken(tokens.access_token) }))
  return tokens.refresh_token
}

describe('PR-4 CR-2 TK-6: mcp-remote between a desktop app and the gateway', () => {
  it('signs its user in through the browser it opens, and passes tools on', async () => {
    const start = await now(world)
    const app = await desktopApp()
    expect((await app.listTools()).tools.map(({ name }) => name).sort()).toEqual(['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
    expect(textOf(await app.callTool({ name: 'add_todo', arguments: { title: 'from the desktop' } }))).toContain('from the desktop')
    await app.close()
    await expectSignedIn(world, start, 'desktop', { first: 'GET' })
    expect(await browser.visits()).toHaveLength(1)
  }, 120_000)

  it.each([
    [['--protocol', 'legacy'], '2025-11-25'],
    [['--protocol', 'auto'], '2026-07-28'],
  ])(
    '%j: refreshes in a new process, without its user, when the stored access token is refused',
    async (flags, revision) => {
      const refreshToken = await breakStoredToken()
      const broken = await now(world)
      const app = await desktopApp(...flags)
      expect(textOf(await app.callTool({ name: 'list_todos', arguments: {} }))).toContain('from the desktop')
      await app.close()
      await expectRefreshed(world, broken, 'desktop')
      expect(await revisionsOfCalls(world, broken)).toEqual([revision])
      expect(await browser.visits()).toHaveLength(1)
      const { refresh_token: next } = JSON.parse(await readFile(await tokenFile(), 'utf8'))
      expect(next).toEqual(expect.any(String))
      expect(next).not.toBe(refreshToken)
    },
    90_000,
  )

  it('CR-1: is known by its metadata document instead of a registration, and refreshes as such', async () => {
    store = join(folder, 'by-document')
    const [port = 0] = await freePorts(1)
    const url = documents.publish('mcp-remote.json', { client_name: 'mcp-remote', redirect_uris: ['http://localhost:3334/oauth/callback'] })
    const flags = [String(port), '--client-metadata-url', url]
    const start = await now(world)
    const app = await desktopApp(...flags)
    expect(textOf(await app.callTool({ name: 'add_todo', arguments: { title: 'by a document' } }))).toContain('by a document')
    await app.close()
    await expectSignedIn(world, start, 'desktop', { first: 'GET', document: url })

    await breakStoredToken()
    const broken = await now(world)
    const again = await desktopApp(...flags)
    expect(textOf(await again.callTool({ name: 'list_todos', arguments: {} }))).toContain('by a document')
    await again.close()
    await expectRefreshed(world, broken, 'desktop')
    expect(await browser.visits()).toHaveLength(2)
  }, 120_000)
})
