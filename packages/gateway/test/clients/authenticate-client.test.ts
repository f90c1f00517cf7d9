import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type CryptoKey, exportJWK, generateKeyPair, type JWK, SignJWT } from 'jose'
import { authenticateClient } from '../../src/clients/authenticate-client.ts'
import { jwtAssertionType } from '../../src/clients/client-assertion.ts'
import { parseParams } from '../../src/http/params.ts'
import { issuer, refusal, type TestDeps, testDeps, tokenEndpoint } from './deps.ts'
import { type DocumentHost, documentHost } from './document-host.ts'

const redirectUris = ['https://client.example/cb']
const secret = 'p%a+ß:word'
const team = [
  { clientId: 'confidential', clientSecret: secret, redirectUris, name: 'Confidential' },
  { clientId: 'public', redirectUris, name: 'Public' },
  { clientId: 'id:with colon', clientSecret: 'x', redirectUris, name: 'Odd' },
]

function authenticate(deps: TestDeps, body: Record<string, string>, authorization?: string) {
  return authenticateClient(deps, { authorization, params: parseParams(new URLSearchParams(body).toString()), tokenEndpoint }).then(({ client }) => client)
}

const basic = (id: string, password: string) => `Basic ${Buffer.from(`${id}:${password}`).toString('base64')}`
const form = (text: string) => new URLSearchParams({ x: text }).toString().slice(2)

