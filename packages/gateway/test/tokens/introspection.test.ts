import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { mintToken } from '../../src/connections/token-format.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { basic, secrets, serviceSecret, startTokenWorld, type TokenWorld } from './world.ts'

let world: TokenWorld
beforeAll(async () => {
  world = await startTokenWorld({ servers: { mcp: {} } })
})
afterAll(() => world.close())

const inactive = { active: false }

describe('RFC 7662 §2.2: introspection', () => {
  it('AS-8: says of a live access token what it is for, and nothing is cached', async () => {
    const { body } = await world.connect('ann', { scope: 'todos.read' })
    const answer = await world.post('/introspect', { token: body.access_token }, basic('inspector', secrets.inspector))
    const now = Math.floor(Date.now() / 1000)
    expect(answer.body).toEqual({
      active: true,
      scope: 'todos.read',
      client_id: 'cli',
      sub: `${world.provider.issuer}|ann`,
      iss: world.issuer,
      aud: `${world.issuer}/mcp`,
      exp: expect.any(Number),
      iat: expect.any(Number),
      token_type: 'Bearer',
    })
    expect(Math.abs(answer.body.exp - 3600 - now)).toBeLessThan(10)
    expect(answer.body.exp - answer.body.iat).toBe(3600)
    expect([answer.headers.get('cache-control'), answer.headers.get('pragma'), answer.headers.get('content-type')]).toEqual([
      'no-store',
      'no-cache',
      'application/json',
    ])
  })

  it('says of a live refresh token what it is for, without a token_type', async () => {
    const { body } = await world.connect('ann')
    const said = await world.introspect(body.refresh_token)
    expect(said).toMatchObject({ active: true, scope: 'todos.read todos.write', client_id: 'cli', sub: `${world.provider.issuer}|ann` })
    expect(said).not.toHaveProperty('token_type')
    // A hint that is wrong changes nothing (RFC 7662 §2.1).
    const hinted = await world.post('/introspect', { token: body.refresh_token, token_type_hint: 'access_token' }, basic('inspector', secrets.inspector))
    expect(hinted.body).toEqual(said)
  })

  it('says of a narrowed token what it has left (RFC 6749 §6)', async () => {
    const { body } = await world.connect('ann')
    const narrow = await world.token({ grant_type: 'refresh_token', refresh_token: body.refresh_token, client_id: 'cli', scope: 'todos.read' })
    expect((await world.introspect(narrow.body.access_token)).scope).toBe('todos.read')
    expect((await world.introspect(narrow.body.refresh_token)).scope).toBe('todos.read todos.write')
  })

  it('of everything that is not live says {active:false} and nothing else', async () => {
    const { body } = await world.connect('ann')
    const next = await world.token({ grant_type: 'refresh_token', refresh_token: body.refresh_token, client_id: 'cli' })
    const foreign = mintToken({ keys: createKeyRing(['another-gateway-s-secret-0123456789']), random: () => 'A'.repeat(43) }, 'at', 'x', 1)
    const { access_token: token, refresh_token: refresh } = next.body
    expect(await world.introspect(token)).toMatchObject({ active: true })
    // Rotated, a code, no token of ours, changed in one character.
    for (const dead of [body.refresh_token, await world.code('ann'), foreign, 'x', `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`]) {
      expect(await world.introspect(dead)).toEqual(inactive)
    }
    await world.post('/revoke', { token: refresh, client_id: 'cli' })
    expect([await world.introspect(token), await world.introspect(refresh)]).toEqual([inactive, inactive])
  })

  it('follows expiry to the second', async () => {
    const { body } = await world.connect('ann')
    world.advance(3598)
    expect(await world.introspect(body.access_token)).toMatchObject({ active: true })
    world.advance(3)
    expect(await world.introspect(body.access_token)).toEqual(inactive)
    expect(await world.introspect(body.refresh_token)).toMatchObject({ active: true })
  })

  it('logs who asked and never the token', async () => {
    const { body } = await world.connect('ann')
    await world.introspect(body.access_token)
    expect(world.events.findLast(({ event }) => event === 'authorization.introspect')).toMatchObject({ clientId: 'inspector', outcome: 'active' })
    expect(JSON.stringify(world.events)).not.toContain(body.access_token)
  })
})

describe('RFC 7662 §2.1, §4: who may ask', () => {
  it('a client that the options do not name learns nothing, whoever it is', async () => {
    const { body } = await world.connect('ann')
    const asking: [Record<string, string>, Record<string, string>, number, string][] = [
      [{ client_id: 'cli' }, {}, 403, 'unauthorized_client'],
      [{}, basic('web', secrets.confidential), 403, 'unauthorized_client'],
      [{}, basic('nightly', serviceSecret), 403, 'unauthorized_client'],
      [{}, basic('inspector', 'wrong'), 401, 'invalid_client'],
      [{ client_id: 'inspector' }, {}, 401, 'invalid_client'],
      [{}, {}, 401, 'invalid_client'],
      [{}, { authorization: `Bearer ${body.access_token}` }, 401, 'invalid_client'],
    ]
    for (const [members, headers, status, error] of asking) {
      const answer = await world.post('/introspect', { token: body.access_token, ...members }, headers)
      expect([members, headers, answer.status, answer.body.error]).toEqual([members, headers, status, error])
      expect(answer.text).not.toContain('ann')
    }
  })

  it('asks for the token parameter, and for POST', async () => {
    expect((await world.post('/introspect', {}, basic('inspector', secrets.inspector))).body.error).toBe('invalid_request')
    const got = await fetch(`${world.issuer}/introspect`, { headers: basic('inspector', secrets.inspector) })
    expect([got.status, got.headers.get('allow')]).toEqual([405, 'POST'])
  })

  it('an outage is no verdict: 503, never inactive', async () => {
    const { body } = await world.connect('ann')
    world.outage(true)
    const answer = await world.post('/introspect', { token: body.access_token }, basic('inspector', secrets.inspector))
    world.outage(false)
    expect([answer.status, answer.body.error, answer.headers.has('retry-after')]).toEqual([503, 'temporarily_unavailable', true])
  })

  it('the endpoint is not there where no client may ask', async () => {
    const bare = await startTokenWorld({ gateway: { clients: {} } })
    try {
      expect((await bare.post('/introspect', { token: 'x' })).status).toBe(404)
      expect(await bare.get('/.well-known/oauth-authorization-server')).not.toHaveProperty('introspection_endpoint')
    } finally {
      await bare.close()
    }
  })
})
