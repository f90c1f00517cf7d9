import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { ProviderConfig } from '../../src/config.ts'
import { ProviderUnavailable } from '../../src/errors/errors.ts'
import { createDownstream, DownstreamRefused, type DownstreamTokens } from '../../src/grants/downstream.ts'
import type { Json } from '../../src/lib/json.ts'
import { s256Challenge } from '../../src/lib/pkce.ts'
import { clientSecret, gatewayClient, providerAt, random, signIn } from './given.ts'
import { callback, type Oidc, startOidc } from './oidc.ts'

const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'k1', alg: 'ES256', use: 'sig' }

let oidc: Oidc
beforeAll(async () => {
  const clients = [
    gatewayClient,
    { ...gatewayClient, client_id: 'poster', token_endpoint_auth_method: 'client_secret_post' as const },
    { ...gatewayClient, client_id: 'public', client_secret: undefined, token_endpoint_auth_method: 'none' as const },
  ]
  oidc = await startOidc(clients as never, jwk)
})
afterAll(() => oidc.close())
beforeEach(() => {
  oidc.intercept = undefined
})

const deps = { random, clock: Date.now }
const at = (more: Partial<ProviderConfig> = {}) => createDownstream(providerAt(oidc.issuer, more), deps)

describe('a sign-in at a real provider', () => {
  it('gives tokens, the granted scopes and the user of the ID token', async () => {
    const downstream = at()
    const tokens = await signIn(oidc, downstream, ['openid', 'profile', 'todos.read'])
    expect(tokens).toMatchObject({ expiresIn: 300, scopes: ['openid', 'profile', 'todos.read'], idTokenClaims: { sub: 'alice', iss: oidc.issuer } })
    expect(await downstream.identify(tokens)).toEqual({ issuer: oidc.issuer, sub: 'alice', name: 'ALICE', claims: expect.objectContaining({ sub: 'alice' }) })
    expect(Object.keys((await downstream.identify(tokens)).claims)).not.toEqual(expect.arrayContaining(['nonce']))
    const next = await downstream.refresh(tokens.refreshToken as string)
    expect(next).toMatchObject({ expiresIn: 300, scopes: ['openid', 'profile', 'todos.read'] })
    expect(next.refreshToken).not.toBe(tokens.refreshToken)
  })

  const pkcs = privateKey.export({ format: 'jwk' }) as Record<string, Json>
  it.each<[string, Partial<ProviderConfig>]>([
    ['client_secret_basic, by the metadata', { clientSecret }],
    ['client_secret_post', { clientId: 'poster', clientAuthentication: 'client_secret_post' }],
    ['no secret', { clientId: 'public', clientSecret: undefined }],
    ['private_key_jwt', { clientId: 'signer', clientSecret: { privateKey: { ...pkcs, kid: 'k1' } } }],
  ])('works with %s', async (_name, more) => {
    const downstream = at(more)
    const tokens = await signIn(oidc, downstream)
    expect((await downstream.refresh(tokens.refreshToken as string)).accessToken).not.toBe(tokens.accessToken)
  })

  it.each<[string, Partial<ProviderConfig>]>([
    ['the userinfo endpoint', { identity: 'userinfo' }],
    ['introspection', { identity: 'introspection' }],
    [
      'a function of the team',
      {
        identity: ({ idTokenClaims, accessToken, raw }) => ({
          issuer: 'https://elsewhere.example',
          sub: `${idTokenClaims?.sub}/${accessToken === raw.access_token}`,
          claims: {},
        }),
      },
    ],
  ])('names the user by %s', async (name, more) => {
    const downstream = at(more)
    const identity = await downstream.identify(await signIn(oidc, downstream))
    const expected = name.startsWith('a function') ? { issuer: 'https://elsewhere.example', sub: 'alice/true' } : { issuer: oidc.issuer, sub: 'alice' }
    expect(identity).toMatchObject(expected)
  })

  it('without openid has no ID token, so the user must be found otherwise', async () => {
    const tokens = await signIn(oidc, at(), ['todos.read'])
    expect(tokens.idToken).toBeUndefined()
    await expect(at().identify(tokens)).rejects.toMatchObject({ code: 'invalid_response' })
    expect(await at({ identity: 'introspection' }).identify(tokens)).toMatchObject({ sub: 'alice' })
  })

  it.each<[string, unknown]>([
    ['no identity', undefined],
    ['an empty sub', { sub: '', claims: {} }],
    ['a number', { sub: 7, claims: {} }],
    ['claims that are none', { sub: 'alice', claims: [] }],
    ['claims too large to keep', { sub: 'alice', claims: { groups: 'x'.repeat(20_000) } }],
    ['an issuer that is ambiguous in keys', { sub: 'alice', issuer: 'https://a|b', claims: {} }],
  ])('is refused when the team’s function gives %s', async (_name, identity) => {
    const tokens = { accessToken: 'a', obtainedAt: 0, scopes: [], raw: {} } as DownstreamTokens
    await expect(at({ identity: () => identity as never }).identify(tokens)).rejects.toBeInstanceOf(DownstreamRefused)
  })
})

