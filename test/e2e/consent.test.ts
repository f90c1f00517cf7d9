import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser, callbackOf, type Page } from '../harness/browser.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
beforeAll(async () => {
  world = await startTodo({ runtime: 'local' })
}, 60_000)
afterAll(() => world?.close())

const newClient = () => new ScriptedClient(world.issuer, world.mcpUrl).register()

/** A browser at the consent page of a new client. */
async function atConsent(members: Record<string, string> = {}): Promise<{ client: ScriptedClient; page: Page }> {
  const client = await newClient()
  const page = await client.browser.open(client.authorizeUrl(pkce().challenge, members))
  expect(page.status).toBe(200)
  return { client, page }
}

/** A browser at the downstream's login page, consent given. */
async function atLogin(): Promise<{ client: ScriptedClient; page: Page }> {
  const { client, page } = await atConsent()
  const login = await client.browser.answer(page, { user: 'ann' })
  expect(login.url.origin).toBe(world.authorizationServerUrl)
  return { client, page: login }
}

/** Goes on from the login page and stops right before the gateway's callback. */
async function atCallback(client: ScriptedClient, login: Page): Promise<URL> {
  const page = await client.browser.stoppingBefore(`${world.issuer}/callback`).answer(login, { user: 'ann' })
  return page.redirect as URL
}

describe('AZ-5 AZ-7 AZ-8 AZ-12: the consent page', () => {
  it('AZ-7 AZ-12: names client, redirect host and scopes, and warns of loopback clients', async () => {
    const { page } = await atConsent()
    for (const word of [nativeClientMetadata.client_name, '127.0.0.1:7999', nativeRedirectUri, 'todos.read', 'todos.write']) expect(page.text).toContain(word)
    expect(page.text).toMatch(/runs on your computer/i)
  })

  it('AZ-8: cannot be framed, cached or scripted', async () => {
    const { page } = await atConsent()
    const policy = page.headers.get('content-security-policy') ?? ''
    expect(policy).toContain("default-src 'none'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe-inline')
    expect(page.headers.get('x-frame-options')).toBe('DENY')
    expect(page.headers.get('cache-control')).toContain('no-store')
    expect(page.headers.get('referrer-policy')).toBe('no-referrer')
    expect(page.headers.get('x-content-type-options')).toBe('nosniff')
    expect(page.html).not.toMatch(/<script/i)
  })

  it('shows a hostile client name as text', async () => {
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    await client.register({ ...nativeClientMetadata, client_name: '<img src=x onerror=alert(1)>"\'& Co' })
    const page = await client.browser.open(client.authorizeUrl(pkce().challenge))
    expect(page.html).not.toContain('<img')
    expect(page.text).toContain('<img src=x onerror=alert(1)>')
  })

  it('AZ-5: comes before anything goes downstream', async () => {
    const { page } = await atConsent()
    expect(page.trail.every((url) => url.origin === world.issuer)).toBe(true)
  })

  it('AZ-10: no state exists before consent', async () => {
    const { client, page } = await atConsent()
    const cookies = client.browser.cookies.all().map((cookie) => cookie.name)
    const login = await client.browser.answer(page, { user: 'ann' })
    expect(login.url.origin).toBe(world.authorizationServerUrl)
    const later = client.browser.cookies.all().filter((cookie) => !cookies.includes(cookie.name))
    expect(later.length).toBeGreaterThan(0)
    for (const cookie of client.browser.cookies.all().filter((each) => /emcy/i.test(each.name))) {
      expect(cookie.attributes).toMatch(/HttpOnly/i)
      expect(cookie.attributes).toMatch(/SameSite=Lax/i)
    }
  })

  it('AZ-14 TK-15: a refusal goes to the client with iss and state', async () => {
    const client = await newClient()
    const url = client.authorizeUrl(pkce().challenge, { state: 'my state' })
    const callback = callbackOf(await client.browser.authorize(url, { user: 'ann', consent: 'deny' }))
    expect(Object.fromEntries(callback)).toMatchObject({ error: 'access_denied', state: 'my state', iss: world.issuer })
    expect(callback.has('code')).toBe(false)
  })
})

describe('AZ-8 AZ-9: consent cannot be skipped, forged or replayed', () => {
  it('a POST from another browser is refused', async () => {
    const { page } = await atConsent()
    const stranger = new Browser(nativeRedirectUri)
    const answer = await stranger.answer(page, { user: 'eve' })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.redirect).toBeUndefined()
  })

  it('a POST without or with a wrong form token is refused', async () => {
    for (const token of ['', 'forged']) {
      const { client, page } = await atConsent()
      const answer = await client.browser.submit(page, { token }, (_label, _name, value) => value === 'allow')
      expect(answer.status).toBeGreaterThanOrEqual(400)
      expect(answer.url.origin).toBe(world.issuer)
    }
  })

  it('a POST from another origin is refused', async () => {
    const { client, page } = await atConsent()
    const [form] = page.forms
    const body = new URLSearchParams([...(form?.fields ?? []), ['decision', 'allow']])
    const answer = await client.browser.open(form?.action ?? '', {
      method: 'POST',
      body,
      headers: { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' },
    })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.url.origin).toBe(world.issuer)
  })

  it('a decision is taken once', async () => {
    const client = await newClient()
    const { verifier, challenge } = pkce()
    const page = await client.browser.open(client.authorizeUrl(challenge))
    const login = await client.browser.answer(page, { user: 'ann' })
    const done = await client.browser.answer(login, { user: 'ann' })
    const code = callbackOf(done).get('code') ?? ''
    const replayed = await client.browser.answer(page, { user: 'ann' })
    expect(replayed.status).toBeGreaterThanOrEqual(400)
    expect(replayed.redirect).toBeUndefined()
    expect((await client.redeem(code, verifier)).status).toBe(200)
  })
})

