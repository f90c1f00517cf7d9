import { describe, expect, it } from '@jest/globals'
import { Browser } from './browser.ts'
import { startWorld } from './world.ts'

describe('the provider cannot be reached', () => {
  it('at consent: a page that says so, and the question stays open', async () => {
    const world = await startWorld()
    await world.provider.close()
    const browser = new Browser()
    const page = await browser.open(world.authorizeUrl())
    const answer = await browser.submit(page, 'allow')
    expect([answer.status, answer.headers.get('retry-after'), answer.text.includes('Not available right now')]).toEqual([503, '5', true])
    expect((await browser.open(page.url)).forms).toHaveLength(1)
    expect((await browser.submit(page, 'deny')).toClient?.searchParams.get('error')).toBe('access_denied')
    await world.close().catch(() => undefined)
  })

  it('at the callback: the client is told temporarily_unavailable, with iss', async () => {
    const world = await startWorld()
    const browser = new Browser()
    browser.stopAt = `${world.issuer}/callback`
    const callback = (await browser.authorize(world.authorizeUrl(), 'ann')).toClient as URL
    await world.provider.close()
    browser.stopAt = undefined
    const { toClient } = await browser.open(callback)
    expect(Object.fromEntries(toClient?.searchParams ?? [])).toMatchObject({ error: 'temporarily_unavailable', state: 'the state', iss: world.issuer })
    await world.close().catch(() => undefined)
  })
})

describe('AZ-9: cookies on a public https gateway', () => {
  it('carry the __Host- prefix and Secure', async () => {
    const world = await startWorld({ config: { loopback: false } })
    const answer = await fetch(world.authorizeUrl(), { redirect: 'manual' })
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-emcy-page-[\w-]{16}=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/),
    ])
    await world.close()
  })
})

describe('a provider whose identity function names another issuer', () => {
  it('does not turn the host app user into a stranger', async () => {
    const world = await startWorld({
      config: { identify: () => ({ sub: 'ann' }), onMismatch: 'block' },
      provider: { identity: ({ idTokenClaims }) => ({ issuer: 'https://directory.example', sub: String(idTokenClaims?.sub), claims: {} }) },
    })
    const browser = new Browser()
    expect((await browser.authorize(world.authorizeUrl(), 'ann')).toClient?.searchParams.has('code')).toBe(true)
    expect((await new Browser().authorize(world.authorizeUrl(), 'eve')).status).toBe(403)
    await world.close()
  })
})