describe('TK-12 secrets', () => {
  const deps = testDeps({ preregistered: team })

  it.each([
    ['public client by client_id', { client_id: 'public' }, undefined, 'public'],
    ['public client in Basic without a secret', {}, basic('public', ''), 'public'],
    ['Basic, form-encoded (RFC 6749 §2.3.1)', {}, basic(form('confidential'), form(secret)), 'confidential'],
    ['Basic, not encoded, as several libraries do', {}, basic('confidential', secret), 'confidential'],
    ['Basic in lower case', {}, basic('confidential', form(secret)).replace('Basic', 'basic'), 'confidential'],
    ['Basic with the same client_id in the body', { client_id: 'confidential' }, basic('confidential', form(secret)), 'confidential'],
    ['an id with a colon', {}, basic(form('id:with colon'), 'x'), 'id:with colon'],
    ['in the body', { client_id: 'confidential', client_secret: secret }, undefined, 'confidential'],
  ])('takes %s', async (_, body, authorization, clientId) => {
    expect((await authenticate(deps, body as Record<string, string>, authorization)).clientId).toBe(clientId)
  })

  it.each([
    ['a confidential client without credentials', { client_id: 'confidential' }, undefined],
    ['a wrong secret', { client_id: 'confidential', client_secret: 'wrong' }, undefined],
    ['an unknown client', { client_id: 'unknown' }, undefined],
    ['no client at all', {}, undefined],
    ['an empty client_id', { client_id: '' }, undefined],
    ['a public client with a secret', { client_id: 'public', client_secret: 'x' }, undefined],
    ['a name of the prototype', { client_id: '__proto__' }, undefined],
  ])('refuses %s as invalid_client', async (_, body, authorization) => {
    const error = await refusal(authenticate(deps, body as Record<string, string>, authorization))
    expect(error).toMatchObject({ code: 'invalid_client', status: 401 })
    expect(error.headers['www-authenticate']).toBeUndefined()
  })

  it.each([
    ['a wrong secret', basic('confidential', 'wrong')],
    ['an empty secret', basic('confidential', '')],
    ['an unknown client', basic('unknown', 'x')],
    ['another scheme', 'Bearer abc'],
    ['rubbish', 'Basic ???'],
    ['no colon', `Basic ${Buffer.from('confidential').toString('base64')}`],
    ['an empty header', ''],
  ])('names Basic in WWW-Authenticate when the header was used: %s', async (_, authorization) => {
    const error = await refusal(authenticate(deps, {}, authorization))
    expect(error).toMatchObject({ code: 'invalid_client', status: 401 })
    expect(error.headers['www-authenticate']).toMatch(/^Basic realm="/)
  })

  it.each([
    [{ client_id: 'confidential', client_secret: secret }, basic('confidential', form(secret))],
    [{ client_id: 'confidential', client_assertion: 'x', client_assertion_type: jwtAssertionType }, basic('confidential', form(secret))],
    [{ client_id: 'confidential', client_secret: secret, client_assertion: 'x', client_assertion_type: jwtAssertionType }, undefined],
    [{ client_assertion: 'x' }, undefined],
    [{ client_assertion_type: jwtAssertionType }, undefined],
    [{ client_assertion: 'x', client_assertion_type: 'urn:other' }, undefined],
  ])('refuses two methods, or half of one, as invalid_request: %j', async (body, authorization) => {
    expect(await refusal(authenticate(deps, body as Record<string, string>, authorization))).toMatchObject({ code: 'invalid_request', status: 400 })
  })

  it('refuses a client_id that is not the one that authenticates', async () => {
    expect(await refusal(authenticate(deps, { client_id: 'public' }, basic('confidential', form(secret))))).toMatchObject({ code: 'invalid_client' })
  })
})

describe('TK-13 CR-10 private_key_jwt', () => {
  const clientId = 'signing'
  let key: CryptoKey
  let other: CryptoKey
  let jwk: JWK
  let deps: TestDeps

  beforeAll(async () => {
    const pair = await generateKeyPair('ES256', { extractable: true })
    key = pair.privateKey
    jwk = await exportJWK(pair.publicKey)
    other = (await generateKeyPair('ES256')).privateKey
  })

  const client = (keys: JWK[]) => ({ clientId, redirectUris, name: 'Signing', jwks: { keys: keys as Record<string, never>[] } })
  beforeEach(() => {
    deps = testDeps({ preregistered: [client([{ ...jwk, kid: 'k1' }])] })
  })

  const now = () => Math.floor(deps.clock() / 1000)
  const claims = (members: Record<string, unknown> = {}) => ({
    iss: clientId,
    sub: clientId,
    aud: issuer,
    exp: now() + 60,
    jti: crypto.randomUUID(),
    ...members,
  })
  const signed = (payload: Record<string, unknown>, by: CryptoKey = key, header: Record<string, unknown> = {}) =>
    new SignJWT(payload).setProtectedHeader({ alg: 'ES256', kid: 'k1', ...header }).sign(by)
  const present = (assertion: string, body: Record<string, string> = {}) =>
    authenticate(deps, { client_assertion: assertion, client_assertion_type: jwtAssertionType, ...body })

  it.each([
    ['our issuer', { aud: issuer }],
    ['the token endpoint', { aud: tokenEndpoint }],
    ['us among others', { aud: ['https://other.example', issuer] }],
  ])('takes an assertion for %s', async (_, members) => {
    expect((await present(await signed(claims(members)), { client_id: clientId })).clientId).toBe(clientId)
  })

  it('takes one without client_id and without jti, once', async () => {
    const assertion = await signed(claims({ jti: undefined }))
    expect((await present(assertion)).clientId).toBe(clientId)
    expect(await refusal(present(assertion))).toMatchObject({ code: 'invalid_client', description: expect.stringContaining('before') })
  })

  it.each([
    ['another issuer', { iss: 'other' }],
    ['no issuer', { iss: undefined }],
    ['another subject', { sub: 'other' }],
    ['another audience', { aud: 'https://other.example' }],
    ['our issuer with a slash', { aud: `${issuer}/` }],
    ['no audience', { aud: undefined }],
    ['no expiry', { exp: undefined }],
    ['an expiry that is text', { exp: '9999999999' }],
    ['nbf in the future', { nbf: 9_999_999_999 }],
  ])('refuses %s', async (_, members) => {
    expect(await refusal(present(await signed(claims(members))))).toMatchObject({ code: 'invalid_client', status: 401 })
  })

  it('refuses an expired one, and one that lives longer than an hour', async () => {
    expect(await refusal(present(await signed(claims({ exp: now() - 31 }))))).toMatchObject({ code: 'invalid_client' })
    expect(await refusal(present(await signed(claims({ exp: now() + 3700 }))))).toMatchObject({
      code: 'invalid_client',
      description: expect.stringContaining('hour'),
    })
  })

  it('takes a jti once, also from callers at the same time', async () => {
    const assertion = await signed(claims())
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => present(assertion)))
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    deps.pass(89_000)
    expect(await refusal(present(assertion))).toMatchObject({ description: expect.stringContaining('before') })
  })

  it('refuses the key of another, no signature, and a shared secret made of the public key', async () => {
    expect(await refusal(present(await signed(claims(), other)))).toMatchObject({ code: 'invalid_client' })
    const unsigned = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify(claims())).toString('base64url')}.`
    expect(await refusal(present(unsigned))).toMatchObject({ code: 'invalid_client' })
    const symmetric = await new SignJWT(claims()).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(JSON.stringify(jwk).padEnd(32)))
    expect(await refusal(present(symmetric))).toMatchObject({ code: 'invalid_client' })
    for (const rubbish of ['x', 'a.b.c', '..']) expect(await refusal(present(rubbish))).toMatchObject({ code: 'invalid_client' })
  })

  it('tries every key of a set without kids', async () => {
    const second = await generateKeyPair('ES256', { extractable: true })
    deps = testDeps({ preregistered: [client([await exportJWK(second.publicKey), jwk])] })
    expect((await present(await signed(claims(), key, { kid: undefined }))).clientId).toBe(clientId)
    expect(await refusal(present(await signed(claims(), other, { kid: undefined })))).toMatchObject({ code: 'invalid_client' })
  })

  it('AS-8 takes no algorithm but the published ones, whatever key is registered', async () => {
    const lattice = await generateKeyPair('ML-DSA-44', { extractable: true })
    deps = testDeps({ preregistered: [client([await exportJWK(lattice.publicKey)])] })
    const error = await refusal(present(await signed(claims(), lattice.privateKey, { alg: 'ML-DSA-44', kid: undefined })))
    expect(error).toMatchObject({ code: 'invalid_client', description: expect.stringContaining('alg') })
  })

  it('refuses the client without it', async () => {
    expect(await refusal(authenticate(deps, { client_id: clientId }))).toMatchObject({
      code: 'invalid_client',
      description: expect.stringContaining('private_key_jwt'),
    })
    expect(await refusal(authenticate(deps, { client_id: clientId, client_secret: 'x' }))).toMatchObject({ code: 'invalid_client' })
  })

  describe('with keys at a URL', () => {
    let host: DocumentHost
    let id: string
    beforeEach(async () => {
      host = await documentHost()
      id = `${host.origin}/client.json`
      // The development switch lets http loopback documents in, but a document's own jwks_uri has to be https; so the team registers this one.
      deps = testDeps({ preregistered: [{ clientId: id, redirectUris, name: 'Keys', jwksUri: `${host.origin}/jwks` }] })
      host.answers.set('/jwks', { headers: { 'cache-control': 'max-age=3600' }, body: { keys: [{ ...jwk, kid: 'k1' }] } })
    })
    afterEach(() => host.close())
    const own = (members: Record<string, unknown> = {}) => claims({ iss: id, sub: id, ...members })

    it('fetches them once while they are fresh', async () => {
      await present(await signed(own()))
      await present(await signed(own()))
      expect(host.asked).toEqual(['/jwks'])
    })

    it('looks again for a key that is new, at most every minute', async () => {
      await present(await signed(own()))
      host.answers.set('/jwks', { body: { keys: [{ ...jwk, kid: 'k2' }] } })
      expect(await refusal(present(await signed(own(), key, { kid: 'k2' })))).toMatchObject({ code: 'invalid_client' })
      deps.pass(60_000)
      expect((await present(await signed(own(), key, { kid: 'k2' }))).clientId).toBe(id)
      expect(host.asked).toHaveLength(2)
    })

    it.each([[{ status: 404, body: {} }], [{ body: '{' }], [{ body: { keys: 7 } }], [{ body: { keys: 'x'.repeat(33_000) } }]])(
      'refuses what is no key set: %#',
      async (answer) => {
        host.answers.set('/jwks', answer)
        expect(await refusal(present(await signed(own())))).toMatchObject({ code: 'invalid_client' })
      },
    )

    it('gives no verdict on a client whose keys or document cannot be reached', async () => {
      const assertion = await signed(own())
      await host.close()
      expect(await refusal(present(assertion))).toMatchObject({ code: 'temporarily_unavailable', status: 503, headers: { 'retry-after': '30' } })
      const unreachable = testDeps()
      expect(await refusal(authenticate(unreachable, { client_id: id }))).toMatchObject({ code: 'temporarily_unavailable', status: 503 })
    })

    it('CR-10 holds a document to the private_key_jwt that it declares', async () => {
      const document = host.publish('/signing.json', { token_endpoint_auth_method: 'private_key_jwt', jwks: { keys: [{ ...jwk, kid: 'k1' }] } })
      const strict = { iss: document, sub: document }
      expect(await refusal(authenticate(deps, { client_id: document }))).toMatchObject({ code: 'invalid_client' })
      expect((await present(await signed(claims(strict)), { client_id: document })).clientId).toBe(document)
    })
  })
})
