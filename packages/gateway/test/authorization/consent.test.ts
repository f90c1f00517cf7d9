import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser, type Page } from './browser.ts'
import { codeOf, holdReads, startWorld, verifier, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({
    config: {
      consent: {
        remember: false,
        name: 'Todo, Inc.',
        logo: undefined,
        colours: {},
        texts: { 'scope:todos.read': 'Read your todos' },
        chooseScopes: true,
        render: undefined,
      },
    },
  })
})
afterAll(() => world.close())

const askedDownstream = () => world.provider.requests.filter((line) => line === 'GET /auth').length

/** A browser at its consent page. */
async function atConsent(members: Record<string, string | undefined> = {}): Promise<{ browser: Browser; page: Page }> {
  const browser = new Browser()
  return { browser, page: await browser.open(world.authorizeUrl(members)) }
}

/** A browser that the provider is about to send back: at the callback's URL, which it has not opened. */
async function atCallback(): Promise<{ browser: Browser; callback: URL; consent: Page }> {
  const { browser, page } = await atConsent()
  browser.stopAt = `${world.issuer}/callback`
  const callback = (await browser.login(await browser.submit(page, 'allow'), 'ann')).toClient as URL
  browser.stopAt = undefined
  return { browser, callback, consent: page }
}

describe('the consent page', () => {
  it('AZ-7 AZ-12: names client, redirect host and URI, scopes in words, and warns of a client on loopback', async () => {
    const { page } = await atConsent()
    for (const words of [
      'Command <b>line</b> & "Co"',
      'The mcp server',
      '127.0.0.1:7999',
      'http://127.0.0.1:7999/callback',
      'Read your todos',
      'todos.write',
      'Todo, Inc.',
    ]) {
      expect(page.text).toContain(words)
    }
    expect(page.text).toContain('any program can use its name')
    expect(page.forms[0]?.buttons.map(({ label }) => label)).toEqual(['Allow', 'Deny'])
  })

  it('escapes what the client calls itself', async () => {
    const { page } = await atConsent()
    expect(page.html).not.toContain('<b>line')
    expect(page.html).toContain('Command &lt;b&gt;line&lt;/b&gt; &amp; &quot;Co&quot;')
  })

  it('does not warn of a client on the web', async () => {
    const { page } = await atConsent({ client_id: 'web', redirect_uri: undefined })
    expect(page.text).toContain('app.example')
    expect(page.text).not.toContain('any program can use its name')
  })

  it('AZ-8: cannot be framed, stored or scripted, and keeps pop-ups connected to their opener', async () => {
    const { headers, html } = (await atConsent()).page
    expect(headers.get('content-security-policy')).toMatch(/default-src 'none'.*form-action 'self'; frame-ancestors 'none'/)
    expect(headers.get('x-frame-options')).toBe('DENY')
    expect(headers.get('cache-control')).toBe('no-store')
    expect(headers.get('referrer-policy')).toBe('no-referrer')
    expect(headers.get('cross-origin-opener-policy')).toBe('unsafe-none')
    expect(headers.get('access-control-allow-origin')).toBeNull()
    expect(html).not.toMatch(/<script|\son\w+=/i)
  })

  it('AZ-9: its cookie is HttpOnly, SameSite=Lax, of one transaction, and no state exists yet (AZ-10)', async () => {
    const { browser } = await atConsent()
    const cookies = browser.cookies.all()
    expect(cookies).toHaveLength(1)
    expect(cookies[0]).toMatchObject({
      name: expect.stringMatching(/^emcy-page-/),
      attributes: expect.stringMatching(/Path=\/; Max-Age=600; HttpOnly; SameSite=Lax/),
    })
  })

  it('AZ-14 TK-15: Deny goes to the client with access_denied, state and iss, and nothing went downstream', async () => {
    const before = askedDownstream()
    const { browser, page } = await atConsent()
    const denied = await browser.submit(page, 'deny')
    expect(Object.fromEntries(denied.toClient?.searchParams ?? [])).toEqual({
      error: 'access_denied',
      error_description: expect.any(String),
      state: 'the state',
      iss: world.issuer,
    })
    const later = await browser.submit(page, 'allow')
    expect(later.toClient?.searchParams.get('error')).toBe('access_denied')
    expect(askedDownstream()).toBe(before)
  })
})

