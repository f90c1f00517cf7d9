import { describe, expect, it } from '@jest/globals'
import { authenticateClient } from '../../src/clients/authenticate-client.ts'
import { findClient } from '../../src/clients/find-client.ts'
import { registerClient } from '../../src/clients/registration.ts'
import { parseParams } from '../../src/http/params.ts'
import { recordKey } from '../../src/store/schema.ts'
import { refusal, type TestDeps, testDeps, tokenEndpoint } from './deps.ts'

const body = { redirect_uris: ['http://127.0.0.1:3000/callback'], token_endpoint_auth_method: 'none' }
const register = (deps: TestDeps, members: Record<string, unknown> = {}, source = '192.0.2.1') => registerClient(deps, { ...body, ...members }, source)
const settings = { initialAccessToken: undefined, unusedExpirySeconds: 1000, perSourcePerHour: 1000, maxClients: 1000, softwareStatements: undefined }

describe('CR-2 CR-20 registration', () => {
  it('answers with the metadata as registered; none gets no secret', async () => {
    const deps = testDeps()
    const answer = await register(deps, { client_name: 'X', client_uri: 'https://x.example', application_type: 'native', scope: 'a offline_access' })
    expect(answer).toEqual({
      client_id: expect.stringMatching(/^dcr_[\w-]{24}$/),
      client_id_issued_at: deps.clock() / 1000,
      registration_access_token: expect.stringMatching(/^[\w-]{43}$/),
      registration_client_uri: `https://mcp.example.com/register?client_id=${answer.client_id}`,
      client_name: 'X',
      client_uri: 'https://x.example',
      redirect_uris: body.redirect_uris,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
      scope: 'a offline_access',
    })
    expect(await findClient(deps, String(answer.client_id))).toMatchObject({ trust: 'dynamic', name: 'X', authMethods: ['none'] })
  })

  it.each([
    [{}, 'none'],
    [{ token_endpoint_auth_method: undefined }, 'client_secret_basic'],
    [{ token_endpoint_auth_method: null }, 'client_secret_basic'],
    [{ token_endpoint_auth_method: 'client_secret_post' }, 'client_secret_post'],
  ])('CR-20 %j is %s', async (members, method) => {
    const deps = testDeps()
    const answer = await register(deps, members)
    expect(answer.token_endpoint_auth_method).toBe(method)
    expect(typeof answer.client_secret).toBe(method === 'none' ? 'undefined' : 'string')
    expect(answer.client_secret_expires_at).toBe(method === 'none' ? undefined : 0)
  })

  it('TK-10 stores a secret only as its hash', async () => {
    const deps = testDeps()
    const answer = await register(deps, { token_endpoint_auth_method: 'client_secret_basic' })
    const stored = await deps.store.get(recordKey('client', String(answer.client_id)))
    expect(stored).toContain('secretHash')
    expect(stored).not.toContain(String(answer.client_secret))
  })

  it.each([
    ['no scope at all (go-sdk)', {}],
    ['an empty scope (mcp-go)', { scope: '', resource: 'https://mcp.example.com/mcp' }],
    ['unknown members (mcp-remote)', { software_id: 'x', software_version: '1', client_uri: 'https://x.example', software_statement: 'ignored' }],
    ['nulls (Python)', { client_name: null, jwks_uri: null, contacts: null }],
    ['a web type with an https redirect', { application_type: 'web', redirect_uris: ['https://x.example/cb'] }],
    ['several redirects', { redirect_uris: ['https://x.example/cb', 'http://localhost:1/cb', 'http://[::1]/cb'] }],
    ['an empty name', { client_name: '' }],
  ])('CR-19 takes %s', async (_, members) => {
    const answer = await register(testDeps(), members)
    expect(answer.client_id).toBeDefined()
    expect(answer.client_name).not.toBe('')
  })

  it.each([
    [{ redirect_uris: undefined }, 'invalid_redirect_uri', 'redirect_uris'],
    [{ redirect_uris: [] }, 'invalid_redirect_uri', 'redirect_uris'],
    [{ redirect_uris: ['cursor://cb'] }, 'invalid_redirect_uri', 'private-use schemes'],
    [{ redirect_uris: ['https://x.example/cb', 'http://x.example/cb'] }, 'invalid_redirect_uri', 'loopback'],
    [{ redirect_uris: ['https://x.example/cb#f'] }, 'invalid_redirect_uri', 'fragment'],
    [{ redirect_uris: Array.from({ length: 21 }, (__, index) => `https://x.example/${index}`) }, 'invalid_redirect_uri', '20'],
    [{ client_name: 'x'.repeat(501) }, 'invalid_client_metadata', 'client_name'],
    [{ client_name: 7 }, 'invalid_client_metadata', 'client_name'],
    [{ scope: 'x'.repeat(4097) }, 'invalid_client_metadata', 'scope'],
    [{ grant_types: ['implicit'] }, 'invalid_client_metadata', 'authorization_code'],
    [{ response_types: ['token'] }, 'invalid_client_metadata', 'code'],
    [{ token_endpoint_auth_method: 'tls_client_auth' }, 'invalid_client_metadata', 'token_endpoint_auth_method'],
    [{ token_endpoint_auth_method: 'private_key_jwt' }, 'invalid_client_metadata', 'jwks'],
    [{ jwks: { keys: [{ kty: 'EC', d: 'x' }] } }, 'invalid_client_metadata', 'public keys'],
    [{ application_type: 'web' }, 'invalid_redirect_uri', 'application_type native'],
    [{ application_type: 'web', redirect_uris: ['https://x.example/cb', 'http://localhost/cb'] }, 'invalid_redirect_uri', 'application_type native'],
    [{ application_type: 'desktop' }, 'invalid_client_metadata', 'native or web'],
  ])('CR-20 CR-22 refuses %j as %s', async (members, code, why) => {
    expect(await refusal(register(testDeps(), members))).toMatchObject({ code, status: 400, description: expect.stringContaining(why) })
  })

  it.each([[null], ['x'], [7], [[]], [undefined]])('CR-20 refuses a body that is no object: %j', async (value) => {
    expect(await refusal(registerClient(testDeps(), value, '192.0.2.1'))).toMatchObject({ code: 'invalid_client_metadata', status: 400 })
  })

  it('is off when switched off, and then knows no such client', async () => {
    const deps = testDeps()
    const { client_id } = await register(deps)
    deps.config.clients.registration = false
    expect(await refusal(register(deps))).toMatchObject({ status: 403 })
    expect(await refusal(findClient(deps, String(client_id)))).toMatchObject({ code: 'invalid_client' })
  })
})

