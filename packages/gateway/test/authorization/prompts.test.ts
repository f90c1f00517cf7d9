import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser } from './browser.ts'
import { startWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

/** The request that goes to the provider. */
async function toProvider(members: Record<string, string | undefined>): Promise<URLSearchParams> {
  const browser = new Browser()
  browser.stopAt = `${world.provider.issuer}/auth`
  const page = await browser.submit(await browser.open(world.authorizeUrl(members)), 'allow')
  return (page.toClient as URL).searchParams
}

describe('OpenID Connect Core §3.1.2.1: what is passed on to the provider', () => {
  it('login_hint, as it is', async () => {
    expect((await toProvider({ login_hint: 'ann+mcp@todo.example' })).get('login_hint')).toBe('ann+mcp@todo.example')
    expect((await toProvider({})).has('login_hint')).toBe(false)
  })

  it.each([['x'.repeat(257)], ['ann\r\nx'], ['\u0007']])('a login_hint that cannot be one is left out: %j', async (login_hint) => {
    expect((await toProvider({ login_hint })).has('login_hint')).toBe(false)
  })

  it('prompt login and select_account, since the provider is who signs users in; consent is asked here', async () => {
    expect((await toProvider({ prompt: 'login' })).get('prompt')).toBe('login')
    expect((await toProvider({ prompt: 'select_account' })).get('prompt')).toBe('select_account')
    expect((await toProvider({ prompt: 'consent login' })).get('prompt')).toBe('login')
    expect((await toProvider({ prompt: 'consent' })).has('prompt')).toBe(false)
    expect((await toProvider({ prompt: 'create something' })).has('prompt')).toBe(false)
  })

  it('a provider that knows no select_account is sent login instead, once, and only on its own word', async () => {
    const refuse = async (browser: Browser, asked: URLSearchParams, iss = world.provider.issuer) =>
      browser.open(`${world.issuer}/callback?${new URLSearchParams({ error: 'invalid_request', state: asked.get('state') ?? '', iss })}`)
    const leave = async (prompt: string) => {
      const browser = new Browser()
      browser.stopAt = `${world.provider.issuer}/auth`
      const page = await browser.submit(await browser.open(world.authorizeUrl({ prompt })), 'allow')
      return { browser, asked: (page.toClient as URL).searchParams }
    }
    const { browser, asked } = await leave('select_account')
    const first = await refuse(browser, asked)
    expect(first.toClient?.href).toMatch(`${world.provider.issuer}/auth`)
    const again = (first.toClient as URL).searchParams
    expect([again.get('prompt'), again.get('scope'), again.get('state') === asked.get('state')]).toEqual(['login', asked.get('scope'), false])
    // The first state is used up, and the second refusal is the answer.
    expect((await refuse(browser, asked)).toClient).toBeUndefined()
    expect((await refuse(browser, again)).toClient?.searchParams.get('error')).toBe('server_error')

    const foreign = await leave('select_account')
    const told = await refuse(foreign.browser, foreign.asked, 'https://elsewhere.example')
    expect(told.toClient?.searchParams.get('error')).toBe('server_error')
    const login = await leave('login')
    expect((await refuse(login.browser, login.asked)).toClient?.searchParams.get('error')).toBe('server_error')
  })

  it('prompt=none asks nobody anything: an error by redirect', async () => {
    const page = await new Browser().open(world.authorizeUrl({ prompt: 'none' }))
    expect(page.toClient?.searchParams.get('error')).toBe('login_required')
  })
})

describe('AZ-9: browsers that keep no cookies', () => {
  it('a webview that sends none is told what to do, at the page and at its form', async () => {
    const page = await new Browser().open(world.authorizeUrl())
    const shown = await new Browser().open(page.url)
    const posted = await new Browser().submit(page, 'allow')
    for (const each of [shown, posted]) {
      expect([each.status, each.toClient]).toEqual([403, undefined])
      for (const words of ['Cookies are switched off here', 'Open in browser', 'start again from your app']) expect(each.text).toContain(words)
    }
  })

  it('a callback without cookies says the same, and uses nothing up', async () => {
    const browser = new Browser()
    const page = await browser.open(world.authorizeUrl())
    browser.stopAt = `${world.issuer}/callback`
    const callback = (await browser.login(await browser.submit(page, 'allow'), 'ann')).toClient as URL
    const bare = await new Browser().open(callback)
    expect([bare.status, bare.text.includes('Cookies are switched off here')]).toEqual([403, true])
    browser.stopAt = undefined
    expect((await browser.open(callback)).toClient?.searchParams.get('code')).toMatch(/^emcy_ac_/)
  })

  it('another browser, which has cookies of its own, is told that it is another', async () => {
    const page = await new Browser().open(world.authorizeUrl())
    const other = new Browser()
    await other.open(world.authorizeUrl())
    const shown = await other.open(page.url)
    expect([shown.status, shown.text.includes('Not the same browser')]).toEqual([403, true])
  })
})
