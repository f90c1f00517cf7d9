import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { basic, newProofKey, secrets, serviceSecret, startTokenWorld, type TokenWorld } from './world.ts'

const keys = await generateKeyPair('ES256', { extractable: true })
const jwk = { ...(await exportJWK(keys.publicKey)), alg: 'ES256', kid: 'of-the-robot' } as unknown as Record<string, string>

let world: TokenWorld
beforeAll(async () => {
  world = await startTokenWorld({
    servers: { open: { grants: 'none' }, own: {}, shared: { grants: 'shared' }, mixed: { serviceGrant: 'client_credentials' } },
    gateway: {
      clients: {
        preregistered: [
          { clientId: 'nightly', clientSecret: serviceSecret, name: 'Nightly job', service: true },
          { clientId: 'reader', clientSecret: serviceSecret, name: 'Reader', service: true, scopes: ['todos.read'] },
          { clientId: 'robot', jwks: { keys: [jwk] }, name: 'Robot', service: true },
          { clientId: 'web', clientSecret: secrets.confidential, redirectUris: ['https://web.example/cb'], name: 'Web app' },
          { clientId: 'cli', redirectUris: ['http://127.0.0.1:7999/callback'], name: 'Command line' },
          { clientId: 'inspector', clientSecret: secrets.inspector, name: 'Inspector', introspect: true },
        ],
      },
    },
  })
})
afterAll(() => world.close())

const ask = (server: string, members: Record<string, string | undefined> = {}, headers = basic('nightly', serviceSecret)) =>
  world.token({ grant_type: 'client_credentials', resource: `${world.issuer}/${server}`, ...members }, headers)
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

