import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { readRefusedScopes, rememberRefusedScopes } from '../../src/clients/step-up.ts'
import type { User } from '../../src/config.ts'
import { subjectKey } from '../../src/connections/connection.ts'
import { checkAccessToken, connectionsOf } from '../../src/connections/connections.ts'
import { Browser, clientRedirect } from './browser.ts'
import { codeOf, holdReads, startWorld, verifier, type World } from './world.ts'

const redirect = 'https://app.example/done'
const asWeb = { client_id: 'web', redirect_uri: undefined }
const newBrowser = () => new Browser(redirect)

describe('AZ-6 AZ-13: a remembered approval', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.close())

  const authorize = (browser: Browser, members: Record<string, string | undefined> = {}) => browser.open(world.authorizeUrl({ ...asWeb, ...members }))

  it('goes straight on for the same user, client, host and scopes, and sets the state only then (AZ-10)', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl({ ...asWeb, scope: 'todos.read' }), 'ann')
    browser.stopAt = `${world.provider.issuer}/auth`
    const again = await authorize(browser, { scope: 'todos.read' })
    expect(again.toClient?.origin).toBe(world.provider.issuer)
    expect(browser.cookies.all().filter(({ name }) => name.startsWith('emcy-state-'))).toHaveLength(1)
    browser.stopAt = undefined
    expect(codeOf(await browser.open(again.toClient as URL))).toMatch(/^emcy_ac_/)
  })

  it('asks again for more scopes, for another client, and when the client wants that', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl({ ...asWeb, scope: 'todos.read' }), 'ann')
    for (const members of [{ scope: 'todos.read todos.write' }, { client_id: 'two', redirect_uri: 'https://two.example/a', scope: 'todos.read' }]) {
      expect((await authorize(browser, members)).url.pathname).toBe('/consent')
    }
    for (const prompt of ['consent', 'login', 'select_account']) {
      expect((await authorize(browser, { scope: 'todos.read', prompt })).url.pathname).toBe('/consent')
    }
  })

  it('prompt=none: a code where it was approved, consent_required where not', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl({ ...asWeb, scope: 'todos.read' }), 'ben')
    expect(codeOf(await authorize(browser, { scope: 'todos.read', prompt: 'none' }))).toMatch(/^emcy_ac_/)
    const more = await authorize(browser, { scope: 'todos.write', prompt: 'none' })
    expect(more.toClient?.searchParams.get('error')).toBe('consent_required')
  })

  it('is not used without the cookie, or with one that was changed', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl(asWeb), 'ann')
    const cookie = browser.cookies.all().find(({ name }) => name === 'emcy-user')
    expect(cookie?.attributes).toMatch(/HttpOnly; SameSite=Lax/)
    expect(cookie?.value).not.toContain('ann')
    for (const value of [undefined, `${cookie?.value}A`, 'x']) {
      const answer = await fetch(world.authorizeUrl(asWeb), { redirect: 'manual', headers: value === undefined ? {} : { cookie: `emcy-user=${value}` } })
      expect(answer.headers.get('location')).toContain('/consent?')
    }
  })

  it('AZ-12: is not used for a client id that anyone may claim on loopback, and is for one of its own', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl(), 'ann')
    expect((await browser.open(world.authorizeUrl())).url.pathname).toBe('/consent')
    const registered = await fetch(`${world.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: [clientRedirect], token_endpoint_auth_method: 'none', client_name: 'Installed' }),
    })
    const { client_id } = (await registered.json()) as { client_id: string }
    await browser.authorize(world.authorizeUrl({ client_id }), 'ann')
    expect(codeOf(await browser.open(world.authorizeUrl({ client_id })))).toMatch(/^emcy_ac_/)
  })

  it('another user than the cookie named is asked after the sign-in, and only then gets a code', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl(asWeb), 'ann')
    browser.cookies.forget(/^_(session|interaction)/)
    const login = await authorize(browser)
    const confirm = await browser.login(login, 'eve')
    expect([confirm.url.pathname, confirm.toClient]).toEqual(['/consent', undefined])
    expect(confirm.text).toContain('eve')
    expect(confirm.text).toContain('someone else')
    holdReads(world, 2)
    const clicks = await Promise.all([browser.submit(confirm, 'allow'), browser.submit(confirm, 'allow')])
    expect(new Set(clicks.map((click) => click.toClient?.href)).size).toBe(1)
    const answer = await world.token({ grant_type: 'authorization_code', code: codeOf(clicks[0] as never), code_verifier: verifier, client_id: 'web' })
    const { connection } = await checkAccessToken(world.deps, String(answer.body.access_token), 'mcp')
    expect(connection.identity?.sub).toBe('eve')
    // The loser of the two clicks left nothing behind.
    expect(await connectionsOf(world.deps, subjectKey(connection.identity as never))).toHaveLength(1)
  })

  it('denied there, nothing is left: no connection, and the provider forgets its token', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl(asWeb), 'ann')
    browser.cookies.forget(/^_(session|interaction)/)
    const issued: string[] = []
    const note = (token: { jti: string }) => void issued.push(token.jti)
    world.provider.provider.on('refresh_token.saved', note)
    const confirm = await browser.login(await authorize(browser), 'mallory')
    world.provider.provider.off('refresh_token.saved', note)
    const denied = await browser.submit(confirm, 'deny')
    expect(denied.toClient?.searchParams.get('error')).toBe('access_denied')
    expect(await connectionsOf(world.deps, subjectKey({ issuer: world.provider.issuer, sub: 'mallory' }))).toEqual([])
    expect(issued).toHaveLength(1)
    expect(await world.provider.provider.RefreshToken.find(issued[0] as string)).toBeUndefined()
  })

  it('scopes that were refused before are offered with the next authorization, whatever it asks', async () => {
    const browser = newBrowser()
    const asked = { scope: 'todos.read' }
    await browser.authorize(world.authorizeUrl({ ...asWeb, ...asked }), 'step')
    const subject = subjectKey({ issuer: world.provider.issuer, sub: 'step' })
    await rememberRefusedScopes(world.deps, { subject, clientId: 'web', serverId: 'mcp', scopes: ['todos.write'] })
    const first = await authorize(browser, asked)
    const page = await authorize(browser, asked)
    for (const each of [first, page]) expect([each.url.pathname, each.text.includes('todos.write')]).toEqual(['/consent', true])
    const answer = await world.token({
      grant_type: 'authorization_code',
      code: codeOf(await browser.submit(page, 'allow')),
      code_verifier: verifier,
      client_id: 'web',
    })
    expect(answer.body.scope).toBe('todos.read todos.write')
    expect(await readRefusedScopes(world.deps, { subject, clientId: 'web', serverId: 'mcp' })).toEqual([])
  })
})

describe("the host app's own session", () => {
  let world: World
  let user: User | undefined
  const start = async (onMismatch: 'block' | 'ask') => {
    world = await startWorld({ config: { identify: () => user, onMismatch }, moreServers: { local: { provider: undefined, grants: 'none' } } })
  }
  afterAll(() => world.close())

  it('block: another account than the host names ends on a page, and leaves nothing', async () => {
    await start('block')
    user = { sub: 'ann' }
    const browser = newBrowser()
    const page = await browser.authorize(world.authorizeUrl(asWeb), 'eve')
    expect([page.status, page.toClient]).toEqual([403, undefined])
    expect(page.text).toContain('another account')
    expect(await connectionsOf(world.deps, subjectKey({ issuer: world.provider.issuer, sub: 'eve' }))).toEqual([])
    expect(codeOf(await newBrowser().authorize(world.authorizeUrl(asWeb), 'ann'))).toMatch(/^emcy_ac_/)
  })

  it('names the user of a server without a provider: straight to a code, remembered the next time', async () => {
    user = { sub: 'ann', name: 'Ann' }
    const members = { ...asWeb, resource: `${world.issuer}/local` }
    const browser = newBrowser()
    const page = await browser.open(world.authorizeUrl(members))
    expect(page.text).toContain('Ann')
    holdReads(world, 2)
    const clicks = await Promise.all([browser.submit(page, 'allow'), browser.submit(page, 'allow')])
    expect(new Set(clicks.map((click) => click.toClient?.href)).size).toBe(1)
    const answer = await world.token({ grant_type: 'authorization_code', code: codeOf(clicks[0] as never), code_verifier: verifier, client_id: 'web' })
    const { connection } = await checkAccessToken(world.deps, String(answer.body.access_token), 'local')
    expect(connection).toMatchObject({ identity: { issuer: world.issuer, sub: 'ann' } })
    expect([connection.grantKey, connection.provider]).toEqual([undefined, undefined])
    expect(codeOf(await newBrowser().open(world.authorizeUrl(members)))).toMatch(/^emcy_ac_/)
  })

  it('a page that was shown to one session is not answered for another', async () => {
    user = { sub: 'first' }
    const browser = newBrowser()
    const page = await browser.open(world.authorizeUrl({ ...asWeb, resource: `${world.issuer}/local` }))
    user = { sub: 'second' }
    const answer = await browser.submit(page, 'allow')
    expect([answer.status, answer.toClient]).toEqual([403, undefined])
    await world.close()
  })

  it('ask: another account than the host names is asked after the sign-in', async () => {
    await start('ask')
    user = { sub: 'ann' }
    const browser = newBrowser()
    const login = await browser.submit(await browser.open(world.authorizeUrl(asWeb)), 'allow')
    const confirm = await browser.login(login, 'eve')
    expect([confirm.url.pathname, confirm.text.includes('eve')]).toEqual(['/consent', true])
    expect(codeOf(await browser.submit(confirm, 'allow'))).toMatch(/^emcy_ac_/)
  })
})

describe('a server without users', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld({ server: { provider: undefined, grants: 'none' } })
  })
  afterAll(() => world.close())

  it('AZ-5: asks for consent each time, then gives the code', async () => {
    const browser = newBrowser()
    for (let round = 0; round < 2; round++) {
      const page = await browser.open(world.authorizeUrl(asWeb))
      expect(page.url.pathname).toBe('/consent')
      const done = await browser.submit(page, 'allow')
      const answer = await world.token({ grant_type: 'authorization_code', code: codeOf(done), code_verifier: verifier, client_id: 'web' })
      expect((await checkAccessToken(world.deps, String(answer.body.access_token), 'mcp')).connection.identity).toBeUndefined()
      expect(codeOf(await browser.submit(page, 'allow'))).toBe(codeOf(done))
    }
    expect(world.provider.requests).toEqual([])
  })
})
