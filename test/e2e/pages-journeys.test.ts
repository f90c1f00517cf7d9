import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { desktop, launchChromium, phone, screenshotFolder } from '../harness/chromium.ts'
import { contrasts } from '../harness/legibility.ts'
import { picture } from '../harness/picture.ts'
import { pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let screenshots: string
let world: TodoWorld
let browser: Browser
/** A web app whose metadata document, logo and callback stand at one origin. */
let app: Server
let origin: string
let posts: URLSearchParams[]

beforeAll(async () => {
  screenshots = await screenshotFolder()
  posts = []
  app = createServer(async (req, res) => {
    if (req.url === '/client.json') return res.writeHead(200, { 'content-type': 'application/json' }).end(document())
    if (req.url === '/logo.png') return res.writeHead(200, { 'content-type': 'image/png' }).end(picture(96, [217, 119, 87]))
    if (req.method === 'POST') posts.push(new URLSearchParams(await bodyOf(req)))
    res.writeHead(200, { 'content-type': 'text/html' }).end('<p>Back in the app</p>')
  })
  await once(app.listen(0, '127.0.0.1'), 'listening')
  origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}`
  const logo = `data:image/png;base64,${picture(64, [22, 128, 96]).toString('base64')}`
  world = await startTodo({
    runtime: 'local',
    gateway: {
      consent: {
        name: 'Todo, Inc.',
        logo,
        texts: { 'scope:todos.read': 'See your todos', 'scope:todos.write': 'Add, complete and delete your todos' },
      },
      clients: { metadataDocuments: { dangerouslyAllowPrivateAddresses: true, ask: ['*'] }, registration: { perSourcePerHour: 10_000 } },
      policy: { default: 'allow', rules: [{ tools: ['add_todo'], requireScopes: ['todos.write'] }] },
    },
    server: { requiredScopes: ['todos.read'] },
  })
  browser = await launchChromium()
}, 90_000)
afterAll(async () => {
  await browser?.close()
  await world?.close()
  app?.closeAllConnections()
  await new Promise((closed) => app?.close(closed))
})

const document = () =>
  JSON.stringify({ client_id: `${origin}/client.json`, client_name: 'Orange Assistant', redirect_uris: [`${origin}/callback`], logo_uri: `${origin}/logo.png` })

async function bodyOf(req: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of req) text += chunk
  return text
}

/** A client, its authorize URL, and what redeems its code. */
interface Flow {
  client: ScriptedClient
  verifier: string
  url: string
}

async function dynamicFlow(members: Record<string, string | undefined> = {}): Promise<Flow> {
  return flowOf(await new ScriptedClient(world.issuer, world.mcpUrl).register(), members)
}

function documentFlow(members: Record<string, string | undefined> = {}): Flow {
  const client = new ScriptedClient(world.issuer, world.mcpUrl)
  client.clientId = `${origin}/client.json`
  return flowOf(client, members)
}

function flowOf(client: ScriptedClient, members: Record<string, string | undefined>): Flow {
  const { verifier, challenge } = pkce()
  return { client, verifier, url: client.authorizeUrl(challenge, { redirect_uri: `${origin}/callback`, ...members }).href }
}

const shoot = (page: Page, name: string) => page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })
const back = () => `${origin}/callback**`
const codeIn = (page: Page) => new URL(page.url()).searchParams.get('code') ?? ''
const redeem = ({ client, verifier }: Flow, code: string) => client.redeem(code, verifier, { redirect_uri: `${origin}/callback` })

async function login(page: Page, user: string): Promise<void> {
  await page.waitForURL(`${world.authorizationServerUrl}/**`)
  await page.getByLabel('User name').fill(user)
  await page.getByRole('button', { name: 'Log in' }).click()
}

/** Runs something in a browser of its own. */
async function inBrowser(options: BrowserContextOptions, task: (page: Page) => Promise<void>): Promise<void> {
  const context = await browser.newContext(options)
  try {
    await task(await context.newPage())
  } finally {
    await context.close()
  }
}

const looks: [string, BrowserContextOptions][] = [
  ['light, desktop', { ...desktop, colorScheme: 'light' }],
  ['dark, desktop', { ...desktop, colorScheme: 'dark' }],
  ['light, phone', { ...phone, colorScheme: 'light' }],
  ['dark, phone', { ...phone, colorScheme: 'dark' }],
]

describe('AZ-7 AZ-12 CR-16 CR-17: a web app that is known by its document, in Chromium', () => {
  it.each(looks)('%s: legible, named, in order', (name, options) =>
    inBrowser(options, async (page) => {
      await page.goto(documentFlow().url)
      const logo = page.locator('img[src*="client-logo"]')
      await expect(logo.evaluate((image) => (image as unknown as { naturalWidth: number }).naturalWidth)).resolves.toBe(96)
      await shoot(page, `web app, ${name}`)
      const texts = await contrasts(page)
      expect(texts.length).toBeGreaterThan(10)
      expect(texts.filter(({ contrast }) => contrast < 4.5)).toEqual([])
      // What a screen reader is told: where it is, what is asked, what can be switched.
      expect(await page.getByRole('main').count()).toBe(1)
      expect(await page.getByRole('banner').count()).toBe(1)
      expect(await page.getByRole('contentinfo').count()).toBe(1)
      expect(await page.getByRole('form', { name: 'Orange Assistant wants to use Todo' }).count()).toBe(1)
      expect(await page.getByRole('heading', { level: 1 }).textContent()).toBe('Orange Assistant wants to use Todo')
      expect(await page.getByRole('group', { name: 'It asks for' }).getByRole('checkbox').count()).toBe(1)
      expect(await page.getByRole('checkbox', { name: /Add, complete and delete your todos/ }).isChecked()).toBe(true)
      expect(await page.getByRole('note').allTextContents()).toEqual([
        expect.stringContaining('which nobody here has checked'),
        expect.stringContaining('any program'),
      ])
      const tall = await page.getByRole('button').evaluateAll((buttons) => buttons.map((button) => button.getBoundingClientRect().height))
      expect(Math.min(...tall)).toBeGreaterThanOrEqual(44)
    }),
  )

  it('by keyboard alone: what can be switched, then the buttons in the order in which they stand; a scope switched off is not granted', () =>
    inBrowser(desktop, async (page) => {
      const flow = documentFlow()
      await page.goto(flow.url)
      const focused = () => page.evaluate('(document.activeElement.labels?.[0] ?? document.activeElement).innerText.split("\\n")[0]')
      const order: unknown[] = []
      for (let presses = 0; presses < 3; presses++) {
        await page.keyboard.press('Tab')
        order.push(await focused())
        if (presses === 0) {
          await page.keyboard.press('Space')
          await shoot(page, 'web app, a scope switched off by keyboard')
        }
      }
      expect(order).toEqual(['Add, complete and delete your todos', 'Allow', 'Deny'])
      await page.keyboard.press('Shift+Tab')
      await page.keyboard.press('Enter')
      await login(page, 'kim')
      await page.waitForURL(back())
      expect((await redeem(flow, codeIn(page))).body.scope).toBe('todos.read')
    }))
})

describe('AZ-11 AZ-16: what people do to a page', () => {
  it('deny, then back: the page says what was answered, and the way on is the same', () =>
    inBrowser({ ...desktop, colorScheme: 'light' }, async (page) => {
      await page.goto(documentFlow().url)
      await page.getByRole('button', { name: 'Deny' }).click()
      await page.waitForURL(back())
      expect(new URL(page.url()).searchParams.get('error')).toBe('access_denied')
      await page.goBack()
      await page.getByRole('heading', { name: 'You denied this' }).waitFor()
      await shoot(page, 'denied, and back')
      await page.getByRole('link', { name: 'Return to the app' }).click()
      await page.waitForURL(back())
      expect(new URL(page.url()).searchParams.get('error')).toBe('access_denied')
    }))

  it('back from the sign-in: the answer stands, and Continue leads on; back from the app, it is over', () =>
    inBrowser({ ...phone, colorScheme: 'light' }, async (page) => {
      const flow = await dynamicFlow()
      await page.goto(flow.url)
      await page.getByRole('button', { name: 'Allow' }).click()
      await page.waitForURL(`${world.authorizationServerUrl}/**`)
      await page.goBack()
      await page.getByRole('heading', { name: 'You have answered this already' }).waitFor()
      await shoot(page, 'answered, and back')
      await page.getByRole('link', { name: 'Continue' }).click()
      await login(page, 'bea')
      await page.waitForURL(back())
      expect((await redeem(flow, codeIn(page))).status).toBe(200)
      const consent = `${world.issuer}/consent`
      for (let steps = 0; steps < 4 && !page.url().startsWith(consent); steps++) await page.goBack()
      await page.getByRole('heading', { name: 'This request is over' }).waitFor()
      await shoot(page, 'over, and back')
    }))

  it('a double click and a second tab get one way on, and one code', () =>
    inBrowser(desktop, async (page) => {
      const flow = await dynamicFlow()
      await page.goto(flow.url)
      const second = await page.context().newPage()
      await second.goto(page.url())
      await page.getByRole('button', { name: 'Allow' }).dblclick({ noWaitAfter: true })
      await page.waitForURL(`${world.authorizationServerUrl}/**`)
      await second.getByRole('button', { name: 'Allow' }).click()
      await second.waitForURL(`${world.authorizationServerUrl}/**`)
      await login(page, 'dan')
      await page.waitForURL(back())
      expect((await redeem(flow, codeIn(page))).status).toBe(200)
      const events = world.events().filter((event) => event.event === 'authorization.callback' && event.clientId === flow.client.clientId)
      expect(events.map(({ outcome }) => outcome)).toEqual(['connected'])
    }))

  it('an answer after ten minutes: a page that says so, and nothing was granted', () =>
    inBrowser({ ...phone, colorScheme: 'dark' }, async (page) => {
      await page.goto((await dynamicFlow()).url)
      await world.advanceClock(11 * 60_000)
      await page.getByRole('button', { name: 'Allow' }).click()
      await page.getByRole('heading', { name: 'This request is over' }).waitFor()
      await shoot(page, 'expired, dark, phone')
    }))

  it('a browser without cookies: what to do', () =>
    inBrowser({ ...phone, colorScheme: 'light' }, async (page) => {
      await page.goto((await dynamicFlow()).url)
      await page.context().clearCookies()
      await page.getByRole('button', { name: 'Allow' }).click()
      await page.getByRole('heading', { name: 'Cookies are switched off here' }).waitFor()
      await shoot(page, 'no cookies, light, phone')
      expect((await contrasts(page)).filter(({ contrast }) => contrast < 4.5)).toEqual([])
    }))
})

describe('BC-9 BC-11: step-up in Chromium', () => {
  it('a refused call, then the next authorization offers what was missing, whatever it asks; the new token may call', () =>
    inBrowser({ ...desktop, colorScheme: 'dark' }, async (page) => {
      const flow = await dynamicFlow({ scope: 'todos.read' })
      const call = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'add_todo', arguments: { title: 'Milk' } } }
      await page.goto(flow.url)
      expect(await page.getByRole('checkbox').count()).toBe(0)
      await page.getByRole('button', { name: 'Allow' }).click()
      await login(page, 'sue')
      await page.waitForURL(back())
      const first = (await redeem(flow, codeIn(page))).body
      expect(first.scope).toBe('todos.read')
      expect((await rpc(world.mcpUrl, first.access_token, call)).status).toBe(403)
      const again = flowOf(flow.client, { scope: 'todos.read' })
      await page.goto(again.url)
      expect(await page.getByRole('checkbox', { name: /Add, complete/ }).isChecked()).toBe(true)
      await shoot(page, 'step-up, dark, desktop')
      await page.getByRole('button', { name: 'Allow' }).click()
      await page.waitForURL(back())
      const second = (await redeem(again, codeIn(page))).body
      expect(second.scope).toBe('todos.read todos.write')
      expect((await rpc(world.mcpUrl, second.access_token, call)).status).toBe(200)
    }))
})

describe('OAuth 2.0 Form Post Response Mode, in Chromium', () => {
  it.each([true, false])('with scripts by itself, without by the button (scripts: %s)', (javaScriptEnabled) =>
    inBrowser({ ...desktop, javaScriptEnabled }, async (page) => {
      const flow = await dynamicFlow({ response_mode: 'form_post' })
      await page.goto(flow.url)
      await page.getByRole('button', { name: 'Allow' }).click()
      await login(page, 'pat')
      if (!javaScriptEnabled) {
        await page.getByRole('heading', { name: 'Continuing…' }).waitFor()
        await shoot(page, 'form post without scripts')
        await page.getByRole('button', { name: 'Continue' }).click()
      }
      await page.waitForURL(`${origin}/callback`)
      const answer = posts.at(-1)
      expect(answer?.get('iss')).toBe(world.issuer)
      expect((await redeem(flow, answer?.get('code') ?? '')).status).toBe(200)
    }),
  )
})
