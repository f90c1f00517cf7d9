import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { decodeJwt } from 'jose'
import { bareRequest } from '../harness/bare-request.ts'
import { Browser, callbackOf } from '../harness/browser.ts'
import { launchChromium } from '../harness/chromium.ts'
import { gathered } from '../harness/gathered.ts'
import { clientV1, clientV2, signIn } from '../harness/mcp-clients.ts'
import { nativeClientMetadata, nativeRedirectUri, TestOAuthProvider } from '../harness/oauth-provider.ts'
import type { Fetch } from '../harness/recorder.ts'
import { type Issued, pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

/*
 * What makes the real clients of the field work, line by line: each rule was measured, and each, when broken, shuts at least one of them out. The clients themselves run in the
 * files beside this one; here every line has its own test, by its number.
 */

const app = 'http://127.0.0.1:9871'
const prmName = '/.well-known/oauth-protected-resource'
const asName = '/.well-known/oauth-authorization-server'
const list = { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} }
const initialize = {
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'field', version: '1' } },
}

let world: TodoWorld
beforeAll(async () => {
  // The limits of registration as they are when nobody sets them.
  world = await startTodo({ runtime: 'local', server: { origins: [app] }, gateway: { clients: { registration: {} } } })
}, 60_000)
afterAll(() => world?.close())

const get = (path: string, headers: Record<string, string> = {}) => bareRequest(world.issuer, path, { headers })
const document = async (path: string) => JSON.parse((await get(path)).text) as Record<string, unknown>
const stranger = () => new ScriptedClient(world.issuer, world.mcpUrl)
const registered = (metadata?: object) => stranger().register(metadata)
const register = (body: string, contentType = 'application/json') =>
  bareRequest(world.issuer, '/register', { method: 'POST', headers: { 'content-type': contentType }, body })
const works = async (token: string, url = world.mcpUrl) => (await rpc(url, token, list)).status === 200
/** The way to the code as {@link ScriptedClient.code} goes it; gives the scopes of the tokens. */
const scopesFor = async (scope: string | undefined, more: Record<string, string> = {}) => {
  const { scope: granted } = await (await registered()).signIn('scopes', { scope, ...more })
  return granted.split(' ').sort()
}
/** How the authorization of a client ends that asks for something wrong: parameters of the redirect. */
const refusal = async (client: ScriptedClient, members: Record<string, string>) =>
  callbackOf(await new Browser(nativeRedirectUri).open(client.authorizeUrl(pkce().challenge, members)))