describe('AZ-11: the callback', () => {
  it('in another browser is refused', async () => {
    const { client, page } = await atLogin()
    const callback = await atCallback(client, page)
    const answer = await new Browser(nativeRedirectUri).open(callback)
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.redirect).toBeUndefined()
  })

  it('works once', async () => {
    const { client, page } = await atLogin()
    const callback = await atCallback(client, page)
    expect(callbackOf(await client.browser.open(callback)).get('code')).not.toBeNull()
    const again = await client.browser.open(callback)
    expect(again.status).toBeGreaterThanOrEqual(400)
    expect(again.redirect).toBeUndefined()
  })

  it('with another state is refused', async () => {
    const { client, page } = await atLogin()
    const callback = await atCallback(client, page)
    callback.searchParams.set('state', 'A'.repeat(43))
    const answer = await client.browser.open(callback)
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.redirect).toBeUndefined()
  })

  it('AZ-17: with another iss gives no code', async () => {
    const { client, page } = await atLogin()
    const callback = await atCallback(client, page)
    callback.searchParams.set('iss', 'https://evil.example')
    const answer = await client.browser.open(callback)
    expect(answer.redirect?.searchParams.get('code') ?? null).toBeNull()
  })
})

describe('AZ-1 AZ-3 AZ-4: bad authorization requests', () => {
  const toClient = async (members: Record<string, string | undefined>) => {
    const client = await newClient()
    return client.browser.open(client.authorizeUrl(pkce().challenge, { state: 's', ...members }))
  }

  it('AZ-3: an unknown client or redirect URI ends on a page of ours', async () => {
    for (const members of [{ client_id: 'unknown' }, { redirect_uri: 'http://127.0.0.1:7999/elsewhere' }, { redirect_uri: 'https://evil.example/callback' }]) {
      const page = await toClient(members)
      expect(page.status).toBe(400)
      expect(page.redirect).toBeUndefined()
      expect(page.headers.get('location')).toBeNull()
    }
  })

  it('AZ-4 AZ-14: everything else goes to the client, with iss and state', async () => {
    const wrong: [Record<string, string | undefined>, string][] = [
      [{ code_challenge: undefined }, 'invalid_request'],
      [{ code_challenge_method: 'plain' }, 'invalid_request'],
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ scope: 'admin' }, 'invalid_scope'],
      [{ resource: 'https://elsewhere.example/mcp' }, 'invalid_target'],
    ]
    for (const [members, error] of wrong) {
      const page = await toClient(members)
      expect(Object.fromEntries(callbackOf(page))).toMatchObject({ error, state: 's', iss: world.issuer })
    }
  })

  it('AZ-4: a repeated parameter is an error', async () => {
    const client = await newClient()
    const url = client.authorizeUrl(pkce().challenge)
    url.searchParams.append('scope', 'todos.read')
    url.searchParams.append('scope', 'todos.write')
    const page = await client.browser.open(url)
    expect(page.redirect?.searchParams.get('error') ?? `page ${page.status}`).toMatch(/^(invalid_request|page 400)$/)
  })

  it('takes the authorize URL twice, first without cookies, and two transactions in one browser', async () => {
    const client = await newClient()
    const [one, two] = [pkce(), pkce()]
    const url = client.authorizeUrl(one.challenge)
    await fetch(url, { redirect: 'manual' })
    const first = await client.browser.open(url)
    const second = await client.browser.open(client.authorizeUrl(two.challenge))
    for (const [page, { verifier }] of [
      [first, one],
      [second, two],
    ] as const) {
      let now = page
      while (now.redirect === undefined && now.forms.length > 0) now = await client.browser.answer(now, { user: 'ann' })
      const answer = await client.redeem(callbackOf(now).get('code') ?? '', verifier)
      expect(answer.status).toBe(200)
    }
  })
})
