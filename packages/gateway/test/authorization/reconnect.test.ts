import { afterEach, describe, expect, it } from '@jest/globals'
import { ownGrantKey } from '../../src/grants/grant-key.ts'
import { changeGrant, readGrant, readGrantTokens } from '../../src/grants/grants.ts'
import { linkUrl, sealLink } from '../../src/grants/reconnect-link.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { defaultEndpoints } from '../../src/options/options.ts'
import type { Store } from '../../src/store/store.ts'
import { Browser, type Page } from './browser.ts'
import { connect, startWorld, type World, type WorldOptions } from './world.ts'

const worlds: World[] = []
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.close().catch(() => undefined)
})

interface Dead {
  world: World
  tokens: Record<string, string>
  connectionId: string
  key: string
  link: string
}

/** A connection whose grant is dead, and a link for it. */
async function withDeadGrant(options: WorldOptions = {}): Promise<Dead> {
  const world = await startWorld(options)
  worlds.push(world)
  const tokens = await connect(world, new Browser(), 'ann')
  const connectionId = /^emcy_at_([\w-]+)\./.exec(String(tokens.access_token))?.[1] as string
  const key = ownGrantKey('default', connectionId)
  await changeGrant(world.deps, key, (grant) => {
    if (!grant) throw new Error('there is no grant')
    return { do: 'write', next: { ...grant, state: 'needs-reconnect' }, ttlMs: 60_000, answer: undefined }
  })
  return { world, tokens, connectionId, key, link: linkTo(world, connectionId, 1) }
}

const linkTo = (world: World, connectionId: string, version: number) =>
  linkUrl(world.config, sealLink(world.deps, { connectionId, version, requestId: 'the request' }))
const stateOf = async ({ world, key }: Dead) => (await readGrant(world.deps, key))?.value.state
const tokensOf = async ({ world, key }: Dead) => {
  const stored = await readGrant(world.deps, key)
  return stored && readGrantTokens(world.deps, key, stored.value)
}

/** Opens the link, presses the button, and logs in. */
async function follow(link: string, user: string, browser = new Browser()): Promise<Page> {
  return browser.login(await browser.submit(await browser.open(link), 'same'), user)
}

describe('EL-8: the host app’s own session', () => {
  it('that names another user is refused before anything begins', async () => {
    let user: { sub: string } | undefined
    const dead = await withDeadGrant({ config: { identify: () => user } })
    const before = dead.world.provider.requests.length
    user = { sub: 'bob' }
    const page = await new Browser().open(dead.link)
    expect([page.status, page.forms, page.text.includes('did not connect the app')]).toEqual([403, [], true])
    expect(dead.world.provider.requests).toHaveLength(before)
  })

  it('that changes hands on the way is refused at the end', async () => {
    let user: { sub: string } | undefined
    const dead = await withDeadGrant({ config: { identify: () => user } })
    user = { sub: 'ann' }
    const browser = new Browser()
    const page = await browser.open(dead.link)
    expect(page.text).toContain('ann (name)')
    const login = await browser.submit(page, 'same')
    user = { sub: 'bob' }
    expect((await browser.login(login, 'ann')).status).toBe(403)
    expect(await stateOf(dead)).toBe('needs-reconnect')
    user = { sub: 'ann' }
    expect((await follow(dead.link, 'ann')).status).toBe(200)
    expect(await stateOf(dead)).toBe('live')
  })
})

describe('EL-6: what a sign-in from a link leaves', () => {
  it('new tokens under the connection’s own grant, which live on their own', async () => {
    const dead = await withDeadGrant()
    const before = await tokensOf(dead)
    const page = await follow(dead.link, 'ann')
    expect([page.status, page.text]).toEqual([200, expect.stringContaining('Go back to Command <b>line</b> & "Co"')])
    const after = await tokensOf(dead)
    expect([after?.accessToken === before?.accessToken, after?.refreshToken === before?.refreshToken]).toEqual([false, false])
    expect((await readGrant(dead.world.deps, dead.key))?.value).toMatchObject({ state: 'live', version: 2, owner: dead.connectionId, identity: { sub: 'ann' } })
    expect((await dead.world.token({ grant_type: 'refresh_token', refresh_token: dead.tokens.refresh_token })).status).toBe(200)
  })

  it('also where the record of the grant is gone, or sealed with a key that is gone', async () => {
    const gone = await withDeadGrant()
    await gone.world.deps.store.delete(gone.key)
    expect((await new Browser().open(gone.link)).status).toBe(410)
    expect((await follow(linkTo(gone.world, gone.connectionId, 0), 'ann')).status).toBe(200)
    expect(await stateOf(gone)).toBe('live')
    const foreign = await withDeadGrant()
    const { value } = (await readGrant(foreign.world.deps, foreign.key)) ?? {}
    const sealed = createKeyRing(['another secret that this gateway does not have']).seal('{}', foreign.key)
    await foreign.world.deps.store.set(foreign.key, JSON.stringify({ ...value, sealed }), 60_000)
    expect((await new Browser().open(foreign.link)).status).toBe(410)
    expect((await follow(linkTo(foreign.world, foreign.connectionId, 0), 'ann')).status).toBe(200)
  })

  it('nothing, when the connection ended between the sign-in and its saving', async () => {
    const dead = await withDeadGrant()
    const browser = new Browser()
    const login = await browser.submit(await browser.open(dead.link), 'same')
    const { store } = dead.world.deps
    dead.world.deps.store = endingOnSave(store, dead)
    const page = await browser.login(login, 'ann')
    dead.world.deps.store = store
    expect([page.status, page.text]).toEqual([410, expect.stringContaining('This link is over')])
    expect(await readGrant(dead.world.deps, dead.key)).toBeUndefined()
    // And the provider was told.
    expect(dead.world.provider.requests).toContain('POST /token/revocation')
  })

  it('nothing, for an account of another issuer with the same sub', async () => {
    let issuer: string | undefined
    const identity = ({ idTokenClaims }: { idTokenClaims: Record<string, unknown> | undefined }) => ({
      issuer: issuer ?? String(idTokenClaims?.iss),
      sub: String(idTokenClaims?.sub),
      claims: {},
    })
    const dead = await withDeadGrant({ provider: { identity } })
    issuer = 'https://elsewhere.example'
    expect((await follow(dead.link, 'ann')).status).toBe(403)
    expect(await stateOf(dead)).toBe('needs-reconnect')
  })
})