describe('the authorization URL', () => {
  const ask = { redirectUri: callback, state: 'the-state', nonce: 'the-nonce', codeChallenge: 'the-challenge', scopes: ['openid', 'todos.read'] }

  it('carries PKCE, state, nonce and what the options add, which cannot replace those (AZ-17)', async () => {
    const more = {
      resource: 'https://api.example.com/',
      audience: 'todo-api',
      authorizeParams: { access_type: 'offline', state: 'fixed', code_challenge_method: 'plain' },
    }
    const url = await at(more).authorizationUrl({ ...ask, loginHint: 'alice', prompt: 'login' })
    expect(url.origin).toBe(oidc.issuer)
    expect(Object.fromEntries(url.searchParams)).toEqual({
      client_id: 'gateway',
      response_type: 'code',
      redirect_uri: callback,
      scope: 'openid todos.read',
      state: 'the-state',
      nonce: 'the-nonce',
      code_challenge: 'the-challenge',
      code_challenge_method: 'S256',
      access_type: 'offline',
      resource: 'https://api.example.com/',
      audience: 'todo-api',
      login_hint: 'alice',
      prompt: 'login',
    })
  })

  it('has a nonce only with openid, and no empty scope', async () => {
    const url = await at().authorizationUrl({ ...ask, scopes: [] })
    expect(url.searchParams.has('nonce')).toBe(false)
    expect(url.searchParams.has('scope')).toBe(false)
  })

  it('has the S256 challenge of a verifier with 256 random bits', () => {
    const downstream = at()
    const verifier = downstream.newVerifier()
    expect(verifier).toMatch(/^[\w-]{43}$/)
    expect(verifier).not.toBe(downstream.newVerifier())
    // RFC 7636 appendix B.
    expect(downstream.challengeOf('dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk')).toBe('E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM')
    expect(downstream.challengeOf(verifier)).toBe(s256Challenge(verifier))
  })
})

