import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser, type Page } from '../harness/browser.ts'
import { atCallback, atConsent } from '../harness/legs.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { linkOf } from '../harness/reconnect.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { expectStopped, stops } from '../harness/stopped.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'
import { connects } from '../harness/victim.ts'

/*
 * Session fixation and cookie tossing: the attacker puts cookies into the victim's browser, from a neighbouring host of the same site or over plain http, and lets the victim finish what
 * the attacker began.
 */

const publicUrl = 'https://mcp.example.com'

interface Planted {
  name: string
  value: string
}

/** A gateway that is public at an https URL, and one on loopback http, where cookies have no prefix. */
let secure: TodoWorld
let plain: TodoWorld
beforeAll(async () => {
  const worlds = await Promise.allSettled([startTodo({ runtime: 'local', publicUrl }), startTodo({ runtime: 'local' })])
  for (const world of worlds) if (world.status === 'rejected') throw world.reason
  ;[secure, plain] = worlds.map((world) => (world as PromiseFulfilledResult<TodoWorld>).value) as [TodoWorld, TodoWorld]
}, 60_000)
afterAll(() => Promise.all([secure?.close(), plain?.close()]))

/** What the proxy in front of the https gateway does: TLS ends there. */
const reach = (url: URL) => (url.origin === publicUrl ? new URL(url.pathname + url.search, secure.gateway.url) : url)
const newBrowser = () => new Browser(nativeRedirectUri, { reach })
const atPublicUrl = (url: URL) => new URL(url.pathname + url.search, publicUrl)
const header = (cookies: Planted[]) => cookies.map(({ name, value }) => `${name}=${value}`).join('; ')
const ours = (browser: Browser) => browser.cookies.all().filter(({ name }) => /emcy/.test(name))
const cookieOf = (browser: Browser, kind: string) => {
  const found = ours(browser).find(({ name }) => name.includes(kind))
  if (found === undefined) throw new Error(`no cookie ${kind}`)
  return found
}

/** A client of the https gateway, and the link that opens its request. */
async function request(): Promise<{ client: ScriptedClient; verifier: string; link: URL }> {
  const client = await new ScriptedClient(secure.gateway.url, `${publicUrl}/mcp`).register()
  const { verifier, challenge } = pkce()
  return { client, verifier, link: atPublicUrl(client.authorizeUrl(challenge)) }
}

/**
 * Names under which a neighbouring host can set a cookie that comes to the gateway too: the prefix is not there, in another case, or something stands in front of it. The byte A0 is a
 * no-break space where bytes are read as Latin-1, as they are here.
 */
const disguises: [string, (name: string) => string][] = [
  ['without the prefix', (name) => name.replace('__Host-', '')],
  ['with another prefix', (name) => name.replace('__Host-', '__Secure-')],
  ['with the prefix in another case', (name) => name.replace('__Host-', '__host-')],
  ['behind a no-break space', (name) => `\u00a0${name}`],
  ['behind a next-line control', (name) => `\u0085${name}`],
  ['behind a no-break space in UTF-8', (name) => `\u00c2\u00a0${name}`],
  ['before a no-break space', (name) => `${name}\u00a0`],
  ['in quotes', (name) => `"${name}"`],
]

describe('AZ-9: the cookies of an https gateway', () => {
  it('are host-only to the last one, Secure, HttpOnly and SameSite=Lax, in a whole journey', async () => {
    const { link } = await request()
    const seen = new Map<string, string>()
    const browser = newBrowser()
    let page: Page = await browser.open(link)
    for (let step = 0; step < 6; step++) {
      for (const { name, attributes } of ours(browser)) seen.set(name.replace(/-[\w-]{16}$/, ''), attributes)
      if (page.forms.length === 0) break
      page = await browser.answer(page, { user: 'ann' })
    }
    expect(page.redirect?.searchParams.has('code')).toBe(true)
    expect([...seen.keys()].sort()).toEqual(['__Host-emcy-page', '__Host-emcy-state', '__Host-emcy-user'])
    for (const attributes of seen.values()) expect(attributes.replace(/Max-Age=\d+; /, '')).toBe('Path=/; HttpOnly; SameSite=Lax; Secure')
    // What the transaction needed is gone with it.
    expect(ours(browser).map(({ name }) => name)).toEqual(['__Host-emcy-user'])
  })

  describe.each(disguises)("planted %s, a cookie of the attacker's is none", (_how, disguise) => {
    it("a state: the victim who was sent to the provider in the attacker's transaction, past the question, gives the attacker no code (AZ-5, AZ-11)", async () => {
      const { link } = await request()
      const attacker = newBrowser()
      const provider = (url: URL) => url.origin === secure.authorizationServerUrl
      const left = await attacker.stoppingAt(provider).answer(await attacker.open(link), { user: 'nobody' })
      const { name, value } = cookieOf(attacker, 'emcy-state')
      // The victim opens the attacker's link to the provider, which knows the victim.
      const victim = newBrowser()
      const { redirect } = await victim.stoppingBefore(`${publicUrl}/callback`).authorize(left.redirect as URL, { user: 'ann' })
      const callback = redirect as URL
      const open = (planted: string) =>
        newBrowser().open(callback, {
          headers: {
            cookie: header([
              { name: 'theme', value: 'dark' },
              { name: planted, value },
            ]),
          },
        })
      expectStopped(await open(disguise(name)), stops.otherBrowser)
      // Under its own name, which only the gateway itself can set, it would have been enough.
      expect((await open(name)).redirect?.searchParams.has('code')).toBe(true)
    })

    it('a page: the question that the attacker was asked is not shown', async () => {
      const { link } = await request()
      const attacker = newBrowser()
      const question = await attacker.open(link)
      const { name, value } = cookieOf(attacker, 'emcy-page')
      const open = (planted: string) =>
        newBrowser().open(question.url, {
          headers: {
            cookie: header([
              { name: 'theme', value: 'dark' },
              { name: planted, value },
            ]),
          },
        })
      expectStopped(await open(disguise(name)), stops.otherBrowser)
      expect((await open(name)).forms).toHaveLength(1)
    })

    it('a user: the account page knows nobody', async () => {
      const { link } = await request()
      const attacker = newBrowser()
      await attacker.authorize(link, { user: 'eve' })
      const { name, value } = cookieOf(attacker, 'emcy-user')
      const open = (planted: string) => newBrowser().open(`${publicUrl}/account`, { headers: { cookie: header([{ name: planted, value }]) } })
      expect((await open(disguise(name))).text).toContain('Nobody is signed in here')
      expect((await open(name)).text).toContain('eve')
    })
  })
})

