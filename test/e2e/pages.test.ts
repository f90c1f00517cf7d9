import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { desktop, launchChromium, phone, screenshotFolder } from '../harness/chromium.ts'
import { callModern, linkOf } from '../harness/reconnect.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let screenshots: string
let world: TodoWorld
let browser: Browser
/** Listens where the client's callback is, as a native app does; `callback` resolves with the next request. */
let app: Server
let redirectUri: string

beforeAll(async () => {
  screenshots = await screenshotFolder()
  app = createServer((_req, res) => res.writeHead(200, { 'content-type': 'text/html' }).end('<p>Back in the app</p>'))
  await once(app.listen(0, '127.0.0.1'), 'listening')
  redirectUri = `http://127.0.0.1:${(app.address() as AddressInfo).port}/callback`
  world = await startTodo({ runtime: 'local' })
  browser = await launchChromium()
}, 90_000)
afterAll(async () => {
  await browser?.close()
  await world?.close()
  app?.closeAllConnections()
  await new Promise((closed) => app?.close(closed))
})

/** A new client and its authorize URL. */
async function newClient(): Promise<{ client: ScriptedClient; verifier: string; url: string }> {
  const client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
  const { verifier, challenge } = pkce()
  return { client, verifier, url: client.authorizeUrl(challenge, { redirect_uri: redirectUri }).href }
}

const shoot = (page: Page, name: string) => page.screenshot({ path: join(screenshots, `${name}.png`), fullPage: true })

/** What holds for every page of ours. */
async function expectGoodPage(page: Page): Promise<void> {
  expect(await page.locator('html').getAttribute('lang')).toBe('en')
  expect(await page.locator('h1').count()).toBe(1)
  expect(await page.title()).not.toBe('')
  const box = await page.locator('body').boundingBox()
  expect(box?.width).toBeLessThanOrEqual(page.viewportSize()?.width ?? 0)
}

const looks: [string, BrowserContextOptions][] = [
  ['light, desktop', { ...desktop, colorScheme: 'light' }],
  ['dark, desktop', { ...desktop, colorScheme: 'dark' }],
  ['light, phone', { ...phone, colorScheme: 'light' }],
  ['dark, phone, without JavaScript', { ...phone, colorScheme: 'dark', javaScriptEnabled: false }],
]

describe('EL-7 EL-8: the page of a link to sign in again, in Chromium', () => {
  for (const [name, options] of looks) {
    it(`${name}`, async () => {
      const tokens = await new ScriptedClient(world.issuer, world.mcpUrl).signIn('ann')
      await world.forgetAuthorizations()
      await world.advanceClock(301_000)
      const context = await browser.newContext(options)
      try {
        const page = await context.newPage()
        await page.goto(await linkOf(world.mcpUrl, tokens.access_token))
        await expectGoodPage(page)
        await shoot(page, `reconnect, ${name}`)
        for (const word of ['Test Client', 'Todo', 'If somebody sent you this link']) expect(await page.locator('body').textContent()).toContain(word)
        await page.getByRole('button', { name: 'Sign in again' }).click()
        await page.waitForURL(`${world.authorizationServerUrl}/**`)
        await page.getByLabel('User name').fill('ann')
        await page.getByRole('button', { name: 'Log in' }).click()
        await page.getByRole('heading', { name: 'You are signed in again' }).waitFor()
        await expectGoodPage(page)
        await shoot(page, `signed in again, ${name}`)
        expect(await callModern(world.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'complete' })
      } finally {
        await context.close()
      }
    })
  }
})

describe('AZ-7 AZ-12: consent, login and the way back to the app, in Chromium', () => {
  for (const [name, options] of looks) {
    it(`${name}`, async () => {
      const context = await browser.newContext(options)
      try {
        const page = await context.newPage()
        const { client, verifier, url } = await newClient()
        await page.goto(url)
        await expectGoodPage(page)
        await shoot(page, `consent, ${name}`)
        const text = await page.locator('body').textContent()
        for (const word of ['Test Client', new URL(redirectUri).host, 'todos.read', 'todos.write']) expect(text).toContain(word)
        await page.getByRole('button', { name: /allow/i }).click()
        await page.waitForURL(`${world.authorizationServerUrl}/**`)
        await shoot(page, `login, ${name}`)
        await page.getByLabel('User name').fill('ann')
        await page.getByRole('button', { name: 'Log in' }).click()
        // `form-action` must let the redirect through: Chromium applies it to redirects after a POST too.
        await page.waitForURL(`${redirectUri}**`)
        const callback = new URL(page.url()).searchParams
        expect(callback.get('iss')).toBe(world.issuer)
        expect((await client.redeem(callback.get('code') ?? '', verifier, { redirect_uri: redirectUri })).status).toBe(200)
      } finally {
        await context.close()
      }
    }, 60_000)
  }

  it('by keyboard alone', async () => {
    const context = await browser.newContext(desktop)
    try {
      const page = await context.newPage()
      const { url } = await newClient()
      await page.goto(url)
      const focused = async () => (await page.locator(':focus').allTextContents()).join()
      for (let presses = 0; presses < 10 && !/allow/i.test(await focused()); presses++) await page.keyboard.press('Tab')
      expect(await focused()).toMatch(/allow/i)
      await shoot(page, 'consent, keyboard focus')
      await page.keyboard.press('Enter')
      await page.waitForURL(`${world.authorizationServerUrl}/**`)
    } finally {
      await context.close()
    }
  }, 60_000)

  it('deny goes back to the app with an error', async () => {
    const context = await browser.newContext(phone)
    try {
      const page = await context.newPage()
      await page.goto((await newClient()).url)
      await page.getByRole('button', { name: /deny|cancel|don/i }).click()
      await page.waitForURL(`${redirectUri}**`)
      expect(Object.fromEntries(new URL(page.url()).searchParams)).toMatchObject({ error: 'access_denied', iss: world.issuer })
    } finally {
      await context.close()
    }
  }, 60_000)

  it('a page of ours for a bad request is as good', async () => {
    const context = await browser.newContext({ ...phone, colorScheme: 'dark' })
    try {
      const page = await context.newPage()
      const answer = await page.goto(`${world.issuer}/authorize?client_id=unknown`)
      expect(answer?.status()).toBe(400)
      await expectGoodPage(page)
      await shoot(page, 'error, dark, phone')
    } finally {
      await context.close()
    }
  }, 60_000)
})

describe('AZ-8: the consent page in a frame', () => {
  it('stays empty, whoever frames it', async () => {
    const context = await browser.newContext(desktop)
    const { url } = await newClient()
    const frames = createServer((_req, res) =>
      res
        .writeHead(200, { 'content-type': 'text/html' })
        .end(`<h1>Win a prize</h1><iframe src="${url.replaceAll('&', '&amp;')}" width="800" height="700"></iframe>`),
    )
    await once(frames.listen(0, '127.0.0.1'), 'listening')
    try {
      const page = await context.newPage()
      const violations: string[] = []
      page.on('console', (message) => violations.push(message.text()))
      await page.goto(`http://127.0.0.1:${(frames.address() as AddressInfo).port}/`)
      await shoot(page, 'consent, framed')
      expect(page.frames()).toHaveLength(2)
      expect(await page.frames()[1]?.locator('button').count()).toBe(0)
      expect(violations.join('\n')).toMatch(/frame-ancestors|X-Frame-Options/i)
    } finally {
      await context.close()
      frames.closeAllConnections()
      frames.close()
    }
  }, 60_000)
})