describe('a callback', () => {
  const leg = { redirectUri: callback, state: 'the-state', nonce: 'the-nonce', verifier: random(32), scopes: ['openid'] }
  const back = (params: Record<string, string>) => new URL(`${callback}?${new URLSearchParams(params)}`)
  const iss = () => oidc.issuer

  it.each<[string, () => Record<string, string>]>([
    ['another state', () => ({ code: 'x', state: 'another', iss: iss() })],
    ['no state', () => ({ code: 'x', iss: iss() })],
    ['another iss (RFC 9207)', () => ({ code: 'x', state: 'the-state', iss: 'https://evil.example' })],
    ['iss with a slash more: compared as strings', () => ({ code: 'x', state: 'the-state', iss: `${iss()}/` })],
    ['no iss, although the metadata promise it', () => ({ code: 'x', state: 'the-state' })],
    ['an error of another issuer, which must not be shown (TK-15)', () => ({ error: 'access_denied', state: 'the-state', iss: 'https://evil.example' })],
  ])('with %s is refused before the provider is asked', async (_name, params) => {
    oidc.tokenRequests.length = 0
    await expect(at().exchange({ ...leg, callbackUrl: back(params()) })).rejects.toMatchObject({ name: 'DownstreamRefused', code: 'invalid_response' })
    expect(oidc.tokenRequests).toEqual([])
  })

  it('with an error of the provider says which', async () => {
    const denied = at().exchange({ ...leg, callbackUrl: back({ error: 'access_denied', state: 'the-state', iss: iss() }) })
    await expect(denied).rejects.toMatchObject({ name: 'DownstreamRefused', code: 'access_denied' })
    const later = at().exchange({ ...leg, callbackUrl: back({ error: 'temporarily_unavailable', state: 'the-state', iss: iss() }) })
    await expect(later).rejects.toBeInstanceOf(ProviderUnavailable)
  })

  it('with a code that is none, or refused credentials, is refused', async () => {
    const callbackUrl = back({ code: 'x', state: 'the-state', iss: iss() })
    await expect(at().exchange({ ...leg, callbackUrl })).rejects.toMatchObject({ code: 'invalid_grant', status: 400 })
    await expect(at({ clientSecret: 'wrong' }).exchange({ ...leg, callbackUrl })).rejects.toMatchObject({ code: 'invalid_client', status: 401 })
  })

  it('with the right code but another nonce or verifier is refused', async () => {
    for (const changed of [{ nonce: 'another' }, { verifier: random(32) }]) {
      const downstream = at()
      const url = await downstream.authorizationUrl({ ...leg, codeChallenge: downstream.challengeOf(leg.verifier), loginHint: 'alice' })
      const callbackUrl = await oidc.login(url)
      const refusal = await downstream.exchange({ ...leg, ...changed, callbackUrl }).catch((error: unknown) => error)
      expect(refusal).toBeInstanceOf(DownstreamRefused)
      expect(JSON.stringify(refusal)).not.toContain(callbackUrl.searchParams.get('code'))
    }
  })
})

describe('revocation', () => {
  it('ends the refresh token at the provider (RFC 7009), and again is no error', async () => {
    const downstream = at()
    const { refreshToken } = await signIn(oidc, downstream)
    expect(await downstream.revoke(refreshToken as string)).toBe(true)
    await expect(downstream.refresh(refreshToken as string)).rejects.toMatchObject({ name: 'DownstreamRefused', code: 'invalid_grant' })
    expect(await downstream.revoke(refreshToken as string)).toBe(true)
  })
})