const newClient = () => new ScriptedClient(plain.issuer, plain.mcpUrl)
const account = (cookies: Planted[]) => new Browser(nativeRedirectUri).open(`${plain.issuer}/account`, { headers: { cookie: header(cookies) } })

describe('AZ-9 AZ-11: cookies that come twice', () => {
  it('of which one is of the attacker count as none, in either order; the same twice is one', async () => {
    const [victim, attacker] = [newClient(), newClient()]
    await connects(plain, 'ann', victim)
    await connects(plain, 'eve', attacker)
    const [ann, eve] = [cookieOf(victim.browser, 'emcy-user'), cookieOf(attacker.browser, 'emcy-user')]
    for (const both of [
      [ann, eve],
      [eve, ann],
      [ann, eve, ann],
    ]) {
      expect((await account(both)).text).toContain('Nobody is signed in here')
    }
    expect((await account([ann, ann])).text).toContain('ann')
  })

  it("state and page: the victim's flow stops rather than going on as the attacker's, and goes on when the planted one is gone", async () => {
    const victim = await newClient().register()
    const { callback } = await atCallback(victim, 'bea')
    const { name, value } = cookieOf(victim.browser, 'emcy-state')
    const planted = { name, value: `${value.slice(0, -4)}AAAA` }
    for (const cookies of [
      [planted, { name, value }],
      [{ name, value }, planted],
    ]) {
      expectStopped(await new Browser(nativeRedirectUri).open(callback, { headers: { cookie: header(cookies) } }), stops.otherBrowser)
    }
    expect((await victim.browser.open(callback)).redirect?.searchParams.has('code')).toBe(true)
    const { page } = await atConsent(await newClient().register())
    expectStopped(await new Browser(nativeRedirectUri).open(page.url, { headers: { cookie: 'emcy-page-x=1' } }), stops.otherBrowser)
  })
})

describe("AZ-6 AZ-9: the attacker's own cookies in the victim's browser", () => {
  it("a user that has approved the attacker's client: the victim who comes back from the provider is asked, by name, before anybody gets a code", async () => {
    const evil = 'https://evil.example/callback'
    const isEvil = (url: URL) => url.href.startsWith(evil)
    const attacker = await newClient().register({ ...nativeClientMetadata, application_type: 'web', redirect_uris: [evil] })
    const link = () => attacker.authorizeUrl(pkce().challenge, { redirect_uri: evil })
    expect((await attacker.browser.stoppingAt(isEvil).authorize(link(), { user: 'eve' })).redirect?.searchParams.has('code')).toBe(true)
    const victim = newClient()
    await connects(plain, 'cat', victim)
    const { name, value } = cookieOf(attacker.browser, 'emcy-user')
    victim.browser.cookies.store(new URL(plain.issuer), new Headers({ 'set-cookie': `${name}=${value}; Path=/` }))
    const asked = await victim.browser.stoppingAt(isEvil).open(link())
    expect([asked.url.pathname, asked.redirect, asked.status]).toEqual(['/consent', undefined, 200])
    expect(asked.text).toContain('cat')
    expect(asked.text).toContain('evil.example')
    const denied = await victim.browser.stoppingAt(isEvil).answer(asked, { user: 'cat', consent: 'deny' })
    expect([denied.redirect?.searchParams.get('error'), denied.redirect?.searchParams.has('code')]).toEqual(['access_denied', false])
    await connects(plain, 'cat')
  })

  it("a transaction whose question the attacker has answered: the victim's browser may see that, and cannot finish it", async () => {
    const attacker = await newClient().register()
    const { page } = await atConsent(attacker)
    const victim = newClient()
    await connects(plain, 'dan', victim)
    const { name, value } = cookieOf(attacker.browser, 'emcy-page')
    victim.browser.cookies.store(new URL(plain.issuer), new Headers({ 'set-cookie': `${name}=${value}; Path=/` }))
    // The attacker answers in the own browser; the victim's browser has no state for what follows.
    await attacker.browser.answer(page, { user: 'eve' })
    const seen = await victim.browser.open(page.url)
    expect([seen.forms, seen.text.includes('You have answered this already')]).toEqual([[], true])
    const next = /href="([^"]+)"[^>]*>Continue/.exec(seen.html)?.[1]?.replaceAll('&amp;', '&') ?? ''
    expectStopped(await victim.browser.authorize(next, { user: 'dan' }), stops.otherBrowser)
  })
})

