import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { listen, stop } from '../authorization/downstream-server.ts'
import { basic, newProofKey, secrets, startTokenWorld, type TokenWorld } from './world.ts'

const jwtBearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const keys = await generateKeyPair('ES256', { extractable: true })
const strangers = await generateKeyPair('ES256', { extractable: true })
const jwk = { ...(await exportJWK(keys.publicKey)), kid: 'of-the-idp', alg: 'ES256', use: 'sig' } as unknown as Record<string, string>

/** Identity provider that is found by discovery, on loopback. */
const idp = createServer((req, res) => {
  fetched.push(req.url ?? '')
  const documents: Record<string, unknown> = {
    '/.well-known/openid-configuration': { issuer: discovered, jwks_uri: `${discovered}/keys` },
    '/keys': { keys: [jwk] },
    '/lying/.well-known/openid-configuration': { issuer: discovered, jwks_uri: `${discovered}/keys` },
  }
  const document = documents[req.url ?? '']
  res.writeHead(document ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(document))
})
const fetched: string[] = []
const discovered = await listen(idp)
const known = 'https://idp.example.com'

let world: TokenWorld
beforeAll(async () => {
  world = await startTokenWorld({
    servers: { open: { grants: 'none' }, own: {}, shared: { grants: 'shared' } },
    gateway: {
      enterprise: {
        issuers: {
          [known]: {
            jwks: { keys: [jwk] },
            identify: ({ sub, email }) =>
              sub === 'unknown' ? undefined : { issuer: world.provider.issuer, sub: String(sub), claims: { email: email ?? null } },
          },
          [discovered]: {},
          [`${discovered}/lying`]: {},
          [`${discovered}/gone`]: { jwksUri: `${discovered}/gone` },
        },
      },
      clients: {
        preregistered: [
          { clientId: 'agent', clientSecret: secrets.confidential, redirectUris: ['http://127.0.0.1:7999/callback'], name: 'Agent' },
          { clientId: 'rival', clientSecret: secrets.service.replaceAll(' ', '-'), redirectUris: ['https://rival.example/cb'], name: 'Rival' },
          { clientId: 'cli', redirectUris: ['http://127.0.0.1:7999/callback'], name: 'Command line' },
          { clientId: 'inspector', clientSecret: secrets.inspector, name: 'Inspector', introspect: true },
        ],
        metadataDocuments: { dangerouslyAllowPrivateAddresses: true },
      },
    },
  })
})
afterAll(async () => {
  await world.close()
  await stop(idp)
})

const agent = basic('agent', secrets.confidential)
const seconds = () => Math.floor(Date.now() / 1000)

/** An ID-JAG; undefined members are left out. */
function idJag(claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}, key = keys.privateKey): Promise<string> {
  const all = {
    iss: known,
    sub: 'ann',
    aud: world.issuer,
    client_id: 'agent',
    jti: randomUUID(),
    iat: seconds(),
    exp: seconds() + 300,
    scope: 'todos.read todos.write',
    resource: `${world.issuer}/open`,
    ...claims,
  }
  return new SignJWT(JSON.parse(JSON.stringify(all))).setProtectedHeader({ alg: 'ES256', typ: 'oauth-id-jag+jwt', kid: 'of-the-idp', ...header }).sign(key)
}

const present = async (assertion: string | Promise<string>, members: Record<string, string | undefined> = {}, headers: Record<string, string> = agent) =>
  world.token({ grant_type: jwtBearer, assertion: await assertion, ...members }, headers)
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })

describe('EX-6 EX-7: an ID-JAG at the token endpoint', () => {
  it('EX-10: gives an access token for its resource and scopes, without a refresh token or a page', async () => {
    const answer = await present(idJag())
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ access_token: expect.any(String), token_type: 'Bearer', expires_in: 3600, scope: 'todos.read todos.write' })
    expect((await world.call('/open', bearer(answer.body.access_token))).status).toBe(200)
    expect(world.reached()).toMatchObject({ 'x-emcy-subject': 'ann', 'x-emcy-client-id': 'agent' })
    const said = await world.introspect(answer.body.access_token)
    expect(said).toMatchObject({ sub: `${world.provider.issuer}|ann`, aud: `${world.issuer}/open`, client_id: 'agent' })
    // Its user finds it among the connected apps, and so does the team.
    const { connections } = await world.gateway.connections.list({ subject: `${world.provider.issuer}|ann`, clientId: 'agent' })
    expect(connections[0]).toMatchObject({ server: 'open', clientName: 'Agent' })
  })

  it('EX-11: the metadata announces it', async () => {
    const metadata = await world.get('/.well-known/oauth-authorization-server')
    expect(metadata.grant_types_supported).toContain(jwtBearer)
    expect(metadata.authorization_grant_profiles_supported).toEqual(['urn:ietf:params:oauth:grant-profile:id-jag'])
  })

  it('EX-11: without identify the user is who the assertion says, by iss and sub; keys are found by discovery and cached', async () => {
    fetched.length = 0
    for (let turn = 0; turn < 3; turn++) {
      const { body } = await present(idJag({ iss: discovered, sub: `user-${turn}`, name: 'Ann' }))
      expect((await world.introspect(body.access_token)).sub).toBe(`${discovered}|user-${turn}`)
    }
    expect(fetched).toEqual(['/.well-known/openid-configuration', '/keys'])
  })

  it('RFC 9449 §5: the token is bound to a key on request, and a bound assertion needs its key', async () => {
    const key = await newProofKey()
    const proved = async (from = key) => ({ ...agent, dpop: await from.proof('POST', `${world.issuer}/token`) })
    expect((await present(idJag(), {}, await proved())).body.token_type).toBe('DPoP')
    const bound = await idJag({ cnf: { jkt: key.jkt } })
    expect((await present(bound)).body.error).toBe('invalid_grant')
    expect((await present(bound, {}, await proved(await newProofKey()))).body.error).toBe('invalid_grant')
    expect((await present(bound, {}, await proved())).status).toBe(200)
  })
})

describe('EX-8: what is wrong with an assertion is invalid_grant', () => {
  it.each<[string, () => Promise<string>]>([
    ['another type', () => idJag({}, { typ: 'JWT' })],
    ['a client assertion’s type', () => idJag({}, { typ: undefined })],
    ['an issuer that is not trusted', () => idJag({ iss: 'https://evil.example' })],
    ['an issuer with a slash more', () => idJag({ iss: `${known}/` })],
    ['no issuer', () => idJag({ iss: undefined })],
    ['a signature of somebody else', () => idJag({}, {}, strangers.privateKey)],
    ['a key that its issuer does not have', () => idJag({}, { kid: 'another' }, strangers.privateKey)],
    ['no signature', async () => `${Buffer.from('{"alg":"none","typ":"oauth-id-jag+jwt"}').toString('base64url')}.${(await idJag()).split('.')[1]}.`],
    ['no JWT', async () => 'not.a.jwt'],
    ['the token endpoint as audience', () => idJag({ aud: `${world.issuer}/token` })],
    ['the MCP server as audience', () => idJag({ aud: `${world.issuer}/open` })],
    ['an audience beside ours', () => idJag({ aud: [world.issuer, 'https://elsewhere.example'] })],
    ['no audience', () => idJag({ aud: undefined })],
    ['no exp', () => idJag({ exp: undefined })],
    ['an exp that is past', () => idJag({ exp: seconds() - 60 })],
    ['an exp far ahead', () => idJag({ exp: seconds() + 86_400 })],
    ['no iat', () => idJag({ iat: undefined })],
    ['an iat of the future', () => idJag({ iat: seconds() + 120 })],
    ['an nbf of the future', () => idJag({ nbf: seconds() + 120 })],
    ['no sub', () => idJag({ sub: undefined })],
    ['an empty sub', () => idJag({ sub: '' })],
    ['no jti', () => idJag({ jti: undefined })],
    ['no client_id', () => idJag({ client_id: undefined })],
    ['the client_id of another client', () => idJag({ client_id: 'rival' })],
    ['a resource that is not ours', () => idJag({ resource: 'https://elsewhere.example/mcp' })],
    ['a resource of ours and one that is not', () => idJag({ resource: [`${world.issuer}/open`, 'https://elsewhere.example'] })],
    ['a resource that is no text', () => idJag({ resource: { a: 1 } })],
    ['a scope that is no text', () => idJag({ scope: ['todos.read'] })],
    ['a user who is not known here', () => idJag({ sub: 'unknown' })],
  ])('%s', async (_name, make) => {
    const answer = await present(make())
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_grant'])
    expect(Object.keys(answer.body).sort()).toEqual(['error', 'error_description'])
  })

  it('another client cannot use what was made for this one', async () => {
    expect((await present(idJag(), {}, basic('rival', secrets.service.replaceAll(' ', '-')))).body.error).toBe('invalid_grant')
  })

  it('EX-7: the client proves itself', async () => {
    expect((await present(idJag(), {}, basic('agent', 'wrong'))).body.error).toBe('invalid_client')
    expect((await present(idJag({ client_id: 'cli' }), { client_id: 'cli' }, {})).body.error).toBe('unauthorized_client')
    expect((await world.token({ grant_type: jwtBearer }, agent)).body.error).toBe('invalid_request')
  })

  it('keys that cannot be had are no verdict: temporarily_unavailable', async () => {
    for (const iss of [`${discovered}/lying`, `${discovered}/gone`]) {
      const answer = await present(idJag({ iss }))
      expect([answer.status, answer.body.error]).toEqual([503, 'temporarily_unavailable'])
    }
  })
})

