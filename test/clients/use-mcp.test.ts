import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { build } from 'esbuild'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { launchChromium } from '../harness/chromium.ts'
import { expectRefreshed, expectSignedIn, now } from '../harness/client-life.ts'
import { brokenToken } from '../harness/oauth-provider.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

/** What use-mcp gives its page, as far as the tests use it. */
interface AppWindow {
  mcp: { state: string; callTool(name: string, args: Record<string, unknown>): Promise<unknown> }
  fetch: typeof fetch
  release(): void
}
declare const window: AppWindow
declare const localStorage: Record<string, string>

let world: TodoWorld
let browser: Browser
let context: BrowserContext
/** The web app: its page, at an origin of its own. */
let app: Server
let origin: string

beforeAll(async () => {
  const bundle = await build({
    entryPoints: [fileURLToPath(new URL('./use-mcp-app.mjs', import.meta.url))],
    bundle: true,
    write: false,
    format: 'esm',
    define: { 'process.env.NODE_ENV': '"production"' },
  })
  const script = bundle.outputFiles[0]?.text ?? ''
  app = createServer((req, res) => {
    if (req.url === '/app.js') return res.writeHead(200, { 'content-type': 'text/javascript' }).end(script)
    res.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>Web App</title><body><script type="module" src="/app.js"></script></body>')
  })
  await once(app.listen(0, '127.0.0.1'), 'listening')
  origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}`
  world = await startTodo({ runtime: 'local', recorded: true, server: { origins: [origin] } })
  browser = await launchChromium()
  context = await browser.newContext()
  context.setDefaultTimeout(45_000)
}, 90_000)
afterAll(async () => {
  await browser?.close()
  await world?.close()
  app?.closeAllConnections()
  await new Promise((closed) => app?.close(closed))
})

const open = (page: Page) => page.goto(`${origin}/?server=${encodeURIComponent(world.mcpUrl)}`)
const ready = (page: Page) => page.getByText('ready', { exact: true }).waitFor()
const callTool = (page: Page, name: string, args: Record<string, unknown> = {}) =>
  page.evaluate(async (call) => JSON.stringify(await window.mcp.callTool(call.name, call.args)), { name, args })
const isConsentPage = (url: URL) => url.href.startsWith(`${world.issuer}/consent?`)

/**
 * Holds the second discovery of a page back until it is released: by then the popup shows the page of the first. In the page's own fetch, since a route of Playwright's would
 * answer the preflights instead of the gateway.
 */
async function holdSecondStart(page: Page): Promise<() => Promise<void>> {
  await page.addInitScript(() => {
    const real = window.fetch
    const released = new Promise<void>((resolve) => {
      window.release = resolve
    })
    let starts = 0
    window.fetch = async (input, init) => {
      if (String(input).includes('/oauth-protected-resource')) starts++
      if (starts > 1) await released
      return real(input, init)
    }
  })
  return () => page.evaluate(() => window.release())
}

/** Makes the access token useless in the app's own storage. */
async function breakStoredToken(page: Page): Promise<void> {
  const [name, value] = await page.evaluate(() => Object.entries(localStorage).find(([key]) => key.endsWith('_tokens')) ?? (['', '{}'] as const))
  const tokens = JSON.parse(value)
  const broken = JSON.stringify({ ...tokens, access_token: brokenToken(tokens.access_token) })
  await page.evaluate(
    (given) => {
      localStorage[given.name] = given.broken
    },
    { name, broken },
  )
}

describe('PR-4 CR-2 TK-6: use-mcp in Chromium, from another origin', () => {
  it('line 15 of the field: signs its user in by a popup, although it starts the authorization twice in it', async () => {
    const start = await now(world)
    const page = await context.newPage()
    const popups: Page[] = []
    page.on('popup', (popup) => popups.push(popup))
    const release = await holdSecondStart(page)
    const popped = page.waitForEvent('popup')
    await open(page)
    const popup = await popped
    await popup.waitForURL(isConsentPage)
    const abandoned = popup.url()
    await release()
    await popup.waitForURL((url) => isConsentPage(url) && url.href !== abandoned)
    await popup.getByRole('button', { name: 'Allow' }).click()
    await popup.getByLabel('User name').fill('web')
    await popup.getByRole('button', { name: 'Log in' }).click()
    await ready(page)
    expect(popups).toHaveLength(1)
    expect(world.exchanges.slice(start.exchanges).filter(({ url }) => url.pathname === '/authorize')).toHaveLength(2)
    const shown = await page.getByRole('listitem').allTextContents()
    expect(shown.sort()).toEqual(['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
    expect(await callTool(page, 'add_todo', { title: 'from a page' })).toContain('from a page')
    await expectSignedIn(world, start, 'web', { first: 'OPTIONS' })
    await page.close()
  }, 120_000)

  it('refreshes in the page, without a popup, when its access token is refused', async () => {
    const page = await context.newPage()
    const popups: Page[] = []
    page.on('popup', (popup) => popups.push(popup))
    await open(page)
    await ready(page)
    const broken = await now(world)
    await breakStoredToken(page)
    expect(await callTool(page, 'list_todos')).toContain('from a page')
    await expectRefreshed(world, broken, 'web')
    expect(popups).toEqual([])

    // And when the page is opened anew.
    const again = await now(world)
    await breakStoredToken(page)
    await open(page)
    await ready(page)
    expect(await callTool(page, 'list_todos')).toContain('from a page')
    await expectRefreshed(world, again, 'web')
    expect(popups).toEqual([])
    await page.close()
  }, 120_000)
})
