import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { createLocalJWKSet, createRemoteJWKSet, decodeJwt, decodeProtectedHeader, jwtVerify } from 'jose'
import type { Store } from '../../src/store/store.ts'
import { noting } from './noting-store.ts'
import { basic, newProofKey, serviceSecret, startTokenWorld, type TokenWorld } from './world.ts'

const jwkOf = (pair: { privateKey: { export(options: { format: 'jwk' }): object } }) => pair.privateKey.export({ format: 'jwk' }) as Record<string, string>
const ec = { ...jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-256' })), kid: 'of-today' }
const ed = jwkOf(generateKeyPairSync('ed25519'))
const rsa = jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }))

let world: TokenWorld
const operations: string[] = []
beforeAll(async () => {
  const around = (store: Store) => noting(store, operations)
  world = await startTokenWorld({ servers: { mcp: { grants: 'none' } }, gateway: { tokens: { accessTokenFormat: 'jwt', signingKeys: [ec, ed] } }, around })
})
afterAll(() => world.close())

const keySet = () => createRemoteJWKSet(new URL(`${world.issuer}/jwks`))
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('RFC 9068: JWT access tokens', () => {
  it('§2: another service verifies one by itself, from the metadata on', async () => {
    const { body } = await world.connect('ann', { scope: 'todos.read' })
    const { jwks_uri: jwksUri } = await world.get('/.well-known/oauth-authorization-server')
    const keys = createRemoteJWKSet(new URL(jwksUri))
    const { payload, protectedHeader } = await jwtVerify(body.access_token, keys, { issuer: world.issuer, audience: `${world.issuer}/mcp`, typ: 'at+jwt' })
    expect(protectedHeader).toEqual({ alg: 'ES256', typ: 'at+jwt', kid: 'of-today' })
    expect(payload).toEqual({
      iss: world.issuer,
      aud: `${world.issuer}/mcp`,
      sub: `${world.provider.issuer}|ann`,
      client_id: 'cli',
      scope: 'todos.read',
      iat: expect.any(Number),
      exp: (payload.iat as number) + 3600,
      jti: expect.stringMatching(/^emcy_at_/),
    })
    expect(body.refresh_token).toMatch(/^emcy_rt_/)
  })

  it('RFC 7517: the key set holds public parts only, of every key', async () => {
    const { keys } = await world.get('/jwks')
    expect(keys.map(({ kid, alg, use }: Record<string, string>) => [kid, alg, use])).toEqual([
      ['of-today', 'ES256', 'sig'],
      [expect.stringMatching(/^[\w-]{43}$/), 'EdDSA', 'sig'],
    ])
    for (const key of keys) expect(key).not.toHaveProperty('d')
  })

  it('is good at the gateway for the price of an opaque one: one read', async () => {
    const { body } = await world.connect('ann')
    expect((await world.call('/mcp', bearer(body.access_token))).status).toBe(200)
    operations.length = 0
    expect((await world.call('/mcp', bearer(body.access_token))).status).toBe(200)
    expect(operations).toEqual(['get connection'])
    expect(await world.introspect(body.access_token)).toMatchObject({ active: true, client_id: 'cli', token_type: 'Bearer' })
  })

  it('is over at the gateway with its connection, at once, though its signature stays good', async () => {
    const { body } = await world.connect('ann')
    await world.post('/revoke', { token: body.access_token, client_id: 'cli' })
    expect((await world.call('/mcp', bearer(body.access_token))).status).toBe(401)
    expect(await world.introspect(body.access_token)).toEqual({ active: false })
    await expect(jwtVerify(body.access_token, keySet(), { issuer: world.issuer })).resolves.toBeDefined()
  })

  it('refresh: keeps claims to the token, narrowed scopes included, and repeats the same one', async () => {
    const { body } = await world.connect('ann')
    const refresh = () => world.token({ grant_type: 'refresh_token', refresh_token: body.refresh_token, client_id: 'cli', scope: 'todos.read' })
    const next = (await refresh()).body
    expect(decodeJwt(next.access_token)).toMatchObject({ scope: 'todos.read', sub: `${world.provider.issuer}|ann` })
    expect((await refresh()).body.access_token).toBe(next.access_token)
    await jwtVerify(next.access_token, keySet(), { issuer: world.issuer, audience: `${world.issuer}/mcp` })
    expect((await world.call('/mcp', bearer(next.access_token))).status).toBe(200)
  })

  it.each<[string, (token: string) => string]>([
    ['another payload', (token) => changed(token, { scope: 'admin' })],
    ['a later exp', (token) => changed(token, { exp: 99_999_999_999 })],
    ['another signature', (token) => `${token.slice(0, -8)}AAAAAAAA`],
    ['no signature', (token) => `${token.split('.').slice(0, 2).join('.')}.`],
    ['alg none', (token) => `${encode({ alg: 'none', typ: 'at+jwt' })}.${token.split('.')[1]}.`],
    ['its id alone', (token) => String(decodeJwt(token).jti)],
    ['another header around it', (token) => `${encode({ alg: 'ES256', typ: 'at+jwt', kid: 'other' })}.${token.split('.').slice(1).join('.')}`],
    ['an id of somebody’s making', (token) => changed(token, { jti: 'emcy_at_x.1.y.z' })],
    ['no JSON inside', () => 'a.bm90IGpzb24.c'],
  ])('BC-3: %s is no token', async (_name, change) => {
    const { body } = await world.connect('ann')
    const answer = await world.call('/mcp', bearer(change(body.access_token)))
    expect([answer.status, answer.body.error]).toEqual([401, 'invalid_token'])
    expect(await world.introspect(change(body.access_token))).toEqual({ active: false })
  })

  it('a refresh token inside a JWT is no refresh token, and ends nothing', async () => {
    const { body } = await world.connect('ann')
    const disguised = `${encode({ alg: 'ES256' })}.${encode({ jti: body.refresh_token })}.AAAA`
    const answer = await world.token({ grant_type: 'refresh_token', refresh_token: disguised, client_id: 'cli' })
    expect(answer.body.error).toBe('invalid_grant')
    // Nor is it a replay, which would end the connection, of one that was rotated away.
    const turn = async (token: string) => (await world.token({ grant_type: 'refresh_token', refresh_token: token, client_id: 'cli' })).body
    const { refresh_token: latest } = await turn((await turn(body.refresh_token)).refresh_token)
    await world.token({ grant_type: 'refresh_token', refresh_token: disguised, client_id: 'cli' })
    const asAccess = await world.token({ grant_type: 'refresh_token', refresh_token: body.access_token, client_id: 'cli' })
    expect(asAccess.body.error).toBe('invalid_grant')
    expect((await turn(latest)).access_token).toEqual(expect.any(String))
  })

  it('RFC 9449 §6.1: carries the thumbprint of the key that it is bound to', async () => {
    const key = await newProofKey()
    const { body } = await world.connect('ann', {}, { dpop: await key.proof('POST', `${world.issuer}/token`) })
    expect(decodeJwt(body.access_token).cnf).toEqual({ jkt: key.jkt })
    const dpop = await key.proof('POST', `${world.issuer}/mcp`, body.access_token)
    expect((await world.call('/mcp', { authorization: `DPoP ${body.access_token}`, dpop })).status).toBe(200)
  })

  it("§2.2: a service's own has the service as subject", async () => {
    const { body } = await world.token({ grant_type: 'client_credentials' }, basic('nightly', serviceSecret))
    expect(decodeJwt(body.access_token)).toMatchObject({ sub: 'nightly', client_id: 'nightly', aud: `${world.issuer}/mcp` })
    expect((await world.call('/mcp', bearer(body.access_token))).status).toBe(200)
  })
})