describe('AZ-8 AZ-9 AZ-10: consent cannot be skipped, forged or replayed', () => {
  it('is not given by another browser, which may not even see the page', async () => {
    const { browser, page } = await atConsent()
    const stranger = new Browser()
    const seen = await stranger.open(page.url)
    expect([seen.status, seen.forms.length]).toEqual([403, 0])
    const sent = await stranger.submit(page, 'allow')
    expect([sent.status, sent.toClient]).toEqual([403, undefined])
    // The flow of the browser that began it goes on.
    expect(codeOf(await browser.login(await browser.submit(page, 'allow'), 'ann'))).toMatch(/^emcy_ac_/)
  })

  it('is not shown to a browser that made up the cookie', async () => {
    const { browser, page } = await atConsent()
    const name = browser.cookies.all()[0]?.name
    for (const value of ['', 'A'.repeat(43)]) {
      const seen = await new Browser().open(page.url, { headers: { cookie: `${name}=${value}` } })
      expect([seen.status, seen.forms.length]).toEqual([403, 0])
    }
  })

  it('AZ-3: is not given for a redirect URI that the client has lost meanwhile', async () => {
    const { browser, page } = await atConsent()
    const cli = world.config.clients.preregistered.find(({ clientId }) => clientId === 'cli')
    const before = cli?.redirectUris ?? []
    Object.assign(cli ?? {}, { redirectUris: ['https://moved.example/'] })
    const answers = [await browser.open(page.url), await browser.submit(page, 'allow'), await browser.submit(page, 'deny')]
    Object.assign(cli ?? {}, { redirectUris: before })
    for (const { status, toClient } of answers) expect([status, toClient]).toEqual([400, undefined])
  })

  it('is not given with another token, with that of another transaction, or without a decision', async () => {
    const { browser, page } = await atConsent()
    const other = await browser.open(world.authorizeUrl())
    const tokenOf = (of: Page) => of.forms[0]?.fields.find(([name]) => name === 'token')?.[1] ?? ''
    for (const token of ['', 'A'.repeat(22), tokenOf(other), `${tokenOf(page)}=`]) {
      const answer = await browser.submit(page, 'allow', { token })
      expect([answer.status, answer.toClient]).toEqual([403, undefined])
    }
    const body = new URLSearchParams(page.forms[0]?.fields)
    for (const decision of [[], [['decision', 'yes']]] as [string, string][][]) {
      const answer = await browser.open(page.url.origin + page.url.pathname, { method: 'POST', body: new URLSearchParams([...body, ...decision]) })
      expect([answer.status, answer.toClient]).toEqual([400, undefined])
    }
    expect(codeOf(await browser.login(await browser.submit(page, 'allow'), 'ann'))).toMatch(/^emcy_ac_/)
  })

  it('is not given by a form of another site', async () => {
    for (const headers of [{ origin: 'https://evil.example' }, { 'sec-fetch-site': 'cross-site' }, { 'sec-fetch-site': 'same-site' }]) {
      const { browser, page } = await atConsent()
      const answer = await browser.submit(page, 'allow', {}, headers)
      expect([answer.status, answer.toClient]).toEqual([403, undefined])
    }
  })

  it('is not given by a GET, by an unknown transaction, or by none', async () => {
    const { browser, page } = await atConsent()
    const asGet = await browser.open(`${world.issuer}/consent?${new URLSearchParams([...(page.forms[0]?.fields ?? []), ['decision', 'allow']])}`)
    expect([asGet.status, asGet.forms.length, asGet.toClient]).toEqual([200, 1, undefined])
    for (const query of ['', '?transaction=', `?transaction=${'A'.repeat(32)}`, '?transaction=../../x']) {
      expect((await browser.open(`${world.issuer}/consent${query}`)).status).toBe(410)
    }
  })

  it('counts once: a double click goes the same way, with the same state', async () => {
    const { browser, page } = await atConsent()
    browser.stopAt = `${world.provider.issuer}/auth`
    holdReads(world, 3)
    const clicks = await Promise.all([browser.submit(page, 'allow'), browser.submit(page, 'allow'), browser.submit(page, 'deny')])
    const targets = new Set(clicks.map((click) => click.toClient?.href ?? ''))
    expect(targets.size).toBe(1)
    const [target] = targets
    browser.stopAt = undefined
    if (target?.startsWith(world.provider.issuer)) expect(codeOf(await browser.login(await browser.open(target), 'ann'))).toMatch(/^emcy_ac_/)
    else expect(target).toContain('error=access_denied')
  })

  it('the back button shows that it was answered, and the way on', async () => {
    const { browser, page } = await atConsent()
    const login = await browser.submit(page, 'allow')
    const back = await browser.open(page.url)
    expect([back.status, back.forms.length, back.toClient]).toEqual([200, 0, undefined])
    expect(back.text).toContain('answered this already')
    expect(back.html).toContain(`href="${world.provider.issuer}/auth?`)
    expect(codeOf(await browser.login(login, 'ann'))).toMatch(/^emcy_ac_/)
  })

  it('cannot be replayed once the flow is over', async () => {
    const { browser, page } = await atConsent()
    const code = codeOf(await browser.login(await browser.submit(page, 'allow'), 'ann'))
    const replayed = await browser.submit(page, 'allow')
    expect([replayed.status, replayed.toClient]).toEqual([410, undefined])
    expect((await world.token({ grant_type: 'authorization_code', code, code_verifier: verifier })).status).toBe(200)
  })

  it('is over after ten minutes', async () => {
    const { browser, page } = await atConsent()
    world.advance(601)
    const late = await browser.submit(page, 'allow')
    expect([late.status, late.toClient]).toEqual([410, undefined])
  })
})