/** A server that answers as a test says: for what a real provider does only when it is ill, or of another make. */
describe('a provider that answers', () => {
  let server: Server
  let issuer: string
  let answer: (req: IncomingMessage, res: ServerResponse, body: string) => void
  const requests: string[] = []
  beforeAll(async () => {
    server = createServer(async (req, res) => {
      let body = ''
      for await (const chunk of req) body += chunk
      requests.push(`${req.method} ${req.url}`)
      answer(req, res, body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })
  afterAll(() => new Promise<void>((resolve) => server.close(() => resolve()).closeAllConnections()))
  beforeEach(() => {
    requests.length = 0
  })

  const json =
    (status: number, value: unknown, headers = {}) =>
    (_req: IncomingMessage, res: ServerResponse) =>
      void res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(value))
  const html = (status: number) => (_req: IncomingMessage, res: ServerResponse) =>
    void res.writeHead(status, { 'content-type': 'text/html', location: '/elsewhere' }).end('<html>')
  const byHand = (more: Partial<ProviderConfig> = {}) =>
    createDownstream(
      providerAt(issuer, {
        endpoints: { authorization: `${issuer}/authorize`, token: `${issuer}/token`, revocation: `${issuer}/revoke` },
        timeoutSeconds: 0.3,
        ...more,
      }),
      deps,
    )

  it.each<[string, () => typeof answer]>([
    ['400 invalid_grant', () => json(400, { error: 'invalid_grant' })],
    ['400 invalid_request', () => json(400, { error: 'invalid_request' })],
    ['403 access_denied', () => json(403, { error: 'access_denied' })],
    ['401 invalid_grant', () => json(401, { error: 'invalid_grant' })],
    ['an error with status 200, as GitHub does', () => json(200, { error: 'bad_refresh_token', error_description: 'The refresh token passed is incorrect.' })],
    ['an error with status 200, as Slack does', () => json(200, { ok: false, error: 'invalid_refresh_token' })],
  ])('%s to a refresh means it for good', async (_name, given) => {
    answer = given()
    await expect(byHand().refresh('rt')).rejects.toBeInstanceOf(DownstreamRefused)
  })

  it.each<[string, () => typeof answer]>([
    ['429 with an OAuth error', () => json(429, { error: 'invalid_grant' })],
    ['400 temporarily_unavailable', () => json(400, { error: 'temporarily_unavailable' })],
    ['500', () => json(500, { error: 'invalid_grant' })],
    ['502 in HTML', () => html(502)],
    ['403 in HTML, as a firewall does', () => html(403)],
    ['404', () => html(404)],
    ['a redirect', () => html(302)],
    ['200 in HTML', () => html(200)],
    ['200 with an unknown token type', () => json(200, { access_token: 'at-secret', token_type: 'mac' })],
    ['200 with an access token that is none', () => json(200, { access_token: ['at-secret'], token_type: 'Bearer' })],
    ['200 without an access token', () => json(200, { token_type: 'Bearer' })],
    ['200 with half an answer', () => (_req, res) => void res.writeHead(200, { 'content-type': 'application/json' }).end('{"access_token":"at-secret')],
    ['400 in half', () => (_req, res) => void res.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"inva-secret')],
    ['401 invalid_client: the gateway is at fault, not the grant', () => json(401, { error: 'invalid_client' }, { 'www-authenticate': 'Basic realm="x"' })],
    ['an answer without end', () => (_req, res) => void res.writeHead(200, { 'content-type': 'application/json' }).write('{')],
    ['an answer of megabytes', () => (_req, res) => void res.writeHead(200, { 'content-type': 'application/json' }).end(' '.repeat(2_000_000))],
    ['nothing', () => () => undefined],
    ['by hanging up', () => (req) => void req.socket.destroy()],
  ])('%s to a refresh may pass', async (_name, given) => {
    answer = given()
    const failure = await byHand()
      .refresh('rt-secret')
      .catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(ProviderUnavailable)
    expect((failure as ProviderUnavailable).reason).toMatch(/^refresh: /)
    expect((failure as ProviderUnavailable).reason).not.toContain('-secret')
    expect(requests).toHaveLength(1)
  })

  it('that nobody answers at all may pass', async () => {
    const closed = createDownstream(providerAt('http://127.0.0.1:1', { timeoutSeconds: 1 }), deps)
    await expect(closed.refresh('rt')).rejects.toBeInstanceOf(ProviderUnavailable)
  })

  it.each<[string, Record<string, unknown>, Record<string, unknown>]>([
    ['expires_in as text', { expires_in: '3600' }, { expiresIn: 3600 }],
    ['expires_in null', { expires_in: null }, { expiresIn: undefined }],
    ['no expires_in', {}, { expiresIn: undefined }],
    ['an empty refresh_token', { refresh_token: '' }, { refreshToken: undefined }],
    ['scopes with commas, as GitHub does', { scope: 'repo,gist' }, { scopes: ['repo', 'gist'] }],
    ['scopes as a list', { scope: ['a', 'b'] }, { scopes: ['a', 'b'] }],
    ['no scope', { scope: null }, { scopes: undefined }],
    ['an ID token that is none', { id_token: 'x' }, { accessToken: 'at' }],
  ])('with %s loses no token by that', async (_name, more, expected) => {
    answer = json(200, { access_token: 'at', token_type: 'bearer', refresh_token: 'rt2', ...more })
    expect(await byHand().refresh('rt')).toMatchObject({ accessToken: 'at', ...('refresh_token' in more ? {} : { refreshToken: 'rt2' }), ...expected })
  })

  it('gets what the options add to token requests', async () => {
    let sent = ''
    answer = (req, res, body) => {
      sent = body
      json(200, { access_token: 'at', token_type: 'Bearer' })(req, res)
    }
    await byHand({ tokenParams: { tenant: 't1' }, resource: 'https://api.example.com', audience: 'todo' }).refresh('rt')
    expect(Object.fromEntries(new URLSearchParams(sent))).toEqual({
      grant_type: 'refresh_token',
      refresh_token: 'rt',
      tenant: 't1',
      resource: 'https://api.example.com',
      audience: 'todo',
    })
  })

  it('is not asked when the caller says so right before the request would leave', async () => {
    answer = json(200, { access_token: 'at', token_type: 'Bearer' })
    const beforeSend = () => {
      throw new Error('too late')
    }
    await expect(byHand().refresh('rt', { beforeSend })).rejects.toMatchObject({ code: 'provider_unavailable', reason: expect.stringContaining('too late') })
    await expect(byHand().refresh('rt', { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(ProviderUnavailable)
    expect(requests).toEqual([])
  })

  it('with metadata by RFC 8414 only is found', async () => {
    const metadata = { issuer, authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t`, response_types_supported: ['code'] }
    answer = (req, res) => (req.url === '/.well-known/oauth-authorization-server' ? json(200, metadata) : html(404))(req, res)
    const downstream = createDownstream(providerAt(issuer), deps)
    const url = await downstream.authorizationUrl({ redirectUri: callback, state: 's', nonce: 'n', codeChallenge: 'c', scopes: [] })
    expect(url.pathname).toBe('/a')
    expect(await downstream.revoke('rt')).toBe(false)
    expect(requests).toEqual(['GET /.well-known/openid-configuration', 'GET /.well-known/oauth-authorization-server'])
  })

  it('with bad metadata is unavailable, and asked again at the next call (AS-4)', async () => {
    const downstream = createDownstream(providerAt(issuer), deps)
    const ask = () => downstream.authorizationUrl({ redirectUri: callback, state: 's', nonce: 'n', codeChallenge: 'c', scopes: [] })
    const metadata = { issuer, authorization_endpoint: `${issuer}/a`, token_endpoint: `${issuer}/t` }
    for (const bad of [json(200, { ...metadata, issuer: 'https://evil.example' }), html(500), json(200, [])]) {
      answer = bad
      await expect(ask()).rejects.toBeInstanceOf(ProviderUnavailable)
    }
    answer = json(200, metadata)
    expect((await ask()).pathname).toBe('/a')
    const count = requests.length
    await Promise.all([ask(), ask()])
    expect(requests).toHaveLength(count)
  })

  it('503 to a revocation is asked again', async () => {
    const answers = [json(503, {}), json(200, {})]
    answer = (req, res) => answers.shift()?.(req, res)
    expect(await byHand().revoke('rt')).toBe(true)
    expect(requests).toEqual(['POST /revoke', 'POST /revoke'])
  })

  it('on plain http is accepted on this machine only', async () => {
    for (const elsewhere of ['http://login.example.com', 'http://127.0.0.1.example.com']) {
      const downstream = createDownstream(providerAt(elsewhere), deps)
      await expect(downstream.refresh('rt')).rejects.toMatchObject({ code: 'provider_unavailable', reason: expect.stringContaining('HTTPS') })
    }
    // A loopback issuer whose metadata lead to plain http elsewhere.
    answer = json(200, { issuer, authorization_endpoint: `${issuer}/a`, token_endpoint: 'http://192.0.2.1/token' })
    const downstream = createDownstream(providerAt(issuer), deps)
    await expect(downstream.refresh('rt')).rejects.toMatchObject({ reason: expect.stringContaining('plain http') })
  })

  it('a wrong private key is said by its option, without the key', async () => {
    answer = json(200, { access_token: 'at', token_type: 'Bearer' })
    const downstream = byHand({ clientSecret: { privateKey: { kty: 'EC', crv: 'P-256', x: 'secret-x', y: 'secret-y' } } })
    const failure = await downstream.refresh('rt').catch((error: unknown) => error)
    expect((failure as ProviderUnavailable).reason).toContain('downstream.default.clientSecret.privateKey')
    expect((failure as ProviderUnavailable).reason).not.toContain('secret-')
    expect(requests).toEqual([])
  })
})