describe('a provider that fails', () => {
  it('cannot be reached: 503, and the link stays good', async () => {
    const dead = await withDeadGrant()
    const browser = new Browser()
    browser.stopAt = `${dead.world.issuer}/callback`
    const callback = (await browser.login(await browser.submit(await browser.open(dead.link), 'same'), 'ann')).toClient as URL
    await dead.world.provider.close()
    browser.stopAt = undefined
    const page = await browser.open(callback)
    expect([page.status, page.text]).toEqual([503, expect.stringContaining('Not available right now')])
    expect((await browser.open(dead.link)).forms).toHaveLength(1)
    expect(await stateOf(dead)).toBe('needs-reconnect')
  })

  it('refuses the code: nothing is changed, and the log says why', async () => {
    const dead = await withDeadGrant()
    const browser = new Browser()
    browser.stopAt = `${dead.world.issuer}/callback`
    const callback = (await browser.login(await browser.submit(await browser.open(dead.link), 'same'), 'ann')).toClient as URL
    browser.stopAt = undefined
    callback.searchParams.set('code', 'another')
    const page = await browser.open(callback)
    expect([page.status, page.text]).toEqual([403, expect.stringContaining('You were not signed in')])
    expect(dead.world.events.at(-1)).toMatchObject({
      event: 'authorization.reconnect',
      outcome: 'invalid_grant',
      reason: expect.stringContaining('code exchange'),
    })
    expect(JSON.stringify(dead.world.events)).not.toContain(new URL(dead.link).searchParams.get('link'))
  })

  it('an outage of the store is no end of the link', async () => {
    const dead = await withDeadGrant()
    dead.world.outage(true)
    expect((await new Browser().open(dead.link)).status).toBe(503)
    dead.world.outage(false)
    expect((await new Browser().open(dead.link)).status).toBe(200)
  })
})

describe('how it looks and where it stands', () => {
  it('goes by the team’s words and path, and keeps its warning', async () => {
    const texts = { reconnectTitle: 'Noch einmal anmelden', reconnect: 'Anmelden', reconnectedTitle: 'Fertig' }
    const consent = { remember: true, name: 'Todo', logo: undefined, colours: {}, texts, chooseScopes: true, render: undefined }
    const dead = await withDeadGrant({ config: { consent, endpoints: { ...defaultEndpoints, reconnect: '/wieder' } } })
    expect(new URL(dead.link).pathname).toBe('/wieder')
    const page = await new Browser().open(dead.link)
    expect(page.text).toContain('Noch einmal anmelden')
    expect(page.text).toContain('If somebody sent you this link, close this page.')
    expect(page.headers.get('content-security-policy')).toMatch(/form-action 'self';.*frame-ancestors 'none'/)
    expect((await follow(dead.link, 'ann')).text).toContain('Fertig')
  })

  it('AZ-9: binds the page to its browser with a cookie that only https carries', async () => {
    const world = await startWorld({ config: { loopback: false } })
    worlds.push(world)
    const dead = await withDeadGrant()
    const id = new URL(dead.link).searchParams.get('link')
    // The same keys and records, behind a public name.
    world.deps.store = dead.world.deps.store
    const answer = await fetch(`${world.issuer}/reconnect?link=${id}`)
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^__Host-emcy-page-[\w-]{16}=[\w-]{43}; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax; Secure$/),
    ])
    expect((await fetch(`${world.issuer}/reconnect?link=${id}`, { method: 'DELETE' })).status).toBe(405)
  })
})

/** A store in which the connection ends at the moment its grant is renewed. */
function endingOnSave(store: Store, { key, connectionId }: Dead): Store {
  return new Proxy(store, {
    get(target, name) {
      if (name !== 'compareAndSet') return Reflect.get(target, name)
      return async (...given: Parameters<Store['compareAndSet']>) => {
        const done = await target.compareAndSet(...given)
        if (given[0] === key) await target.delete(`connection:${connectionId}`)
        return done
      }
    },
  })
}
