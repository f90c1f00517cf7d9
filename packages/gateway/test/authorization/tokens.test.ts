import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { checkAccessToken } from '../../src/connections/connections.ts'
import { readGrant } from '../../src/grants/grants.ts'
import { Browser, clientRedirect } from './browser.ts'
import { codeOf, connect, startWorld, verifier, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
})
afterAll(() => world.close())

const newCode = async (members: Record<string, string | undefined> = {}) =>
  codeOf(await new Browser('https://app.example/secret').authorize(world.authorizeUrl(members), 'ann'))
const redeem = (code: string, members: Record<string, string | undefined> = {}, headers: Record<string, string> = {}) =>
  world.token({ grant_type: 'authorization_code', code, code_verifier: verifier, ...members }, headers)
const connectionOf = async (accessToken: unknown) => (await checkAccessToken(world.deps, String(accessToken), 'mcp')).connection

describe('the authorization code', () => {
  it.each([
    ['TK-2: a wrong verifier', { code_verifier: 'w'.repeat(43) }, 'invalid_grant'],
    ['TK-2: a verifier that is none', { code_verifier: 'short' }, 'invalid_grant'],
    ['TK-2: no verifier', { code_verifier: undefined }, 'invalid_request'],
    ["TK-3: another client's code", { client_id: 'reader' }, 'invalid_grant'],
    ['TK-3: another redirect URI', { redirect_uri: 'http://127.0.0.1:7999/other' }, 'invalid_grant'],
    ['TK-5: another resource', { resource: 'https://elsewhere.example' }, 'invalid_target'],
    ['no code', { code: undefined }, 'invalid_request'],
    ['a code that we did not make', { code: `emcy_ac_${'A'.repeat(24)}.0.${'B'.repeat(43)}.${'C'.repeat(22)}` }, 'invalid_grant'],
  ] as [string, Record<string, string | undefined>, string][])(
    '%s: refused, nothing leaked, and the code is still good for its client',
    async (_name, members, error) => {
      const code = await newCode()
      const answer = await redeem(code, members)
      expect([answer.status, Object.keys(answer.body).sort(), answer.body.error]).toEqual([400, ['error', 'error_description'], error])
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(answer.text).not.toContain(code)
      expect(answer.text).not.toContain(verifier)
      expect((await redeem(code)).status).toBe(200)
    },
  )

  it('TK-2: a second use is refused and ends what the first gave, grant included', async () => {
    const code = await newCode()
    const { body } = await redeem(code)
    const { grantKey } = await connectionOf(body.access_token)
    expect((await redeem(code)).body.error).toBe('invalid_grant')
    await expect(connectionOf(body.access_token)).rejects.toMatchObject({ code: 'invalid_token' })
    expect(await readGrant(world.deps, grantKey ?? '')).toBeUndefined()
    expect((await world.token({ grant_type: 'refresh_token', refresh_token: String(body.refresh_token) })).body.error).toBe('invalid_grant')
    expect(world.events.filter(({ event }) => event === 'authorization.replay')).not.toEqual([])
  })

  it('of twenty redemptions at once at most one is answered', async () => {
    const code = await newCode()
    const answers = await Promise.all(Array.from({ length: 20 }, () => redeem(code)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it('has expired after a minute', async () => {
    const code = await newCode()
    world.advance(61)
    expect((await redeem(code)).body.error).toBe('invalid_grant')
  })

  it('TK-3: redirect_uri is not required, and accepted when it is the same', async () => {
    expect((await redeem(await newCode(), { redirect_uri: clientRedirect })).status).toBe(200)
  })
})

describe('the refresh token', () => {
  const refresh = (refresh_token: unknown, members: Record<string, string | undefined> = {}) =>
    world.token({ grant_type: 'refresh_token', refresh_token: String(refresh_token), ...members })

  it('TK-6 TK-7: twenty at once get one successor; an older one ends connection and grant', async () => {
    const first = await connect(world, new Browser(), 'ann')
    const answers = await Promise.all(Array.from({ length: 20 }, () => refresh(first.refresh_token)))
    expect(new Set(answers.map(({ body }) => body.refresh_token)).size).toBe(1)
    const second = answers[0]?.body as Record<string, string>
    const third = (await refresh(second.refresh_token)).body
    const { grantKey } = await connectionOf(third.access_token)
    expect((await refresh(first.refresh_token)).body.error).toBe('invalid_grant')
    await expect(connectionOf(third.access_token)).rejects.toMatchObject({ code: 'invalid_token' })
    expect(await readGrant(world.deps, grantKey ?? '')).toBeUndefined()
  })

  it('TK-8: of another client is refused, and ends nothing', async () => {
    const { refresh_token, access_token } = await connect(world, new Browser(), 'ann')
    expect((await refresh(refresh_token, { client_id: 'reader' })).body.error).toBe('invalid_grant')
    expect((await connectionOf(access_token)).clientId).toBe('cli')
  })

  it('TK-8: no wider scope', async () => {
    const { refresh_token } = await connect(world, new Browser(), 'ann', { scope: 'todos.read' })
    expect((await refresh(refresh_token, { scope: 'todos.read todos.write' })).body.error).toBe('invalid_scope')
    expect((await refresh(refresh_token, { scope: 'offline_access todos.read' })).body.scope).toBe('todos.read')
  })

  it('is missing', async () => {
    expect((await refresh('')).body.error).toBe('invalid_request')
  })
})

describe('TK-12: the token endpoint', () => {
  it('takes forms only', async () => {
    const answer = await fetch(`${world.issuer}/token`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"grant_type":"refresh_token"}',
    })
    expect([answer.status, ((await answer.json()) as { error: string }).error, answer.headers.get('access-control-allow-origin')]).toEqual([
      400,
      'invalid_request',
      '*',
    ])
  })

  it('knows two grant types', async () => {
    expect((await world.token({})).body.error).toBe('invalid_request')
    for (const grant_type of ['password', 'client_credentials', 'constructor', '__proto__']) {
      expect((await world.token({ grant_type })).body.error).toBe('unsupported_grant_type')
    }
  })

  it('AZ-4: a repeated parameter is an error', async () => {
    const body = 'grant_type=refresh_token&client_id=cli&refresh_token=a&refresh_token=b'
    const answer = await fetch(`${world.issuer}/token`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body })
    expect([answer.status, ((await answer.json()) as { error: string }).error]).toEqual([400, 'invalid_request'])
  })

  it('authenticates a confidential client, and challenges one that used the header', async () => {
    const code = await newCode({ client_id: 'secret', redirect_uri: undefined })
    const basic = (secret: string) => ({ authorization: `Basic ${Buffer.from(`secret:${secret}`).toString('base64')}` })
    const none = await redeem(code, { client_id: 'secret' })
    expect([none.status, none.body.error, none.headers.get('www-authenticate')]).toEqual([401, 'invalid_client', null])
    const wrong = await redeem(code, { client_id: undefined }, basic('wrong'))
    expect([wrong.status, wrong.body.error, wrong.headers.get('www-authenticate')]).toEqual([401, 'invalid_client', expect.stringMatching(/^Basic /)])
    expect((await redeem(code, { client_id: undefined }, basic('correct+horse+battery+staple'))).status).toBe(200)
  })

  it('answers preflights', async () => {
    for (const path of ['/token', '/register', '/revoke']) {
      const headers = { origin: 'https://page.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' }
      const answer = await fetch(world.issuer + path, { method: 'OPTIONS', headers })
      expect([answer.status, answer.headers.get('access-control-allow-origin')]).toEqual([204, '*'])
    }
  })
})

describe('AS-10: the revocation endpoint', () => {
  const revoke = (members: Record<string, string | undefined>) => world.post('/revoke', { client_id: 'cli', ...members })

  it('answers 200 to what it does not know', async () => {
    for (const token of ['unknown', 'emcy_rt_x.1.y.z']) expect(await revoke({ token })).toMatchObject({ status: 200, text: '' })
    expect((await revoke({})).body.error).toBe('invalid_request')
  })

  it("answers 200 to another client's token, and revokes nothing", async () => {
    const { refresh_token, access_token } = await connect(world, new Browser(), 'ann')
    expect((await revoke({ token: refresh_token, client_id: 'reader' })).status).toBe(200)
    expect((await connectionOf(access_token)).clientId).toBe('cli')
  })

  it('an access token ends its connection too', async () => {
    const { access_token } = await connect(world, new Browser(), 'ann')
    expect((await revoke({ token: access_token, token_type_hint: 'access_token' })).status).toBe(200)
    await expect(connectionOf(access_token)).rejects.toMatchObject({ code: 'invalid_token' })
  })
})

describe('a store outage is never an answer about a client, a code or a token', () => {
  it('503 temporarily_unavailable with Retry-After, and everything is good afterwards', async () => {
    const known = new Browser()
    const { refresh_token, access_token } = await connect(world, known, 'ann')
    const code = await newCode()
    const browser = new Browser()
    const consent = await browser.open(world.authorizeUrl())
    world.outage(true)
    try {
      for (const answer of [
        await redeem(code),
        await world.token({ grant_type: 'refresh_token', refresh_token }),
        await world.post('/revoke', { client_id: 'cli', token: refresh_token }),
        await world.token({ grant_type: 'refresh_token', refresh_token, client_id: 'dcr_unknown_client' }),
      ]) {
        expect([answer.status, answer.body.error, answer.headers.get('retry-after')]).toEqual([503, 'temporarily_unavailable', expect.stringMatching(/^\d+$/)])
      }
      for (const page of [
        await browser.open(consent.url),
        await browser.submit(consent, 'allow'),
        await new Browser().open(world.authorizeUrl({ client_id: 'dcr_unknown_client' })),
        await new Browser().open(world.authorizeUrl()),
      ]) {
        expect([page.status, page.headers.get('retry-after'), page.toClient]).toEqual([503, expect.stringMatching(/^\d+$/), undefined])
      }
      const authorize = await known.open(world.authorizeUrl())
      expect(Object.fromEntries(authorize.toClient?.searchParams ?? [])).toMatchObject({
        error: 'temporarily_unavailable',
        state: 'the state',
        iss: world.issuer,
      })
    } finally {
      world.outage(false)
    }
    expect((await connectionOf(access_token)).clientId).toBe('cli')
    expect((await redeem(code)).status).toBe(200)
    expect(codeOf(await browser.login(await browser.submit(consent, 'allow'), 'ann'))).toMatch(/^emcy_ac_/)
  })
})

describe('TK-10: what leaves the process', () => {
  it('no token, code, state, verifier or secret in any event of the log', async () => {
    const browser = new Browser()
    const { access_token, refresh_token } = await connect(world, browser, 'ann')
    const written = JSON.stringify(world.events)
    for (const secret of [access_token, refresh_token, verifier, 'gateway-secret', 'correct horse']) expect(written).not.toContain(secret)
    expect(written).not.toMatch(/emcy_(at|rt|ac)_/)
    const names = new Set(world.events.map(({ event }) => event))
    for (const name of ['request', 'consent', 'callback', 'token', 'revoke', 'replay']) expect(names).toContain(`authorization.${name}`)
  })

  it('no downstream token in anything that a browser or client got', async () => {
    const browser = new Browser()
    const done = await browser.authorize(world.authorizeUrl(), 'ann')
    const answer = await redeem(codeOf(done))
    const { grantKey } = await connectionOf(answer.body.access_token)
    const { readGrantTokens } = await import('../../src/grants/grants.ts')
    const grant = await readGrant(world.deps, grantKey ?? '')
    const tokens = grant && readGrantTokens(world.deps, grantKey ?? '', grant.value)
    const seen = JSON.stringify([done.html, done.trail, done.toClient, answer.text, browser.cookies.all()])
    for (const secret of [tokens?.accessToken, tokens?.refreshToken, tokens?.idToken]) {
      expect(secret).toEqual(expect.any(String))
      expect(seen).not.toContain(secret)
    }
  })
})