async function assertion(audience: string, claims: Record<string, unknown> = {}): Promise<string> {
  return new SignJWT({ jti: randomUUID(), ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'of-the-robot' })
    .setIssuer('robot')
    .setSubject('robot')
    .setAudience(audience)
    .setIssuedAt()
    .setExpirationTime('1m')
    .sign(keys.privateKey)
}
const signed = (client_assertion: string) => ({ client_assertion, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer' })

describe('EX-3 EX-4, RFC 6749 §4.4: client_credentials', () => {
  it('gives a token without a user, and no refresh token', async () => {
    const answer = await ask('open')
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ access_token: expect.stringMatching(/^emcy_at_/), token_type: 'Bearer', expires_in: 3600, scope: 'todos.read todos.write' })
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect((await world.call('/open', bearer(answer.body.access_token))).status).toBe(200)
    const contract = world.reached()
    expect(contract).toMatchObject({ 'x-emcy-client-id': 'nightly', 'x-emcy-scopes': 'todos.read todos.write' })
    expect(contract).not.toHaveProperty('x-emcy-subject')
    expect(contract).not.toHaveProperty('x-emcy-access-token')
    expect(await world.introspect(answer.body.access_token)).toMatchObject({ active: true, client_id: 'nightly', sub: 'nightly', aud: `${world.issuer}/open` })
  })

  it('takes the secret in the body, and a JWT to the issuer or the token endpoint, each once (TK-13)', async () => {
    expect((await ask('open', { client_id: 'nightly', client_secret: serviceSecret }, {})).status).toBe(200)
    for (const audience of [world.issuer, `${world.issuer}/token`]) {
      const proof = signed(await assertion(audience))
      expect((await ask('open', proof, {})).status).toBe(200)
      expect((await ask('open', proof, {})).body.error).toBe('invalid_client')
    }
    expect((await ask('open', signed(await assertion('https://elsewhere.example')), {})).body.error).toBe('invalid_client')
  })

  it.each([
    ['a wrong secret', {}, basic('nightly', 'wrong'), 401, 'invalid_client'],
    ['no proof', { client_id: 'nightly' }, {}, 401, 'invalid_client'],
    ['a public client', { client_id: 'cli' }, {}, 400, 'unauthorized_client'],
    ['a confidential client that is no service', {}, basic('web', secrets.confidential), 400, 'unauthorized_client'],
    ['an unknown client', { client_id: 'nobody' }, {}, 401, 'invalid_client'],
  ])('EX-3: %s gets nothing', async (_name, members, headers, status, error) => {
    const answer = await ask('open', members, headers)
    expect([answer.status, answer.body.error]).toEqual([status, error])
  })

  it('EX-3: a client that registered itself is no service, whatever it registers', async () => {
    const body = JSON.stringify({ redirect_uris: ['https://x.example/cb'], grant_types: ['authorization_code', 'client_credentials'] })
    const registered = await fetch(`${world.issuer}/register`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
    const { client_id, client_secret } = (await registered.json()) as Record<string, string>
    expect((await ask('open', {}, basic(client_id as string, client_secret as string))).body.error).toBe('unauthorized_client')
  })

  it('TK-5: resource must name one of our servers; left out it is refused where there are several', async () => {
    expect((await ask('open', { resource: 'https://elsewhere.example/mcp' })).body.error).toBe('invalid_target')
    expect((await ask('open', { resource: undefined })).body.error).toBe('invalid_target')
    expect((await ask('open', { resource: `${world.issuer}/open/` })).status).toBe(200)
  })

  it('scope is what was asked and the client may have', async () => {
    expect((await ask('open', { scope: 'todos.read' })).body.scope).toBe('todos.read')
    expect((await ask('open', {}, basic('reader', serviceSecret))).body.scope).toBe('todos.read')
    expect((await ask('open', { scope: 'todos.write' }, basic('reader', serviceSecret))).body.error).toBe('invalid_scope')
    expect((await ask('open', { scope: 'admin' })).body.error).toBe('invalid_scope')
  })

  it('BC-3: its token is good at its server only, ends with revocation, and expires', async () => {
    const { access_token: token } = (await ask('open')).body
    expect((await world.call('/own', bearer(token))).status).toBe(401)
    await world.post('/revoke', { token }, basic('nightly', serviceSecret))
    expect((await world.call('/open', bearer(token))).status).toBe(401)
    const { access_token: late } = (await ask('open')).body
    world.advance(3605)
    expect((await world.call('/open', bearer(late))).status).toBe(401)
  })

  it('RFC 9449 §5: is bound to a key on request', async () => {
    const key = await newProofKey()
    world.advance(-3601)
    const { body } = await ask('open', {}, { ...basic('nightly', serviceSecret), dpop: await key.proof('POST', `${world.issuer}/token`) })
    expect(body.token_type).toBe('DPoP')
    expect((await world.call('/open', bearer(body.access_token))).status).toBe(401)
    const dpop = await key.proof('POST', `${world.issuer}/open`, body.access_token)
    expect((await world.call('/open', { authorization: `DPoP ${body.access_token}`, dpop })).status).toBe(200)
  })
})

describe("EX-5: no user's grant is ever lent to a service", () => {
  it.each(['own', 'shared'])('a server with %s grants gives no token, also while a user is connected there', async (server) => {
    await world.connect('ann', { resource: `${world.issuer}/${server}` })
    const answer = await ask(server)
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_target'])
    expect(answer.body.error_description).toMatch(/users only/)
  })

  it("serviceGrant: the runtime gets a token of the gateway's own, for the scopes of the service, fetched once and renewed under one lease", async () => {
    await world.connect('ann', { resource: `${world.issuer}/mixed` })
    const asksBefore = world.provider.requests.filter((line) => line === 'POST /token').length
    const tokens = [(await ask('mixed', { scope: 'todos.read' })).body.access_token, (await ask('mixed', { scope: 'todos.read' })).body.access_token]
    for (const token of tokens) expect((await world.call('/mixed', bearer(token))).status).toBe(200)
    expect(world.provider.requests.filter((line) => line === 'POST /token').length - asksBefore).toBe(1)
    const given = String(world.reached()?.['x-emcy-access-token'])
    const downstream = await world.provider.provider.ClientCredentials.find(given)
    expect([downstream?.clientId, downstream?.scope]).toEqual(['gateway', 'todos.read'])
    expect(world.reached()).not.toHaveProperty('x-emcy-subject')
    // Other scopes, another token.
    const wide = (await ask('mixed')).body.access_token
    await world.call('/mixed', bearer(wide))
    const other = String(world.reached()?.['x-emcy-access-token'])
    expect((await world.provider.provider.ClientCredentials.find(other))?.scope).toBe('todos.read todos.write')
    // The provider's tokens live 600 s: later calls at once get a fresh one, asked for once.
    world.advance(700)
    const before = world.provider.requests.filter((line) => line === 'POST /token').length
    const answers = await Promise.all(Array.from({ length: 10 }, () => world.call('/mixed', bearer(wide))))
    expect(answers.map(({ status }) => status)).toEqual(Array(10).fill(200))
    expect(String(world.reached()?.['x-emcy-access-token'])).not.toBe(other)
    expect(world.provider.requests.filter((line) => line === 'POST /token').length - before).toBe(1)
  })
})