describe('What makes all clients work: discovery', () => {
  it('line 1 (PR-7): the resource in the protected resource metadata is the public MCP URL byte for byte', async () => {
    expect((await document(`${prmName}/mcp`)).resource).toBe(world.mcpUrl)
    expect(world.mcpUrl.endsWith('/mcp')).toBe(true)
  })

  it('line 2 (PR-9): a resource with one trailing slash is the same one, and /mcp/ is served like /mcp', async () => {
    const client = await registered()
    const { code, verifier } = await client.code('slash', { resource: `${world.mcpUrl}/` })
    const first = await client.redeem(code, verifier, { resource: world.mcpUrl })
    const second = await client.refresh(first.body.refresh_token, { resource: `${world.mcpUrl}/` })
    expect([first.status, second.status]).toEqual([200, 200])
    expect([await works(second.body.access_token), await works(second.body.access_token, `${world.mcpUrl}/`)]).toEqual([true, true])
    const challenged = await fetch(`${world.mcpUrl}/`, { method: 'POST' })
    expect([challenged.status, challenged.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining(`"${world.issuer}${prmName}/mcp"`)])
    expect((await document(`${prmName}/mcp/`)).resource).toBe(world.mcpUrl)
    expect((await refusal(client, { resource: `${world.mcpUrl}//` })).get('error')).toBe('invalid_target')
  })

  it('line 3: a token request without resource gets tokens for the resource of the grant', async () => {
    const client = await registered()
    const { code, verifier } = await client.code('no-resource')
    const first = await client.redeem(code, verifier, { resource: undefined })
    const second = await client.refresh(first.body.refresh_token, { resource: undefined })
    expect([first.status, second.status]).toEqual([200, 200])
    expect(await works(second.body.access_token)).toBe(true)
  })

  it('line 4 (AS-4): one issuer string, without trailing slash, wherever it stands, JWTs included', async () => {
    const signingKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' })
    const signing = await startTodo({ runtime: 'local', gateway: { tokens: { accessTokenFormat: 'jwt', signingKeys: [signingKey] } } })
    try {
      const at = async (path: string) => JSON.parse((await bareRequest(signing.issuer, path)).text)
      const client = await new ScriptedClient(signing.issuer, signing.mcpUrl).register()
      const { code, verifier, page } = await client.code('issuer')
      const { access_token } = (await client.redeem(code, verifier)).body
      const spellings = [
        ...(await at(`${prmName}/mcp`)).authorization_servers,
        (await at(asName)).issuer,
        (await at('/.well-known/openid-configuration')).issuer,
        callbackOf(page).get('iss'),
        decodeJwt(access_token).iss,
      ]
      expect(spellings).toEqual(Array(5).fill(signing.issuer))
      expect(signing.issuer).not.toMatch(/\/$/)
    } finally {
      await signing.close()
    }
  }, 60_000)

  it('line 5: every spelling of a metadata URL is answered itself, none by a redirect', async () => {
    const spellings = { [`${prmName}/mcp`]: [`${prmName}/mcp/`, prmName, `${prmName}/`], [asName]: [`${asName}/`, '/.well-known/openid-configuration'] }
    for (const [path, others] of Object.entries(spellings)) {
      const wanted = await get(path)
      expect([path, wanted.status, wanted.headers.location]).toEqual([path, 200, undefined])
      for (const other of others) expect([other, await get(other)]).toEqual([other, expect.objectContaining({ status: 200, text: wanted.text })])
    }
  })

  it('line 6 (PR-5): the protected resource metadata stands at the path-inserted place, and the challenge names that place', async () => {
    const challenge = (await fetch(world.mcpUrl, { method: 'POST' })).headers.get('www-authenticate') ?? ''
    const named = /resource_metadata="([^"]+)"/.exec(challenge)?.[1]
    expect(named).toBe(`${new URL(world.mcpUrl).origin}${prmName}/mcp`)
    expect((await fetch(named ?? '')).status).toBe(200)
  })

  it('line 7: JSON with its media type whatever Accept says, or when it says nothing', async () => {
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    const { refresh_token, clientId } = await (async () => {
      const client = await registered()
      return { ...(await client.signIn('accept')), clientId: client.clientId }
    })()
    const requests: [string, Parameters<typeof bareRequest>[2]][] = [
      [`${prmName}/mcp`, {}],
      [asName, {}],
      ['/register', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(nativeClientMetadata) }],
      ['/token', { method: 'POST', headers: form, body: `grant_type=refresh_token&refresh_token=${refresh_token}&client_id=${clientId}` }],
      ['/token', { method: 'POST', headers: form, body: 'grant_type=nonsense' }],
    ]
    // Of Java's HttpURLConnection; of fetch; of go-sdk, Python and rmcp, who send none.
    for (const accept of ['text/html, image/gif, image/jpeg, */*; q=0.2', '*/*', undefined]) {
      for (const [path, init] of requests) {
        const { status, headers } = await bareRequest(world.issuer, path, {
          ...init,
          headers: { ...init?.headers, ...(accept === undefined ? {} : { accept }) },
        })
        const expected = path === '/register' ? 201 : init?.body?.includes('nonsense') ? 401 : 200
        expect([path, accept, status, headers['content-type']]).toEqual([path, accept, expected, expect.stringMatching(/^application\/json\b/)])
      }
      const revocation = { method: 'POST', headers: { ...form, ...(accept === undefined ? {} : { accept }) }, body: `token=unknown&client_id=${clientId}` }
      expect((await bareRequest(world.issuer, '/revoke', revocation)).status).toBe(200)
    }
  })

  it('line 8 (AS-5): the metadata says S256 and code', async () => {
    expect(await document(asName)).toMatchObject({ code_challenge_methods_supported: ['S256'], response_types_supported: ['code'] })
  })

  it('line 9 (AS-6): iss is announced, and comes with every redirect, errors included', async () => {
    expect((await document(asName)).authorization_response_iss_parameter_supported).toBe(true)
    const client = await registered()
    const { page } = await client.code('iss')
    const denied = await new Browser(nativeRedirectUri).authorize(client.authorizeUrl(pkce().challenge), { user: 'iss', consent: 'deny' })
    const outcomes: [string, URLSearchParams][] = [
      ['code', callbackOf(page)],
      ['access_denied', callbackOf(denied)],
      ['unsupported_response_type', await refusal(client, { response_type: 'token' })],
      ['invalid_request', await refusal(client, { code_challenge_method: 'plain' })],
      ['invalid_scope', await refusal(client, { scope: 'nothing.like.that' })],
      ['invalid_target', await refusal(client, { resource: 'https://elsewhere.example/mcp' })],
      ['login_required', await refusal(client, { prompt: 'none' })],
    ]
    const seen = outcomes.map(([, parameters]) => [parameters.get('error') ?? (parameters.has('code') ? 'code' : 'neither'), parameters.getAll('iss')])
    expect(seen).toEqual(outcomes.map(([outcome]) => [outcome, [world.issuer]]))
  })

  it('line 10 (AS-2): the RFC 8414 document stands at its place, and OpenID clients find the same', async () => {
    const { status, text } = await get(asName)
    expect([status, (JSON.parse(text) as { issuer: string }).issuer]).toEqual([200, world.issuer])
    expect((await get('/.well-known/openid-configuration')).text).toBe(text)
  })
})