describe('AZ-11: the downstream state is bound to the browser', () => {
  it('a callback in another browser is refused, and the right one still works', async () => {
    const { browser, callback } = await atCallback()
    const other = await new Browser().open(callback)
    expect([other.status, other.toClient]).toEqual([403, undefined])
    expect(codeOf(await browser.open(callback))).toMatch(/^emcy_ac_/)
  })

  it('a browser with a transaction of its own cannot use the callback of another', async () => {
    const [victim, attacker] = [await atCallback(), await atCallback()]
    const answer = await victim.browser.open(attacker.callback)
    expect([answer.status, answer.toClient]).toEqual([403, undefined])
    expect(codeOf(await victim.browser.open(victim.callback))).toMatch(/^emcy_ac_/)
  })

  it("another transaction's cookie value under this one's name does not help", async () => {
    const [victim, attacker] = [await atCallback(), await atCallback()]
    const cookie = attacker.browser.cookies.all().find(({ name }) => name.startsWith('emcy-state-'))
    const name = victim.browser.cookies.all().find((each) => each.name.startsWith('emcy-state-'))?.name
    const answer = await new Browser().open(victim.callback, { headers: { cookie: `${name}=${cookie?.value}` } })
    expect([answer.status, answer.toClient]).toEqual([403, undefined])
  })

  it('works once, and of twenty at once exactly one gets a code', async () => {
    const { browser, callback } = await atCallback()
    const jar = browser.cookies.header(callback) ?? ''
    holdReads(world, 20)
    const answers = await Promise.all(Array.from({ length: 20 }, () => fetch(callback, { redirect: 'manual', headers: { cookie: jar } })))
    const codes = answers.map((answer) => answer.headers.get('location') ?? '').filter((location) => location.includes('code='))
    expect(codes).toHaveLength(1)
    expect(answers.filter(({ status }) => status === 410)).toHaveLength(19)
  })

  it('a state that came with a cookie of the same value, but not from us, is refused', async () => {
    const { callback } = await atCallback()
    const id = callback.searchParams.get('state')?.slice(0, 32)
    const forged = `${id}.${'A'.repeat(43)}`
    callback.searchParams.set('state', forged)
    const answer = await new Browser().open(callback, { headers: { cookie: `emcy-state-${id?.slice(0, 16)}=${forged}` } })
    expect([answer.status, answer.toClient]).toEqual([410, undefined])
  })

  it('another state, a shortened one, or none is refused', async () => {
    const { browser, callback } = await atCallback()
    const state = callback.searchParams.get('state') as string
    for (const forged of [undefined, '', 'x', `${state.slice(0, -1)}${state.endsWith('A') ? 'B' : 'A'}`, `${'A'.repeat(32)}.${'A'.repeat(43)}`]) {
      const url = new URL(callback)
      if (forged === undefined) url.searchParams.delete('state')
      else url.searchParams.set('state', forged)
      const answer = await browser.open(url)
      expect([[403, 410].includes(answer.status), answer.toClient]).toEqual([true, undefined])
    }
    expect(codeOf(await browser.open(callback))).toMatch(/^emcy_ac_/)
  })

  it('is over after ten minutes', async () => {
    const { browser, callback } = await atCallback()
    world.advance(601)
    const late = await browser.open(callback)
    expect([late.status, late.toClient]).toEqual([410, undefined])
  })

  it('AZ-17 TK-14: a callback under another issuer gives no code, and neither does its error', async () => {
    for (const change of [{ iss: 'https://evil.example' }, { error: 'access_denied', iss: 'https://evil.example' }]) {
      const { browser, callback } = await atCallback()
      for (const [name, value] of Object.entries(change)) callback.searchParams.set(name, value)
      const answer = await browser.open(callback)
      expect(Object.fromEntries(answer.toClient?.searchParams ?? [])).toMatchObject({ error: 'server_error', iss: world.issuer, state: 'the state' })
      expect(answer.toClient?.searchParams.has('code')).toBe(false)
    }
  })

  it('TK-15: what the provider refuses goes to the client in our words, with iss', async () => {
    for (const [said, told] of [
      ['access_denied', 'access_denied'],
      ['login_required', 'login_required'],
      ['temporarily_unavailable', 'temporarily_unavailable'],
      ['invalid_scope', 'server_error'],
    ]) {
      const { browser, callback } = await atCallback()
      callback.searchParams.delete('code')
      callback.searchParams.set('error', said as string)
      callback.searchParams.set('error_description', 'secret words of the provider')
      const answer = await browser.open(callback)
      expect(Object.fromEntries(answer.toClient?.searchParams ?? [])).toMatchObject({ error: told, iss: world.issuer, state: 'the state' })
      expect(answer.toClient?.href).not.toContain('secret')
    }
  })

  it("a code that the provider does not know ends in server_error, and leaks neither it nor the provider's secret", async () => {
    const { browser, callback } = await atCallback()
    callback.searchParams.set('code', 'not-a-code-of-the-provider')
    const { href } = (await browser.open(callback)).toClient as URL
    expect(href).toContain('error=server_error')
    expect(href).not.toMatch(/not-a-code|gateway-secret/)
  })

  it('closes its cookies at the end', async () => {
    const { browser, callback } = await atCallback()
    await browser.open(callback)
    expect(browser.cookies.all().filter(({ name }) => /^emcy-(page|state)-/.test(name))).toEqual([])
  })
})
