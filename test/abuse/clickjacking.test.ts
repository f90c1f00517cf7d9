import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Browser as Chromium, Frame } from 'playwright-core'
import { Browser, type Page } from '../harness/browser.ts'
import { launchChromium } from '../harness/chromium.ts'
import { atCallback, atConsent } from '../harness/legs.ts'
import { nativeRedirectUri } from '../harness/oauth-provider.ts'
import { linkOf } from '../harness/reconnect.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'
import { connects } from '../harness/victim.ts'

/* Clickjacking (RFC 6749 §10.13, RFC 9700 §4.16): the attacker's page holds a page of ours in a frame that nobody sees, and has the victim click on it. */

let world: TodoWorld
let chrome: Chromium
/** The attacker's site: whatever page was put there. */
let site: Server
let attack = ''

beforeAll(async () => {
  world = await startTodo({ runtime: 'local' })
  site = createServer((_req, res) => res.writeHead(200, { 'content-type': 'text/html' }).end(attack))
  await once(site.listen(0, '127.0.0.1'), 'listening')
  chrome = await launchChromium()
}, 90_000)
afterAll(async () => {
  await chrome?.close()
  await world?.close()
  site?.closeAllConnections()
  await new Promise((closed) => site?.close(closed))
})

const newClient = () => new ScriptedClient(world.issuer, world.mcpUrl)
const registered = () => newClient().register()
const stranger = () => new Browser(nativeRedirectUri)
const post = (browser: Browser, url: string | URL, body = '', headers = {}) =>
  browser.open(url, { method: 'POST', body, headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers } })

/** A page as it comes, not as it goes on by itself. */
async function asItIs(browser: Browser, page: Page, decision: string): Promise<Page> {
  const [form] = page.forms
  const body = new URLSearchParams([...(form?.fields ?? []), ['decision', decision]])
  const cookie = browser.cookies.header(page.url) ?? ''
  const response = await fetch(form?.action ?? '', { method: 'POST', body, headers: { cookie, origin: world.issuer } })
  return { ...page, status: response.status, headers: response.headers, html: await response.text() }
}

/** Every kind of page, and how a browser gets to it. */
const pages: [name: string, status: number, get: () => Promise<Page>][] = [
  ['the question', 200, async () => (await atConsent(await registered())).page],
  [
    'the page after Allow',
    200,
    async () => {
      const client = await registered()
      return asItIs(client.browser, (await atConsent(client)).page, 'allow')
    },
  ],
  [
    'the page after Deny',
    200,
    async () => {
      const client = await registered()
      return asItIs(client.browser, (await atConsent(client)).page, 'deny')
    },
  ],
  [
    'a question that was answered',
    200,
    async () => {
      const client = await registered()
      const { page } = await atConsent(client)
      await asItIs(client.browser, page, 'deny')
      return client.browser.open(page.url)
    },
  ],
  [
    'the form that goes to the client',
    200,
    async () => {
      const client = await registered()
      return client.browser.open(client.authorizeUrl(pkce().challenge, { response_mode: 'form_post', scope: 'admin' }))
    },
  ],
  ['a question without cookies', 403, async () => stranger().open((await atConsent(await registered())).page.url)],
  ['a question in another browser', 403, async () => stranger().open((await atConsent(await registered())).page.url, { headers: { cookie: 'a=b' } })],
  ['a question that is over', 410, () => stranger().open(`${world.issuer}/consent?transaction=none`)],
  ['a foreign form', 403, () => post(stranger(), `${world.issuer}/consent`, '', { origin: 'https://evil.example' })],
  ['a form that is none', 400, () => post(stranger(), `${world.issuer}/consent`, '{}', { 'content-type': 'application/json' })],
  ['a callback of nothing', 410, () => stranger().open(`${world.issuer}/callback`)],
  ['a callback in another browser', 403, async () => stranger().open((await atCallback(await registered(), 'ann')).callback, { headers: { cookie: 'a=b' } })],
  ['a callback with a parameter twice', 400, () => stranger().open(`${world.issuer}/callback?state=a&state=b`)],
  ['an unknown client', 400, () => stranger().open(`${world.issuer}/authorize?client_id=unknown`)],
  ['no client', 400, () => stranger().open(`${world.issuer}/authorize`)],
  ['a foreign redirect URI', 400, async () => (await atConsent(await registered(), { redirect_uri: 'https://evil.example/' })).page],
  ['a pushed request that is over', 410, async () => (await atConsent(await registered(), { request_uri: 'urn:ietf:params:oauth:request_uri:none' })).page],
  ['an account page of nobody', 200, () => stranger().open(`${world.issuer}/account`)],
  [
    'an account page',
    200,
    async () => {
      const client = newClient()
      await connects(world, 'ann', client)
      return client.browser.open(`${world.issuer}/account`)
    },
  ],
  ['a foreign form at the account page', 403, () => post(stranger(), `${world.issuer}/account`)],
  ['what the account page cannot read', 400, () => post(stranger(), `${world.issuer}/account`, '{}', { 'content-type': 'application/json' })],
  ['a link that is over', 410, () => stranger().open(`${world.issuer}/reconnect?link=none`)],
  [
    'a link that signs in again',
    200,
    async () => {
      const client = newClient()
      const tokens = await connects(world, 'bea', client)
      await world.forgetAuthorizations()
      await world.advanceClock(301_000)
      return client.browser.open(await linkOf(world.mcpUrl, tokens.access_token))
    },
  ],
]