describe('EX-9: an assertion counts once until it expires', () => {
  it('also when it comes ten times at once', async () => {
    const assertion = await idJag()
    const answers = await Promise.all(Array.from({ length: 10 }, () => present(assertion)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
    expect(answers.filter(({ body }) => body.error === 'invalid_grant')).toHaveLength(9)
    expect((await present(assertion)).body.error).toBe('invalid_grant')
  })

  it('a jti belongs to its issuer; what was refused for another reason is not used up', async () => {
    const jti = randomUUID()
    expect((await present(idJag({ jti }))).status).toBe(200)
    expect((await present(idJag({ jti, iss: discovered }))).status).toBe(200)
    expect((await present(idJag({ jti }))).body.error).toBe('invalid_grant')
    const assertion = await idJag()
    expect((await present(assertion, { scope: 'admin' })).body.error).toBe('invalid_scope')
    expect((await present(assertion)).status).toBe(200)
  })
})

describe('EX-10: audience and scopes', () => {
  it('the scopes are those asked for and allowed', async () => {
    expect((await present(idJag(), { scope: 'todos.read' })).body.scope).toBe('todos.read')
    expect((await present(idJag({ scope: 'todos.read' }), { scope: 'todos.read todos.write' })).body.scope).toBe('todos.read')
    expect((await present(idJag({ scope: 'todos.read' }))).body.scope).toBe('todos.read')
    expect((await present(idJag({ scope: 'todos.read' }), { scope: 'todos.write' })).body.error).toBe('invalid_scope')
    expect((await present(idJag({ scope: undefined }))).body.error).toBe('invalid_scope')
  })

  it('the request may name the resource again, and no other', async () => {
    expect((await present(idJag(), { resource: `${world.issuer}/open` })).status).toBe(200)
    expect((await present(idJag(), { resource: `${world.issuer}/shared` })).body.error).toBe('invalid_target')
  })

  it('of several resources the request names one; without any it has to', async () => {
    const both = [`${world.issuer}/open`, `${world.issuer}/shared`]
    expect((await present(idJag({ resource: both }))).body.error).toBe('invalid_target')
    const { body } = await present(idJag({ resource: both }), { resource: `${world.issuer}/open` })
    expect((await world.introspect(body.access_token)).aud).toBe(`${world.issuer}/open`)
    expect((await present(idJag({ resource: undefined }))).body.error).toBe('invalid_target')
    expect((await present(idJag({ resource: undefined }), { resource: `${world.issuer}/open` })).status).toBe(200)
  })
})

describe('EX-12: where the downstream grant comes from', () => {
  it('a server with a sign-in for every connection refuses, also for a user who is connected', async () => {
    await world.connect('ann', { resource: `${world.issuer}/own` })
    const answer = await present(idJag({ resource: `${world.issuer}/own` }))
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_target'])
  })

  it("with shared grants it is the same user's, who has signed in once; never another's", async () => {
    const toShared = (sub: string) => present(idJag({ sub, resource: `${world.issuer}/shared` }))
    expect((await toShared('eve')).body.error).toBe('invalid_grant')
    await world.connect('eve', { resource: `${world.issuer}/shared` })
    expect((await toShared('dan')).body.error).toBe('invalid_grant')
    const { body } = await toShared('eve')
    expect((await world.call('/shared', bearer(body.access_token))).status).toBe(200)
    const downstream = await world.provider.provider.AccessToken.find(String(world.reached()?.['x-emcy-access-token']))
    expect(downstream?.accountId).toBe('eve')
  })

  it("the client's revocation ends its token, and leaves the user's own sign-in alone", async () => {
    await world.connect('fay', { resource: `${world.issuer}/shared` })
    const first = await present(idJag({ sub: 'fay', resource: `${world.issuer}/shared` }))
    await world.post('/revoke', { token: first.body.access_token }, agent)
    expect((await world.call('/shared', bearer(first.body.access_token))).status).toBe(401)
    const second = await present(idJag({ sub: 'fay', resource: `${world.issuer}/shared` }))
    expect((await world.call('/shared', bearer(second.body.access_token))).status).toBe(200)
    // Disconnecting everything takes the grant with it.
    await world.gateway.connections.revoke({ subject: `${world.provider.issuer}|fay` })
    expect((await present(idJag({ sub: 'fay', resource: `${world.issuer}/shared` }))).body.error).toBe('invalid_grant')
  })

  it('a grant that is dead is none: the user signs in again', async () => {
    const { body } = await world.connect('gil', { resource: `${world.issuer}/shared` })
    expect((await world.call('/shared', bearer(body.access_token))).status).toBe(200)
    const { AccessToken, RefreshToken } = world.provider.provider
    const { grantId } = (await AccessToken.find(String(world.reached()?.['x-emcy-access-token']))) ?? {}
    await RefreshToken.revokeByGrantId(String(grantId))
    world.advance(400)
    expect((await world.call('/shared', bearer(body.access_token))).status).toBe(401)
    world.advance(-400)
    expect((await present(idJag({ sub: 'gil', resource: `${world.issuer}/shared` }))).body.error).toBe('invalid_grant')
  })

  it("the client's revocation leaves the sign-in alone also when the user's own connections have ended by their age", async () => {
    const days = 31 * 86_400
    await world.connect('hal', { resource: `${world.issuer}/shared` })
    world.advance(days)
    const later = () => present(idJag({ sub: 'hal', resource: `${world.issuer}/shared`, iat: seconds() + days, exp: seconds() + days + 60 }))
    const { body } = await later()
    expect((await world.gateway.connections.list({ subject: `${world.provider.issuer}|hal` })).connections).toHaveLength(1)
    await world.post('/revoke', { token: body.access_token }, agent)
    expect((await later()).status).toBe(200)
    world.advance(-days)
  })

  it('EX-11: no event holds an assertion', async () => {
    const assertion = await idJag()
    await present(assertion)
    await present(assertion)
    const [header, payload, signature] = assertion.split('.') as [string, string, string]
    const log = JSON.stringify(world.events)
    expect([log.includes(payload), log.includes(signature), log.includes(header)]).toEqual([false, false, false])
    expect(world.events.findLast((event) => 'grantType' in event)).toMatchObject({ grantType: jwtBearer, outcome: 'issued', clientId: 'agent' })
  })
})

describe('enterprise-managed authorization off', () => {
  it('EX-1: is off by default: the grant type is unknown and unannounced', async () => {
    const bare = await startTokenWorld()
    try {
      const answer = await bare.token({ grant_type: jwtBearer, assertion: 'x' }, basic('web', secrets.confidential))
      expect(answer.body.error).toBe('unsupported_grant_type')
      expect(await bare.get('/.well-known/oauth-authorization-server')).not.toHaveProperty('authorization_grant_profiles_supported')
    } finally {
      await bare.close()
    }
  })
})
