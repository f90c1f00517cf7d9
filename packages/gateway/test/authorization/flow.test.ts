import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { subjectKey } from '../../src/connections/connection.ts'
import { checkAccessToken, connectionsOf } from '../../src/connections/connections.ts'
import { readGrant, readGrantTokens } from '../../src/grants/grants.ts'
import { Browser, clientRedirect } from './browser.ts'
import { codeOf, connect, startWorld, verifier, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const connectionOf = async (accessToken: string) => (await checkAccessToken(world.deps, accessToken, 'mcp')).connection

describe('the flow from authorize to tokens', () => {
  it('AZ-5 AZ-10 AZ-14 AZ-15 TK-11: consent, sign-in, code, tokens, with a downstream grant behind them', async () => {
    const browser = new Browser()
    const asked = await browser.open(world.authorizeUrl())
    expect(asked.url.pathname).toBe('/consent')
    expect(world.provider.requests.filter((line) => line.includes('/auth'))).toEqual([])
    const done = await browser.login(await browser.submit(asked, 'allow'), 'ann')
    expect(done.status).toBe(303)
    expect(Object.fromEntries(done.toClient?.searchParams ?? [])).toEqual({ code: expect.stringMatching(/^emcy_ac_/), state: 'the state', iss: world.issuer })
    const answer = await world.token({ grant_type: 'authorization_code', code: codeOf(done), code_verifier: verifier, redirect_uri: clientRedirect })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(answer.body).toEqual({
      access_token: expect.stringMatching(/^emcy_at_/),
      token_type: 'Bearer',
      expires_in: 3600,
      refresh_token: expect.stringMatching(/^emcy_rt_/),
      scope: 'todos.read todos.write',
    })
    const connection = await connectionOf(String(answer.body.access_token))
    expect(connection.identity).toMatchObject({ issuer: world.provider.issuer, sub: 'ann' })
    const grant = await readGrant(world.deps, connection.grantKey ?? '')
    const tokens = grant && readGrantTokens(world.deps, connection.grantKey ?? '', grant.value)
    expect(await world.provider.provider.AccessToken.find(tokens?.accessToken ?? '')).toMatchObject({ accountId: 'ann' })
    expect(tokens?.refreshToken).toEqual(expect.any(String))
  })

  it('TK-6: a refresh rotates, without resource and with it in either spelling', async () => {
    let { refresh_token } = await connect(world, new Browser(), 'ann')
    for (const resource of [undefined, `${world.issuer}/mcp`, `${world.issuer}/mcp/`, `${world.issuer.toUpperCase().replace('HTTP', 'http')}/mcp`]) {
      const answer = await world.token({ grant_type: 'refresh_token', refresh_token, resource })
      expect([answer.status, answer.body.scope]).toEqual([200, 'todos.read todos.write'])
      expect(answer.body.refresh_token).not.toBe(refresh_token)
      refresh_token = String(answer.body.refresh_token)
    }
  })

  it('nothing is consumed by the first GET: fetched without cookies, then opened twice in a browser', async () => {
    const url = world.authorizeUrl()
    for (const method of ['GET', 'HEAD']) {
      const fetched = await fetch(url, { method, headers: { accept: '*/*' }, redirect: 'manual' })
      expect(fetched.status).toBe(303)
      expect(fetched.headers.get('location')).toContain(`${world.issuer}/consent?transaction=`)
    }
    const browser = new Browser()
    const first = await browser.open(url)
    const second = await browser.open(url)
    for (const page of [second, first]) {
      const next = await browser.submit(page, 'allow')
      expect(codeOf(next.toClient ? next : await browser.login(next, 'ann'))).toMatch(/^emcy_ac_/)
    }
  })

  it('takes the authorization request as a form too', async () => {
    const { searchParams } = world.authorizeUrl()
    const answer = await world.post('/authorize', Object.fromEntries(searchParams))
    expect(answer.status).toBe(303)
    expect(answer.headers.get('location')).toContain('/consent?transaction=')
  })

  it('AZ-1: appends to a redirect URI that has a query, and lets it be left out when there is one', async () => {
    const browser = new Browser('https://app.example/done')
    const done = await browser.authorize(world.authorizeUrl({ client_id: 'web', redirect_uri: undefined }), 'ann')
    expect(done.toClient?.href).toMatch(/^https:\/\/app\.example\/done\?tenant=1&code=emcy_ac_/)
    expect((await new Browser().open(world.authorizeUrl({ client_id: 'two', redirect_uri: undefined }))).status).toBe(400)
  })

  it('AZ-2: the port of a loopback redirect is free', async () => {
    const page = await new Browser('http://127.0.0.1:41234/callback').authorize(world.authorizeUrl({ redirect_uri: 'http://127.0.0.1:41234/callback' }), 'ann')
    expect(codeOf(page)).toMatch(/^emcy_ac_/)
  })

  it('AZ-4: returns any state unchanged', async () => {
    const state = 'ä/+ =&?#%20"<b>'
    const page = await new Browser().authorize(world.authorizeUrl({ state }), 'ann')
    expect(page.toClient?.searchParams.get('state')).toBe(state)
    const without = await new Browser().authorize(world.authorizeUrl({ state: undefined }), 'ann')
    expect(without.toClient?.searchParams.has('state')).toBe(false)
  })

  it('AS-10: revocation by a public client ends connection, grant, and the refresh token at the provider', async () => {
    const user = 'only-once'
    const { access_token, refresh_token } = await connect(world, new Browser(), user)
    const connection = await connectionOf(access_token as string)
    const grant = await readGrant(world.deps, connection.grantKey ?? '')
    const downstream = grant && readGrantTokens(world.deps, connection.grantKey ?? '', grant.value)?.refreshToken
    expect(await world.provider.provider.RefreshToken.find(downstream ?? '')).toBeDefined()
    const answer = await world.post('/revoke', { token: refresh_token, token_type_hint: 'refresh_token', client_id: 'cli' })
    expect(answer.status).toBe(200)
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    await expect(connectionOf(access_token as string)).rejects.toMatchObject({ code: 'invalid_token' })
    expect(await readGrant(world.deps, connection.grantKey ?? '')).toBeUndefined()
    expect(await world.provider.provider.RefreshToken.find(downstream ?? '')).toBeUndefined()
    expect(await connectionsOf(world.deps, subjectKey({ issuer: world.provider.issuer, sub: user }))).toEqual([])
    expect((await world.token({ grant_type: 'refresh_token', refresh_token })).body.error).toBe('invalid_grant')
  })

  it('the provider is not told while the user has another connection that rests on it', async () => {
    // One session at the provider: to it both are one grant, which it would end as a whole.
    const browser = new Browser()
    const [first, second] = [await connect(world, browser, 'twice'), await connect(world, browser, 'twice')]
    await world.post('/revoke', { token: first.refresh_token, client_id: 'cli' })
    const left = await connectionOf(second.access_token as string)
    const grant = await readGrant(world.deps, left.grantKey ?? '')
    const downstream = grant && readGrantTokens(world.deps, left.grantKey ?? '', grant.value)?.refreshToken
    expect(await world.provider.provider.RefreshToken.find(downstream ?? '')).toBeDefined()
  })

  it('the grant behind a connection lives on with it', async () => {
    const { access_token, refresh_token } = await connect(world, new Browser(), 'long')
    const { grantKey } = await connectionOf(access_token as string)
    world.advance(20 * 86_400)
    expect((await world.token({ grant_type: 'refresh_token', refresh_token })).status).toBe(200)
    world.advance(20 * 86_400)
    expect(await readGrant(world.deps, grantKey ?? '')).toBeDefined()
  })

  it('a shared grant stays until the last connection of its user ends', async () => {
    const shared = await startWorld({ server: { grants: 'shared' } })
    const browser = new Browser()
    const [first, second] = [await connect(shared, browser, 'ann'), await connect(shared, browser, 'ann')]
    const keyOf = async (token: unknown) => (await checkAccessToken(shared.deps, String(token), 'mcp')).connection.grantKey ?? ''
    const key = await keyOf(first.access_token)
    expect(await keyOf(second.access_token)).toBe(key)
    await shared.post('/revoke', { token: first.refresh_token, client_id: 'cli' })
    const grant = await readGrant(shared.deps, key)
    const downstream = grant && readGrantTokens(shared.deps, key, grant.value)?.refreshToken
    expect(await shared.provider.provider.RefreshToken.find(downstream ?? '')).toBeDefined()
    await shared.post('/revoke', { token: second.refresh_token, client_id: 'cli' })
    expect(await readGrant(shared.deps, key)).toBeUndefined()
    expect(await shared.provider.provider.RefreshToken.find(downstream ?? '')).toBeUndefined()
    await shared.close()
  })

  it('what is not a path of ours goes on; another method of ours is refused', async () => {
    expect(await (await fetch(`${world.issuer}/elsewhere`)).text()).toBe('not ours')
    for (const [path, method, allow] of [
      ['/token', 'GET', 'POST'],
      ['/register', 'PATCH', 'POST, GET, PUT, DELETE'],
      ['/par', 'GET', 'POST'],
      ['/client-logo', 'POST', 'GET, HEAD'],
      ['/callback', 'POST', 'GET'],
      ['/authorize', 'PUT', 'GET, HEAD, POST'],
    ]) {
      const answer = await fetch(world.issuer + path, { method: method as string })
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, allow])
    }
  })

  it('CR-20: registers, with CORS and no-store', async () => {
    const answer = await fetch(`${world.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json; charset=UTF-8', origin: 'https://page.example' },
      body: JSON.stringify({ redirect_uris: [clientRedirect], token_endpoint_auth_method: 'none', client_name: 'Registered', scope: '' }),
    })
    expect([answer.status, answer.headers.get('access-control-allow-origin'), answer.headers.get('cache-control')]).toEqual([201, '*', 'no-store'])
    const { client_id } = (await answer.json()) as { client_id: string }
    expect(codeOf(await new Browser().authorize(world.authorizeUrl({ client_id }), 'ann'))).toMatch(/^emcy_ac_/)
  })
})
