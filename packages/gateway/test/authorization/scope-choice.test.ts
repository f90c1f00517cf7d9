import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { rememberRefusedScopes } from '../../src/clients/step-up.ts'
import { subjectKey } from '../../src/connections/connection.ts'
import { Browser, type Page } from './browser.ts'
import { codeOf, startWorld, verifier, type World } from './world.ts'

let world: World
beforeAll(async () => {
  const scopes = ['todos.read', 'todos.write', 'todos.share']
  world = await startWorld({
    server: { scopes, requiredScopes: ['todos.read'] },
    moreServers: { free: { scopes: ['todos.read', 'todos.write'] } },
    provider: { scopes: ['openid', ...scopes] },
    config: {
      consent: {
        remember: true,
        name: 'Todo',
        logo: undefined,
        colours: {},
        texts: { 'scope:todos.write': 'Change your todos' },
        chooseScopes: true,
        render: undefined,
      },
    },
  })
})
afterAll(() => world.close())

const redirect = 'https://app.example/done'
const newBrowser = () => new Browser(redirect)
const asWeb = { client_id: 'web', redirect_uri: undefined }
const atConsent = async (members: Record<string, string | undefined> = {}, browser = newBrowser()) => ({
  browser,
  page: await browser.open(world.authorizeUrl({ ...asWeb, ...members })),
})

/** The page as it is submitted with these checkboxes only. */
function only(page: Page, ...scopes: string[]): Page {
  const boxes = new Map([...page.html.matchAll(/name="(scope-\d+)"[^>]*>(?:(?!<\/label>).)*?<code>([^<]+)<\/code>/gs)].map((match) => [match[1], match[2]]))
  const forms = page.forms.map((form) => ({ ...form, fields: form.fields.filter(([name]) => !boxes.has(name) || scopes.includes(boxes.get(name) ?? '')) }))
  return { ...page, forms }
}

const redeem = async (page: Page) => {
  const answer = await world.token({ grant_type: 'authorization_code', code: codeOf(page), code_verifier: verifier, client_id: 'web' })
  return answer.body
}

describe("AZ-16: the user's choice of scopes", () => {
  it('offers what the server can do without, all switched on; what it needs stands there as required', async () => {
    const { page } = await atConsent()
    expect([...page.html.matchAll(/<input type="checkbox" name="(scope-\d)" value="on" checked>/g)].map((match) => match[1])).toEqual(['scope-1', 'scope-2'])
    expect(page.text).toContain('todos.read Required')
    expect(page.text).toContain('Change your todos')
  })

  it('grants what was left on; the token says so, and so does every refresh', async () => {
    const { browser, page } = await atConsent()
    const tokens = await redeem(await browser.login(await browser.submit(only(page, 'todos.write'), 'allow'), 'ann'))
    expect(tokens.scope).toBe('todos.read todos.write')
    const refreshed = await world.token({
      grant_type: 'refresh_token',
      refresh_token: String(tokens.refresh_token),
      client_id: 'web',
      scope: 'todos.read todos.write todos.share',
    })
    expect(refreshed.body).toMatchObject({ error: 'invalid_scope' })
    const again = await world.token({ grant_type: 'refresh_token', refresh_token: String(tokens.refresh_token), client_id: 'web' })
    expect(again.body.scope).toBe('todos.read todos.write')
  })

  it('asks the provider for no more than was left on', async () => {
    const { browser, page } = await atConsent()
    browser.stopAt = `${world.provider.issuer}/auth`
    const away = await browser.submit(only(page), 'allow')
    expect(away.toClient?.searchParams.get('scope')?.split(' ').sort()).toEqual(['openid', 'todos.read'])
  })

  it('AZ-13: remembers what was left on, and asks again for the rest', async () => {
    const browser = newBrowser()
    const { page } = await atConsent({}, browser)
    await browser.login(await browser.submit(only(page, 'todos.share'), 'allow'), 'ben')
    expect((await atConsent({ scope: 'todos.read todos.share' }, browser)).page.toClient).toBeDefined()
    expect((await atConsent({ scope: 'todos.write' }, browser)).page.url.pathname).toBe('/consent')
  })

  it('a required scope cannot be left out by a form of one’s own making, nor one be added', async () => {
    const { browser, page } = await atConsent({ scope: 'todos.read todos.write' })
    const done = await browser.login(await browser.submit(only(page), 'allow', { 'scope-0': '', 'scope-2': 'on', scope: 'todos.share' }), 'ann')
    expect((await redeem(done)).scope).toBe('todos.read')
  })

  it('nothing left where nothing is required: a page says what to do, and the answer can still be given', async () => {
    const { browser, page } = await atConsent({ resource: `${world.issuer}/free` })
    const empty = await browser.submit(only(page), 'allow')
    expect([empty.status, empty.text.includes('Go back')]).toEqual([400, true])
    expect((await redeem(await browser.login(await browser.submit(only(page, 'todos.write'), 'allow'), 'ann'))).scope).toBe('todos.write')
  })

  it('denying asks for no choice', async () => {
    const { browser, page } = await atConsent({ resource: `${world.issuer}/free` })
    expect((await browser.submit(only(page), 'deny')).toClient?.searchParams.get('error')).toBe('access_denied')
  })

  it('one scope is no choice; with chooseScopes off there is none', async () => {
    expect((await atConsent({ scope: 'todos.write' })).page.html).not.toContain('type="checkbox"')
    const plain = await startWorld({
      config: { consent: { remember: true, name: 'Todo', logo: undefined, colours: {}, texts: {}, chooseScopes: false, render: undefined } },
    })
    expect((await newBrowser().open(plain.authorizeUrl(asWeb))).html).not.toContain('type="checkbox"')
    await plain.close()
  })

  it('a second answer with another choice changes nothing any more', async () => {
    const { browser, page } = await atConsent()
    browser.stopAt = `${world.provider.issuer}/auth`
    const first = await browser.submit(only(page, 'todos.write'), 'allow')
    const second = await browser.submit(only(page, 'todos.write', 'todos.share'), 'allow')
    expect(second.toClient?.href).toBe(first.toClient?.href)
  })

  it('scopes of a step-up can be declined, and are not offered again by themselves', async () => {
    const browser = newBrowser()
    await browser.authorize(world.authorizeUrl({ ...asWeb, scope: 'todos.read' }), 'step')
    const subject = subjectKey({ issuer: world.provider.issuer, sub: 'step' })
    await rememberRefusedScopes(world.deps, { subject, clientId: 'web', serverId: 'mcp', scopes: ['todos.write'] })
    const { page } = await atConsent({ scope: 'todos.read' }, browser)
    expect(page.text).toContain('todos.write')
    expect((await redeem(await browser.submit(only(page), 'allow'))).scope).toBe('todos.read')
    expect((await atConsent({ scope: 'todos.read' }, browser)).page.toClient).toBeDefined()
  })
})
