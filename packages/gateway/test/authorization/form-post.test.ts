import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser, clientRedirect, type Page } from './browser.ts'
import { clientsConfig, startWorld, verifier, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ moreServers: { local: { provider: undefined, grants: 'none' } }, config: { clients: clientsConfig() } })
})
afterAll(() => world.close())

const posted = { response_mode: 'form_post' }
const fieldsOf = (page: Page): Record<string, string> => Object.fromEntries(page.forms[0]?.fields ?? [])

describe('OAuth 2.0 Form Post Response Mode', () => {
  it('§2: the answer is a form to the redirect URI, with code, state and iss (AZ-14), and the code is good', async () => {
    const browser = new Browser()
    const page = await browser.login(await browser.submit(await browser.open(world.authorizeUrl(posted)), 'allow'), 'ann')
    expect([page.status, page.toClient, page.forms[0]?.method, page.forms[0]?.action.href]).toEqual([200, undefined, 'POST', clientRedirect])
    const { code = '', ...others } = fieldsOf(page)
    expect(others).toEqual({ state: 'the state', iss: world.issuer })
    expect(page.url.href).not.toContain(code)
    expect((await world.token({ grant_type: 'authorization_code', code, code_verifier: verifier })).status).toBe(200)
  })

  it('§4: one script runs, by its hash; nothing is stored, framed or told to others', async () => {
    const browser = new Browser()
    const page = await browser.submit(await browser.open(world.authorizeUrl(posted)), 'deny')
    const policy = page.headers.get('content-security-policy') ?? ''
    const script = /<script>([^<]*)<\/script>/.exec(page.html)?.[1] ?? ''
    expect(policy).toContain(`script-src 'sha256-${createHash('sha256').update(script).digest('base64')}'`)
    expect(policy).toMatch(/default-src 'none'.*frame-ancestors 'none'/)
    expect(policy).not.toContain('form-action')
    expect([page.headers.get('cache-control'), page.headers.get('referrer-policy')]).toEqual(['no-store', 'no-referrer'])
    // Without scripts there is a button.
    expect(page.forms[0]?.buttons.map(({ label }) => label)).toEqual(['Continue'])
    expect(fieldsOf(page)).toEqual({ error: 'access_denied', error_description: expect.any(String), state: 'the state', iss: world.issuer })
  })

  it('errors before the page go the same way; a state cannot leave its field', async () => {
    const state = '"><script>alert(1)</script>&amp;'
    const page = await new Browser().open(world.authorizeUrl({ ...posted, scope: 'none.such', state }))
    expect(fieldsOf(page)).toMatchObject({ error: 'invalid_scope', state, iss: world.issuer })
    expect(page.html).not.toContain('<script>alert')
  })

  it('a redirect URI with a query keeps it', async () => {
    const page = await new Browser().open(world.authorizeUrl({ ...posted, client_id: 'web', redirect_uri: undefined, code_challenge: undefined }))
    expect(page.forms[0]?.action.href).toBe('https://app.example/done?tenant=1')
    expect(fieldsOf(page)).toMatchObject({ error: 'invalid_request' })
  })

  it('a double click gets the same form, and who comes back gets a page', async () => {
    const browser = new Browser()
    const page = await browser.open(world.authorizeUrl({ ...posted, resource: `${world.issuer}/local` }))
    const [first, second] = [await browser.submit(page, 'allow'), await browser.submit(page, 'allow')]
    expect(fieldsOf(first)).toEqual(fieldsOf(second))
    const back = await browser.open(page.url)
    expect([back.status, back.forms, back.text.includes('answered')]).toEqual([200, [], true])
    expect(back.html).not.toContain(fieldsOf(first).code)
  })
})