describe('What makes all clients work: the challenge and registration', () => {
  it('line 11 (BC-7): 401 with the challenge comes before the method, the body, Accept, the session and the revision', async () => {
    const wanted = `Bearer resource_metadata="${world.issuer}${prmName}/mcp", scope="todos.read todos.write"`
    const json = { 'content-type': 'application/json' }
    const modern = { ...json, 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'server/discover' }
    const attempts: [string, Parameters<typeof bareRequest>[2]][] = [
      ['GET, as mcp-remote and rmcp probe', { method: 'GET', headers: { accept: '*/*' } }],
      ['DELETE', { method: 'DELETE' }],
      ['PUT', { method: 'PUT' }],
      ['no body, no Accept', { method: 'POST' }],
      ['a body that is no JSON', { method: 'POST', headers: json, body: '{' }],
      ['another media type', { method: 'POST', headers: { 'content-type': 'text/plain' }, body: 'x' }],
      ['an unknown session', { method: 'POST', headers: { ...json, 'mcp-session-id': 'nobodys' }, body: JSON.stringify(list) }],
      ['an unknown revision', { method: 'POST', headers: { ...json, 'mcp-protocol-version': '1999-01-01' }, body: JSON.stringify(list) }],
      ['server/discover of 2026-07-28', { method: 'POST', headers: modern, body: '{"jsonrpc":"2.0","id":0,"method":"server/discover"}' }],
    ]
    for (const [name, init] of attempts) {
      const { status, headers } = await bareRequest(world.issuer, '/mcp', init)
      expect([name, status, headers['www-authenticate']]).toEqual([name, 401, wanted])
    }
  })

  it('line 12: registration takes what the clients of the field send, and gives no secret to who asked for none', async () => {
    const { application_type: _, ...untyped } = nativeClientMetadata
    const software = { software_id: '2e6dc280-f3c3-4e01-99a7-8181dbd1d23d', software_version: '0.15.1', client_uri: 'https://github.com/geelen/mcp-remote' }
    const bodies: Record<string, object> = {
      'mcp-go without scopes': { ...untyped, scope: '', resource: world.mcpUrl },
      'mcp-remote': { ...nativeClientMetadata, ...software, redirect_uris: ['http://localhost:3334/oauth/callback'], scope: 'todos.read todos.write' },
      'offline_access among the scopes': { ...nativeClientMetadata, scope: 'offline_access todos.read' },
      'Python mcp 1, an http loopback redirect without application_type': { ...untyped, redirect_uris: ['http://127.0.0.1:51234/callback'] },
      'use-mcp': { ...untyped, redirect_uris: [`${app}/oauth/callback`], client_uri: app },
    }
    for (const [client, body] of Object.entries(bodies)) {
      const text = JSON.stringify(body)
      for (const spelling of [text, text.replaceAll('/', '\\/')]) {
        const { status, text: answer } = await register(spelling, 'application/json; charset=UTF-8')
        expect([client, status, JSON.parse(answer)]).toEqual([client, 201, expect.objectContaining({ token_endpoint_auth_method: 'none' })])
        expect(JSON.parse(answer)).not.toHaveProperty('client_secret')
      }
    }
  })

  it('line 13: no scope, or offline_access alone, means the default scopes; challenge and metadata name them', async () => {
    const defaults = ['todos.read', 'todos.write']
    expect(await scopesFor(undefined)).toEqual(defaults)
    expect(await scopesFor('offline_access')).toEqual(defaults)
    expect((await document(`${prmName}/mcp`)).scopes_supported).toEqual(defaults)
    expect((await fetch(world.mcpUrl)).headers.get('www-authenticate')).toContain('scope="todos.read todos.write"')
  })

  it('line 14 (PR-11): offline_access is not listed, is taken in any place, and no prompt is an error', async () => {
    for (const path of [asName, `${prmName}/mcp`]) expect((await document(path)).scopes_supported).not.toContain('offline_access')
    for (const prompt of ['consent', 'login', 'select_account', 'consent login', 'something new', ''])
      expect([prompt, await scopesFor('offline_access todos.read', { prompt })]).toEqual([prompt, ['todos.read']])
    expect(await scopesFor('todos.read offline_access', { prompt: 'consent' })).toEqual(['todos.read'])
  })
})