/** The directives of a policy. */
const directivesOf = (policy: string | null) =>
  new Map((policy ?? '').split('; ').map((directive): [string, string] => [directive.split(' ')[0] ?? '', directive]))

describe('AZ-8: every page', () => {
  it.each(pages)('%s (%d) cannot be framed, runs nothing and is not kept', async (name, status, get) => {
    const { status: answered, headers, html } = await get()
    expect([answered, headers.get('content-type')]).toEqual([status, 'text/html; charset=utf-8'])
    expect(headers.get('x-frame-options')).toBe('DENY')
    const policy = directivesOf(headers.get('content-security-policy'))
    const hash = expect.stringMatching(/^'sha256-[\w+/]+=*'$/)
    const isFormPost = name === 'the form that goes to the client'
    const sources = (directive: string) => policy.get(directive)?.split(' ').slice(1)
    expect([...policy.keys()]).toEqual([
      'default-src',
      'style-src',
      ...(isFormPost ? ['script-src'] : []),
      'img-src',
      ...(isFormPost ? [] : ['form-action']),
      'frame-ancestors',
      'base-uri',
    ])
    for (const none of ['default-src', 'frame-ancestors', 'base-uri']) expect(sources(none)).toEqual(["'none'"])
    expect(sources('style-src')).toEqual([hash])
    expect(sources('img-src')).toEqual(["'self'", 'data:', 'https:'])
    if (isFormPost) expect(sources('script-src')).toEqual([hash])
    else expect(sources('form-action')).toEqual(["'self'"])
    expect(html.match(/<script/gi) ?? []).toHaveLength(isFormPost ? 1 : 0)
    expect(html).not.toMatch(/\son\w+=|style="|javascript:/i)
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('access-control-allow-origin')).toBeNull()
  })
})

describe("AZ-8: in Chromium, on the attacker's page", () => {
  /** Opens the attacker's page, which frames a page of ours, in a browser with the victim's cookies; gives what stands in the frame. */
  async function framed(url: URL | string, victim: Browser, tag: (url: string) => string): Promise<{ html: string; violations: string }> {
    const { port } = site.address() as AddressInfo
    attack = `<!doctype html><h1>Win a prize</h1>${tag(String(url).replaceAll('&', '&amp;'))}`
    const context = await chrome.newContext()
    try {
      const cookies = victim.cookies.all().map(({ name, value }) => ({ name, value, url: world.issuer }))
      if (cookies.length > 0) await context.addCookies(cookies)
      const page = await context.newPage()
      const violations: string[] = []
      page.on('console', (message) => violations.push(message.text()))
      const refused = page.waitForEvent('console', { predicate: (message) => /frame-ancestors|X-Frame-Options|plugin/i.test(message.text()), timeout: 15_000 })
      await page.goto(`http://127.0.0.1:${port}/`)
      await refused
      const seen = await Promise.all(page.frames().slice(1).map(contentOf))
      return { html: seen.join('\n'), violations: violations.join('\n') }
    } finally {
      await context.close()
    }
  }

  /** An object that may not load is taken out of the page, and its frame with it. */
  async function contentOf(frame: Frame): Promise<string> {
    try {
      return await frame.content()
    } catch (error) {
      if (frame.isDetached()) return ''
      throw error
    }
  }

  /** Every page of ours ends with where it is from, and has its forms by name. */
  const ofOurs = /You are at|Test Client|name="(decision|action|token)"/

  const tags: [string, (url: string) => string][] = [
    ['a frame', (url) => `<iframe src="${url}" style="opacity:0.01" width="800" height="700"></iframe>`],
    [
      'a frame in a sandbox that may do all but find out that it is framed',
      (url) => `<iframe sandbox="allow-scripts allow-forms allow-same-origin" src="${url}"></iframe>`,
    ],
    ['a frame inside of a frame', (url) => `<iframe srcdoc="${`<iframe src='${url}'></iframe>`.replaceAll('&amp;', '&amp;amp;')}"></iframe>`],
    ['an object', (url) => `<object type="text/html" data="${url}" width="800" height="700"></object>`],
    ['an embed', (url) => `<embed type="text/html" src="${url}" width="800" height="700">`],
  ]

  it.each(tags)(
    'the question is not rendered in %s, and opened by itself it is',
    async (_name, tag) => {
      const client = await registered()
      const { page } = await atConsent(client)
      const { html, violations } = await framed(page.url, client.browser, tag)
      expect(html).not.toMatch(ofOurs)
      expect(violations).toMatch(/frame-ancestors 'none'|X-Frame-Options/)
      expect((await client.browser.open(page.url)).html).toMatch(ofOurs)
    },
    60_000,
  )

  it('neither is the authorize URL, which leads there, nor the account page of who is signed in', async () => {
    const client = newClient()
    await connects(world, 'cat', client)
    const [, frame] = tags[0] as (typeof tags)[number]
    for (const url of [(await registered()).authorizeUrl(pkce().challenge), `${world.issuer}/account`]) {
      expect((await framed(url, client.browser, frame)).html).not.toMatch(ofOurs)
    }
    expect((await client.browser.open(`${world.issuer}/account`)).html).toMatch(ofOurs)
  }, 60_000)
})
