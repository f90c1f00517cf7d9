import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { subjectKey } from '../../src/connections/connection.ts'
import { checkAccessToken, connectionsOf } from '../../src/connections/connections.ts'
import { readGrant, readGrantTokens } from '../../src/grants/grants.ts'
import { Browser } from '../authorization/browser.ts'
import { connect, startWorld, type World } from '../authorization/world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const open = (browser: Browser) => browser.open(`${world.issuer}/account`)
const connections = (sub: string) => connectionsOf(world.deps, subjectKey({ issuer: world.provider.issuer, sub }))

describe('the account page', () => {
  it('shows nobody anything without a sign-in', async () => {
    const page = await open(new Browser())
    expect([page.status, page.forms.length]).toEqual([200, 0])
    expect(page.text).toContain('Nobody is signed in here')
  })

  it("lists this user's connections and no others, escaped, and cannot be framed", async () => {
    const browser = new Browser()
    await connect(world, browser, 'ann')
    await connect(world, new Browser(), 'ben')
    const page = await open(browser)
    expect(page.text).toContain('Command <b>line</b> & "Co"')
    expect(page.html).not.toContain('<b>line')
    expect(page.text).toMatch(/The mcp server · todos\.read, todos\.write/)
    expect(page.text).toMatch(/Connected \d+ \w+ \d{4} ?, last used \d+ \w+ \d{4}/)
    expect(page.forms.filter((form) => form.buttons.some(({ value }) => value === 'disconnect'))).toHaveLength(1)
    expect(page.headers.get('x-frame-options')).toBe('DENY')
  })

  it('disconnect ends connection and grant, tells the provider, and asks for consent the next time', async () => {
    const browser = new Browser('https://app.example/done')
    const asWeb = { client_id: 'web', redirect_uri: undefined }
    const { access_token } = await connect(world, browser, 'carol', asWeb)
    browser.stopAt = `${world.provider.issuer}/auth`
    expect((await browser.open(world.authorizeUrl(asWeb))).toClient).toBeDefined()
    const { connection } = await checkAccessToken(world.deps, access_token as string, 'mcp')
    const grant = await readGrant(world.deps, connection.grantKey ?? '')
    const refreshToken = grant && readGrantTokens(world.deps, connection.grantKey ?? '', grant.value)?.refreshToken
    expect(await world.provider.provider.RefreshToken.find(refreshToken ?? '')).toBeDefined()
    const after = await browser.submit(await open(browser), 'disconnect')
    expect([after.status, after.url.pathname]).toEqual([200, '/account'])
    expect(after.text).toContain('No app is connected')
    await expect(checkAccessToken(world.deps, access_token as string, 'mcp')).rejects.toMatchObject({ code: 'invalid_token' })
    expect(await readGrant(world.deps, connection.grantKey ?? '')).toBeUndefined()
    expect(await world.provider.provider.RefreshToken.find(refreshToken ?? '')).toBeUndefined()
    expect((await browser.open(world.authorizeUrl(asWeb))).url.pathname).toBe('/consent')
    expect(world.events.some((event) => event.event === 'authorization.account' && event.outcome === 'disconnected')).toBe(true)
  })

  it('AZ-8: a foreign form, another token, or another user ends nothing', async () => {
    const [ann, eve] = [new Browser(), new Browser()]
    await connect(world, ann, 'dora')
    await connect(world, eve, 'eve')
    const page = await open(ann)
    const before = await connections('dora')
    expect(before).toHaveLength(1)
    const ofEve = (await open(eve)).forms[0]?.fields.find(([name]) => name === 'token')?.[1] ?? ''
    for (const refused of [
      await ann.submit(page, 'disconnect', {}, { 'sec-fetch-site': 'cross-site' }),
      await ann.submit(page, 'disconnect', {}, { origin: 'https://evil.example' }),
      await ann.submit(page, 'disconnect', { token: ofEve }),
      await ann.submit(page, 'disconnect', { token: '' }),
      await eve.submit(page, 'disconnect'),
      await new Browser().submit(page, 'disconnect'),
    ]) {
      expect(refused.status).toBe(403)
    }
    expect(await connections('dora')).toEqual(before)
  })

  it('disconnecting twice shows the list', async () => {
    const browser = new Browser()
    await connect(world, browser, 'fay')
    const page = await open(browser)
    await browser.submit(page, 'disconnect')
    const again = await browser.submit(page, 'disconnect')
    expect([again.status, again.text.includes('No app is connected')]).toEqual([200, true])
  })

  it('forgets the user in this browser, and the connections go on', async () => {
    const browser = new Browser()
    await connect(world, browser, 'gil')
    const page = await open(browser)
    const after = await browser.submit(page, 'forget')
    expect(after.text).toContain('Nobody is signed in here')
    expect(await connections('gil')).toHaveLength(1)
  })

  it('a cookie that has run out names nobody', async () => {
    const browser = new Browser()
    await connect(world, browser, 'hal')
    const cookie = browser.cookies.header(new URL(world.issuer)) ?? ''
    world.advance(2_592_001)
    expect(await (await fetch(`${world.issuer}/account`, { headers: { cookie } })).text()).toContain('Nobody is signed in here')
    world.advance(-2_592_001)
  })

  it('an outage is a page that says so, and no other method is offered', async () => {
    const browser = new Browser()
    await connect(world, browser, 'ida')
    world.outage(true)
    const page = await open(browser)
    world.outage(false)
    expect([page.status, page.headers.get('retry-after') !== null, page.text.includes('Not available right now')]).toEqual([503, true, true])
    expect((await fetch(`${world.issuer}/account`, { method: 'DELETE' })).status).toBe(405)
  })
})

describe("the host app's own session", () => {
  it('names the user at every provider', async () => {
    const hosted = await startWorld({
      config: { identify: (req) => (req.headers['x-user'] === undefined ? undefined : { sub: String(req.headers['x-user']) }), onMismatch: 'ask' },
    })
    const browser = new Browser()
    await connect(hosted, browser, 'ann')
    const asAnn = await browser.open(`${hosted.issuer}/account`, { headers: { 'x-user': 'ann' } })
    expect(asAnn.text).toContain('The mcp server')
    expect(asAnn.forms).toHaveLength(1)
    expect((await browser.open(`${hosted.issuer}/account`)).text).toContain('Nobody is signed in here')
    expect((await browser.open(`${hosted.issuer}/account`, { headers: { 'x-user': 'ben' } })).text).toContain('No app is connected')
    await hosted.close()
  })
})