describe('CR-21 bounds', () => {
  it('limits each source, and no other one with it', async () => {
    const deps = testDeps({ registration: { ...settings, perSourcePerHour: 2 } })
    await register(deps)
    await register(deps)
    expect(await refusal(register(deps))).toMatchObject({ status: 429, headers: { 'retry-after': '3600' } })
    expect(await register(deps, {}, '192.0.2.2')).toBeDefined()
    await register(deps, {}, '2001:db8:1:2::1')
    await register(deps, {}, '2001:db8:1:2::2')
    expect(await refusal(register(deps, {}, '2001:db8:1:2:ffff::3'))).toMatchObject({ status: 429 })
    deps.pass(3_600_001)
    expect(await register(deps)).toBeDefined()
  })

  it('forgets a registration that is not used, and keeps one that is', async () => {
    const deps = testDeps({ registration: settings })
    const unused = String((await register(deps)).client_id)
    const used = String((await register(deps)).client_id)
    deps.pass(600_000)
    await findClient(deps, used)
    deps.pass(600_000)
    expect(await refusal(findClient(deps, unused))).toMatchObject({ code: 'invalid_client' })
    expect((await findClient(deps, used)).clientId).toBe(used)
  })

  it('holds no more clients than it may, of any number that come at once, and forgets the expired ones', async () => {
    const deps = testDeps({ registration: { ...settings, maxClients: 10 } })
    const answers = await Promise.allSettled(Array.from({ length: 80 }, (_, index) => register(deps, {}, `192.0.2.${index}`)))
    expect(answers.filter(({ status }) => status === 'fulfilled')).toHaveLength(10)
    expect(await refusal(register(deps))).toMatchObject({ status: 429, code: 'temporarily_unavailable', description: expect.stringContaining('as many') })
    deps.pass(1_100_000)
    expect(await register(deps)).toBeDefined()
  })

  it('counts a client that is used until it is used no more', async () => {
    const deps = testDeps({ registration: { ...settings, maxClients: 1 } })
    const id = String((await register(deps)).client_id)
    for (let round = 0; round < 4; round++) {
      deps.pass(600_000)
      await findClient(deps, id)
      expect(await refusal(register(deps))).toMatchObject({ status: 429 })
    }
    deps.pass(1_100_000)
    expect(await register(deps)).toBeDefined()
  })

  it('charges the source for what is refused, too', async () => {
    const deps = testDeps({ registration: { ...settings, perSourcePerHour: 2 } })
    for (let attempt = 0; attempt < 2; attempt++) await refusal(register(deps, { redirect_uris: [] }))
    expect(await refusal(register(deps))).toMatchObject({ status: 429 })
  })

  it('gives ids that nobody can take for a URL, never the same twice', async () => {
    const deps = testDeps()
    const ids = await Promise.all(Array.from({ length: 50 }, async () => String((await register(deps)).client_id)))
    expect(new Set(ids).size).toBe(50)
    expect(ids.every((id) => id.startsWith('dcr_'))).toBe(true)
  })

  it('asks for the initial access token where there is one', async () => {
    const deps = testDeps({ registration: { ...settings, initialAccessToken: 'let-me-in' } })
    for (const authorization of [undefined, '', 'Bearer', 'Bearer let-me-i', 'Bearer let-me-in2', 'Basic let-me-in']) {
      const error = await refusal(registerClient(deps, body, '192.0.2.1', authorization))
      expect(error).toMatchObject({ code: 'invalid_token', status: 401, headers: { 'www-authenticate': expect.stringContaining('Bearer') } })
    }
    expect(await registerClient(deps, body, '192.0.2.1', 'bearer let-me-in')).toMatchObject({ client_id: expect.any(String) })
  })
})

it('a registered secret works in the header and in the body', async () => {
  const deps = testDeps()
  const { client_id: id, client_secret: secret } = await register(deps, { token_endpoint_auth_method: 'client_secret_post' })
  const authorization = `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`
  expect(await authenticateClient(deps, { authorization, params: parseParams(''), tokenEndpoint })).toMatchObject({
    client: { clientId: id },
    method: 'client_secret_basic',
  })
  const params = parseParams(`client_id=${id}&client_secret=${secret}`)
  expect(await authenticateClient(deps, { authorization: undefined, params, tokenEndpoint })).toMatchObject({
    client: { clientId: id },
    method: 'client_secret_post',
  })
})