describe('What makes all clients work: authorization', () => {
  it('line 15: the authorize URL can be fetched twice, and two transactions live side by side in one browser', async () => {
    const client = await registered()
    const pair = pkce()
    const url = client.authorizeUrl(pair.challenge)
    // fastmcp: without cookies first, then the browser.
    const probe = await fetch(url, { redirect: 'manual', headers: { accept: '*/*' } })
    expect(probe.status).toBe(303)
    const code = callbackOf(await client.browser.authorize(url, { user: 'twice' })).get('code') ?? ''
    expect((await client.redeem(code, pair.verifier)).status).toBe(200)

    // use-mcp: the same popup, the first page abandoned. And the first can still be finished.
    const browser = new Browser(nativeRedirectUri)
    const pairs = [pkce(), pkce()] as const
    const abandoned = await browser.open(client.authorizeUrl(pairs[0].challenge))
    for (const [page, verifier] of [
      [await browser.open(client.authorizeUrl(pairs[1].challenge)), pairs[1].verifier],
      [abandoned, pairs[0].verifier],
    ] as const) {
      let next = await browser.answer(page, { user: 'twice' })
      while (next.redirect === undefined) next = await browser.answer(next, { user: 'twice' })
      expect((await client.redeem(callbackOf(next).get('code') ?? '', verifier)).status).toBe(200)
    }
  })

  it('line 15 (PAR): a pushed request is not consumed by the first GET either', async () => {
    const client = await registered()
    const pair = pkce()
    const pushed = await fetch(`${world.issuer}/par`, { method: 'POST', body: client.authorizeUrl(pair.challenge).searchParams })
    const { request_uri } = (await pushed.json()) as { request_uri: string }
    expect(pushed.status).toBe(201)
    const url = new URL(`${world.issuer}/authorize`)
    url.search = new URLSearchParams({ client_id: client.clientId, request_uri }).toString()
    expect((await fetch(url, { redirect: 'manual' })).status).toBe(303)
    const code = callbackOf(await client.browser.authorize(url, { user: 'twice' })).get('code') ?? ''
    expect((await client.redeem(code, pair.verifier)).status).toBe(200)
  })

  it('line 16 (AZ-2): any port of a loopback redirect, of the host and the path that were registered', async () => {
    const registeredUris = ['http://127.0.0.1:7999/callback', 'http://localhost:7999/callback', 'http://localhost:7999/oauth/callback', `${app}/oauth/callback`]
    for (const uri of registeredUris) {
      const client = await registered({ ...nativeClientMetadata, redirect_uris: [uri] })
      const anotherPort = uri.replace(/:\d+\//, ':40123/')
      const page = await new Browser(anotherPort).authorize(client.authorizeUrl(pkce().challenge, { redirect_uri: anotherPort }), { user: 'port' })
      expect([uri, page.redirect?.href.split('?')[0], callbackOf(page).has('code')]).toEqual([uri, anotherPort, true])
      for (const other of [anotherPort.replace('callback', 'elsewhere'), anotherPort.replace(/\/\/[^:]+/, '//127.0.0.2')]) {
        const refused = await new Browser(other).open(client.authorizeUrl(pkce().challenge, { redirect_uri: other }))
        expect([other, refused.status, refused.redirect]).toEqual([other, 400, undefined])
      }
    }
  })

  it('line 24: in Chromium, the form of the consent page leads on to the client at another origin', async () => {
    const arrivals: string[] = []
    const callback = createServer((req, res) => {
      arrivals.push(req.url ?? '')
      res.writeHead(200, { 'content-type': 'text/html' }).end('<p>Back in the app</p>')
    })
    await once(callback.listen(0, '127.0.0.1'), 'listening')
    const redirectUri = `http://127.0.0.1:${(callback.address() as AddressInfo).port}/callback`
    const chrome = await launchChromium()
    try {
      const client = await registered({ ...nativeClientMetadata, redirect_uris: [redirectUri] })
      const page = await chrome.newPage()
      for (const decision of ['Deny', 'Allow']) {
        const shown = await page.goto(client.authorizeUrl(pkce().challenge, { redirect_uri: redirectUri }).href)
        expect(shown?.headers()['content-security-policy']).toContain('form-action')
        await page.getByRole('button', { name: decision }).click()
        if (decision === 'Allow') {
          await page.getByLabel('User name').fill('form')
          await page.getByRole('button', { name: 'Log in' }).click()
        }
        await page.getByText('Back in the app').waitFor()
        expect(page.url()).toContain(`${redirectUri}?`)
      }
      const parameters = arrivals.filter((url) => url.startsWith('/callback')).map((url) => new URL(url, redirectUri).searchParams)
      expect(parameters.map((each) => [each.has('code'), each.get('error')])).toEqual([
        [false, 'access_denied'],
        [true, null],
      ])
    } finally {
      await chrome.close()
      callback.closeAllConnections()
      await new Promise((closed) => callback.close(closed))
    }
  }, 90_000)
})

describe('What makes all clients work: tokens', () => {
  it('line 18: tokens outlive a gateway that was killed, and a revocation is a new sign-in', async () => {
    const client = stranger()
    const { access_token, refresh_token } = await client.signIn('restart')
    await world.restartGateway('SIGKILL')
    expect(await works(access_token)).toBe(true)
    const { status, body } = await client.refresh(refresh_token)
    expect([status, await works(body.access_token)]).toEqual([200, true])
    await client.revoke(body.refresh_token)
    expect(await works(body.access_token)).toBe(false)
    const refused = await client.refresh<{ error: string }>(body.refresh_token)
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_grant'])
  }, 60_000)

  it.each([
    ['SDK v1', (provider: TestOAuthProvider, wire: Fetch) => clientV1(world.mcpUrl, provider, {}, wire)],
    ['SDK v2', (provider: TestOAuthProvider, wire: Fetch) => clientV2(world.mcpUrl, provider, 'auto', undefined, wire)],
  ])(
    'line 19 (TK-6): eight refreshes of %s with one refresh token at once leave the user signed in',
    async (_name, clientOf) => {
      const provider = new TestOAuthProvider({ kind: 'dynamic' })
      const together = gathered(8)
      const client = clientOf(provider, together.fetch)
      await signIn(client, provider, 'at-once')
      provider.breakAccessToken()
      provider.authorizationUrl = undefined
      together.start()
      const answers = await Promise.all(Array.from({ length: 8 }, () => client.callTool('list_todos')))
      expect(answers.map(({ isError }) => isError)).toEqual(Array(8).fill(false))
      const refreshes = client.exchanges.filter(({ url, body }) => url.pathname === '/token' && body?.includes('grant_type=refresh_token'))
      expect(refreshes.map(({ status }) => status)).toEqual(Array(8).fill(200))
      expect(new Set(refreshes.map(({ body }) => new URLSearchParams(body).get('refresh_token'))).size).toBe(1)
      expect(provider.authorizationUrl).toBeUndefined()
      // Whichever answer was stored last is good for the next refresh, too.
      provider.breakAccessToken()
      expect((await client.callTool('list_todos')).isError).toBe(false)
      expect(provider.authorizationUrl).toBeUndefined()
      await client.close()
    },
    60_000,
  )

  it('line 22: a client that registers anew for each process is not limited, and brings its old refresh token under the new id in vain', async () => {
    const first = await registered()
    const { refresh_token } = await first.signIn('anew')
    const more: string[] = []
    for (let process = 0; process < 40; process++) more.push((await registered()).clientId)
    expect(new Set([first.clientId, ...more]).size).toBe(41)
    const second = stranger()
    second.clientId = more[0] ?? ''
    const { status, body } = await second.refresh<{ error: string }>(refresh_token)
    expect([status, body.error]).toEqual([400, 'invalid_grant'])
    // It costs the rightful client nothing.
    expect((await first.refresh(refresh_token)).status).toBe(200)
  })

  it('line 23 (AS-10): a public client revokes with its client_id in the body and without a secret', async () => {
    expect(await document(asName)).toMatchObject({
      revocation_endpoint: `${world.issuer}/revoke`,
      revocation_endpoint_auth_methods_supported: expect.arrayContaining(['none']),
    })
    const client = stranger()
    const { access_token, refresh_token } = await client.signIn('revoke')
    expect((await client.revoke(refresh_token, { token_type_hint: 'refresh_token' })).status).toBe(200)
    expect([await works(access_token), (await client.refresh(refresh_token)).status]).toEqual([false, 400])
  })

  it('line 17 (TK-6): expires_in is true and long enough, and every refresh answers with a refresh token', async () => {
    const client = stranger()
    const first = await client.signIn('clock')
    expect(first.expires_in).toBeGreaterThanOrEqual(60)
    const alive: boolean[] = []
    const lives = async ({ access_token, expires_in }: Issued) => {
      await world.advanceClock((expires_in - 20) * 1000)
      alive.push(await works(access_token))
      // Past its end, and past what the clocks of replicas may differ.
      await world.advanceClock(90_000)
      alive.push(await works(access_token))
    }
    await lives(first)
    const { status, body } = await client.refresh(first.refresh_token)
    expect([status, body.expires_in, body.refresh_token]).toEqual([200, first.expires_in, expect.any(String)])
    await lives(body)
    expect(alive).toEqual([true, false, true, false])
  })
})

describe('What makes all clients work: browsers and streams', () => {
  it('line 20 (TR-8): a page of an allowed origin can read every answer it needs, errors too; one of a foreign origin gets 403', async () => {
    const asked = 'authorization,content-type,mcp-protocol-version,mcp-session-id,mcp-method,mcp-name,last-event-id'
    for (const [path, method] of [
      ['/mcp', 'POST'],
      ['/mcp', 'GET'],
      ['/mcp', 'DELETE'],
      [`${prmName}/mcp`, 'GET'],
      [asName, 'GET'],
      ['/register', 'POST'],
      ['/token', 'POST'],
    ] as const) {
      const headers = { origin: app, 'access-control-request-method': method, 'access-control-request-headers': asked }
      const preflight = await bareRequest(world.issuer, path, { method: 'OPTIONS', headers })
      expect([path, preflight.status < 300, preflight.headers['access-control-allow-origin']]).toEqual([
        path,
        true,
        expect.stringMatching(/^(\*|http:\/\/127\.0\.0\.1:9871)$/),
      ])
      expect(preflight.headers['access-control-allow-methods']).toContain(method)
      expect(String(preflight.headers['access-control-allow-headers']).split(', ')).toEqual(expect.arrayContaining(asked.split(',')))
    }
    const json = { 'content-type': 'application/json' }
    for (const [path, init, status] of [
      ['/mcp', { method: 'POST', headers: json, body: '{}' }, 401],
      ['/register', { method: 'POST', headers: json, body: '{' }, 400],
      ['/token', { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body: 'grant_type=x' }, 401],
      [asName, {}, 200],
    ] as const) {
      const answer = await fetch(`${world.issuer}${path}`, { ...init, headers: { ...('headers' in init ? init.headers : {}), origin: app } })
      expect([path, answer.status, answer.headers.has('access-control-allow-origin')]).toEqual([path, status, true])
      const exposed = answer.headers.get('access-control-expose-headers')?.toLowerCase() ?? ''
      if (path === '/mcp') expect(exposed.split(/, ?/)).toEqual(expect.arrayContaining(['www-authenticate', 'mcp-session-id']))
    }
    const { access_token } = await stranger().signIn('origins')
    const origins = [app, world.issuer, 'https://elsewhere.example']
    const answers = await Promise.all(origins.map((origin) => rpc(world.mcpUrl, access_token, list, { origin })))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 403])
  })

  it('line 21: GET after initialize is a stream or 405, and a second initialize and list are nothing special', async () => {
    const { access_token } = await stranger().signIn('streams')
    const json = await Promise.all([rpc(world.mcpUrl, access_token, initialize), rpc(world.mcpUrl, access_token, initialize)])
    expect(json.map(({ status, message }) => [status, message])).toEqual(Array(2).fill([200, expect.objectContaining({ result: expect.anything() })]))
    const session = json[1]?.headers.get('mcp-session-id')
    const headers = { 'mcp-protocol-version': '2025-11-25', ...(session ? { 'mcp-session-id': session } : {}) }
    for (let time = 0; time < 2; time++) expect((await rpc(world.mcpUrl, access_token, list, headers)).message).toHaveProperty('result.tools')
    const leaving = new AbortController()
    const stream = await fetch(world.mcpUrl, {
      headers: { ...headers, authorization: `Bearer ${access_token}`, accept: 'text/event-stream' },
      signal: leaving.signal,
    })
    const kind = stream.status === 405 ? 405 : [stream.status, stream.headers.get('content-type')?.split(';')[0]]
    leaving.abort()
    expect([405, [200, 'text/event-stream']]).toContainEqual(kind)
  })
})