describe('AZ-6 AZ-9: the cookie that names a user', () => {
  it('is opened by the gateway alone, whole and unchanged, and is nothing but itself', async () => {
    const victim = newClient()
    await connects(plain, 'eli', victim)
    const { name, value } = cookieOf(victim.browser, 'emcy-user')
    const { page } = await atConsent(await newClient().register())
    const transaction = page.url.searchParams.get('transaction') ?? ''
    const forged = JSON.stringify({ until: 9e15, users: [{ provider: 'default', issuer: plain.authorizationServerUrl, sub: 'eli' }] })
    const others = [
      value.slice(0, -1),
      `${value}A`,
      `${value.slice(0, 40)}${value[40] === 'A' ? 'B' : 'A'}${value.slice(41)}`,
      transaction,
      Buffer.from(forged).toString('base64url'),
      encodeURIComponent(forged),
      '',
      'x'.repeat(5000),
    ]
    for (const other of others)
      expect([other.slice(0, 60), (await account([{ name, value: other }])).text]).toEqual([
        other.slice(0, 60),
        expect.stringContaining('Nobody is signed in here'),
      ])
    expect((await account([{ name, value }])).text).toContain('eli')
  })

  it('is made anew at every sign-in, never before one, and the one before it names nobody else', async () => {
    const client = newClient()
    await client.register()
    const { page } = await atConsent(client)
    expect(ours(client.browser).map(({ name }) => name.replace(/-[\w-]{16}$/, ''))).toEqual(['emcy-page'])
    expect(page.forms).toHaveLength(1)
    await client.code('fay')
    const first = cookieOf(client.browser, 'emcy-user').value
    client.browser.cookies.forget(/^_(session|interaction)/)
    let asked = await client.browser.open(client.authorizeUrl(pkce().challenge))
    // At the provider, then, since it is another, on the page that asks anew.
    for (let step = 0; step < 3 && asked.redirect === undefined; step++) asked = await client.browser.answer(asked, { user: 'gus' })
    const second = cookieOf(client.browser, 'emcy-user').value
    expect(second).not.toBe(first)
    expect((await client.browser.open(`${plain.issuer}/account`)).text).toContain('gus')
    expect((await client.browser.open(`${plain.issuer}/account`)).text).not.toContain('fay')
    const third = await client.code('gus').then(() => cookieOf(client.browser, 'emcy-user').value)
    expect(third).not.toBe(second)
  })

  it('ends in time, and is gone when it was forgotten', async () => {
    const client = newClient()
    await connects(plain, 'hal', client)
    const { name, value } = cookieOf(client.browser, 'emcy-user')
    const page = await client.browser.open(`${plain.issuer}/account`)
    await client.browser.submit(page, {}, (_label, _name, pressed) => pressed === 'forget')
    expect(ours(client.browser)).toEqual([])
    await plain.advanceClock(31 * 86_400_000)
    expect((await account([{ name, value }])).text).toContain('Nobody is signed in here')
  })
})

describe('AZ-9 EL-8: the page of a link that signs in again', () => {
  it('takes no secret that is not of its making, and does not stumble over one', async () => {
    const victim = newClient()
    const tokens = await connects(plain, 'ivy', victim)
    await plain.forgetAuthorizations()
    await plain.advanceClock(301_000)
    const link = await linkOf(plain.mcpUrl, tokens.access_token)
    const { name } = await victim.browser.open(link).then(() => cookieOf(victim.browser, 'emcy-page'))
    for (const value of ['planted', '"quoted"', 'a b', '', 'x'.repeat(4000), '\u00fc']) {
      const browser = new Browser(nativeRedirectUri)
      const page = await browser.open(link, { headers: { cookie: header([{ name, value }]) } })
      expect([value, page.status, page.forms.length]).toEqual([value, 200, 1])
      expect(cookieOf(browser, 'emcy-page').value).toMatch(/^[\w-]{43}$/)
    }
  })
})