describe('keys in turn', () => {
  it.each([
    ['EdDSA', ed],
    ['RS256', rsa],
  ])('%s signs what every verifier of the set accepts, and an older key stays published', async (alg, first) => {
    const turned = await startTokenWorld({ gateway: { tokens: { accessTokenFormat: 'jwt', signingKeys: [first, ec] } } })
    try {
      const { body } = await turned.connect('ann')
      expect(decodeProtectedHeader(body.access_token).alg).toBe(alg)
      const keys = createLocalJWKSet(await turned.get('/jwks'))
      await jwtVerify(body.access_token, keys, { issuer: turned.issuer, typ: 'at+jwt' })
    } finally {
      await turned.close()
    }
  })

  it('opaque tokens are the default, and no key set is there', async () => {
    const bare = await startTokenWorld()
    try {
      expect((await bare.connect('ann')).body.access_token).toMatch(/^emcy_at_/)
      expect((await fetch(`${bare.issuer}/jwks`)).status).toBe(404)
      expect(await bare.get('/.well-known/oauth-authorization-server')).not.toHaveProperty('jwks_uri')
    } finally {
      await bare.close()
    }
  })
})

function encode(part: object): string {
  return Buffer.from(JSON.stringify(part)).toString('base64url')
}

function changed(token: string, claims: object): string {
  const [header, payload, signature] = token.split('.') as [string, string, string]
  return `${header}.${encode({ ...JSON.parse(Buffer.from(payload, 'base64url').toString()), ...claims })}.${signature}`
}
