import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import type { Store } from '../../src/store/store.ts'
import { noting } from './noting-store.ts'
import { basic, newProofKey, type ProofKey, secrets, startTokenWorld, type TokenWorld, verifier } from './world.ts'

let world: TokenWorld
let key: ProofKey
let other: ProofKey
const operations: string[] = []
beforeAll(async () => {
  const around = (store: Store) => noting(store, operations)
  world = await startTokenWorld({ servers: { mcp: { grants: 'none' } }, around })
  key = await newProofKey()
  other = await newProofKey('EdDSA')
})
afterAll(() => world.close())

const tokenUrl = () => `${world.issuer}/token`
const mcpUrl = () => `${world.issuer}/mcp`
const proofAt = async (proof: string) => ({ dpop: proof })
const connect = async (members: Record<string, string> = {}, from = key) => world.connect('ann', members, { dpop: await from.proof('POST', tokenUrl()) })
const call = async (token: string, proof: string | undefined, scheme = 'DPoP') =>
  world.call('/mcp', { authorization: `${scheme} ${token}`, ...(proof !== undefined && { dpop: proof }) })
const refresh = async (
  refreshToken: string,
  proof: string | undefined,
  members: Record<string, string> = { client_id: 'cli' },
  headers: Record<string, string> = {},
) => world.token({ grant_type: 'refresh_token', refresh_token: refreshToken, ...members }, { ...headers, ...(proof !== undefined && { dpop: proof }) })

describe('RFC 9449 §5: the token endpoint', () => {
  it('EX-14: binds the access token to the key of the proof, and both metadata documents name the algorithms (§5.1)', async () => {
    const { status, body } = await connect()
    expect([status, body.token_type]).toEqual([200, 'DPoP'])
    expect(await world.introspect(body.access_token)).toMatchObject({ active: true, token_type: 'DPoP', cnf: { jkt: key.jkt } })
    for (const name of ['oauth-authorization-server', 'oauth-protected-resource/mcp']) {
      expect((await world.get(`/.well-known/${name}`)).dpop_signing_alg_values_supported).toEqual(expect.arrayContaining(['ES256', 'EdDSA']))
    }
  })

  it('without a proof everything stays a bearer token', async () => {
    const { body } = await world.connect('ann')
    expect(body.token_type).toBe('Bearer')
    expect((await call(body.access_token, undefined, 'Bearer')).status).toBe(200)
    expect(await world.introspect(body.access_token)).not.toHaveProperty('cnf')
  })

  it.each<[string, () => Promise<string>]>([
    ['is no JWT', async () => 'x'],
    ['comes twice', async () => `${await key.proof('POST', tokenUrl())}, ${await key.proof('POST', tokenUrl())}`],
    ['has another typ', () => key.proof('POST', tokenUrl(), undefined, {}, { typ: 'JWT' })],
    ['is not signed by the key in its header', () => key.proof('POST', tokenUrl(), undefined, {}, { jwk: other.jwk })],
    ['has no key in its header', () => key.proof('POST', tokenUrl(), undefined, {}, { jwk: undefined })],
    ['carries the private key', async () => key.proof('POST', tokenUrl(), undefined, {}, { jwk: await exportJWK(key.privateKey) })],
    [
      'is signed with a shared secret',
      () =>
        new SignJWT({ jti: 'a', htm: 'POST', htu: tokenUrl(), iat: Math.floor(Date.now() / 1000) })
          .setProtectedHeader({ alg: 'HS256', typ: 'dpop+jwt', jwk: { kty: 'oct', k: 'c2VjcmV0' } as object })
          .sign(Buffer.alloc(32)),
    ],
    ['has no signature', async () => `${(await key.proof('POST', tokenUrl())).split('.').slice(0, 2).join('.')}.`],
    ['is for another method', () => key.proof('GET', tokenUrl())],
    ['is for another URL', () => key.proof('POST', mcpUrl())],
    ['is for the same path elsewhere', () => key.proof('POST', 'https://elsewhere.example/token')],
    ['has no htu', () => key.proof('POST', tokenUrl(), undefined, { htu: undefined })],
    ['has no jti', () => key.proof('POST', tokenUrl(), undefined, { jti: undefined })],
    ['has a jti without end', () => key.proof('POST', tokenUrl(), undefined, { jti: 'x'.repeat(257) })],
    ['has no iat', () => key.proof('POST', tokenUrl(), undefined, { iat: undefined })],
    ['is six minutes old', () => key.proof('POST', tokenUrl(), undefined, { iat: Math.floor(Date.now() / 1000) - 360 })],
    ['is of the future', () => key.proof('POST', tokenUrl(), undefined, { iat: Math.floor(Date.now() / 1000) + 360 })],
    ['is too long', () => key.proof('POST', tokenUrl(), undefined, { filler: 'x'.repeat(9000) })],
  ])('§4.3: a proof that %s is invalid_dpop_proof, and the code stays good', async (_name, make) => {
    const code = await world.code('ann')
    const redeem = (dpop: string) => world.token({ grant_type: 'authorization_code', code, code_verifier: verifier, client_id: 'cli' }, { dpop })
    const answer = await redeem(await make())
    expect([answer.status, answer.body.error]).toEqual([400, 'invalid_dpop_proof'])
    expect((await redeem(await key.proof('POST', tokenUrl()))).status).toBe(200)
  })

  it('§4.3: takes a URL as it comes: query, fragment, case of the host and default port aside', async () => {
    const { origin, host } = new URL(world.issuer)
    for (const htu of [`${tokenUrl()}?a=b#c`, `${origin.replace(host, host.toUpperCase())}/token`, `${world.issuer}/x/../token`]) {
      const answer = await world.connect('ann', {}, await proofAt(await key.proof('POST', htu)))
      expect([htu, answer.status]).toEqual([htu, 200])
    }
  })

  it('§11.1: a proof counts once', async () => {
    const dpop = await key.proof('POST', tokenUrl())
    expect((await world.connect('ann', {}, { dpop })).status).toBe(200)
    const again = await world.connect('ann', {}, { dpop })
    expect([again.status, again.body.error]).toEqual([400, 'invalid_dpop_proof'])
    const many = await key.proof('POST', tokenUrl())
    const { body } = await connect()
    const answers = await Promise.all(Array.from({ length: 10 }, () => refresh(body.refresh_token, many)))
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(1)
  })

  it('§5.2: a client that asked for bound tokens gets no others', async () => {
    const refused = await world.connect('ann', { client_id: 'bound' })
    expect([refused.status, refused.body.error]).toEqual([400, 'invalid_dpop_proof'])
    expect((await connect({ client_id: 'bound' })).body.token_type).toBe('DPoP')
    const metadata = { redirect_uris: ['http://127.0.0.1:7999/callback'], token_endpoint_auth_method: 'none', dpop_bound_access_tokens: true }
    const registered = await fetch(`${world.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(metadata),
    })
    const client = (await registered.json()) as Record<string, string>
    expect(client.dpop_bound_access_tokens).toBe(true)
    expect((await world.connect('ann', { client_id: client.client_id as string })).body.error).toBe('invalid_dpop_proof')
  })

  it('§10: dpop_jkt binds the code to its key', async () => {
    const code = await world.code('ann', { dpop_jkt: key.jkt })
    const redeem = async (proof: string | undefined) =>
      world.token({ grant_type: 'authorization_code', code, code_verifier: verifier, client_id: 'cli' }, proof === undefined ? {} : { dpop: proof })
    for (const proof of [undefined, await other.proof('POST', tokenUrl())]) expect((await redeem(proof)).body.error).toBe('invalid_grant')
    expect((await redeem(await key.proof('POST', tokenUrl()))).body.token_type).toBe('DPoP')
    await expect(world.code('ann', { dpop_jkt: 'short' })).rejects.toThrow('invalid_request')
  })
})

describe('RFC 9449 §5: refresh tokens', () => {
  it("a public client's are bound: no proof, or one of another key, gets nothing and harms nothing", async () => {
    const { body } = await connect()
    expect((await refresh(body.refresh_token, undefined)).body.error).toBe('invalid_grant')
    expect((await refresh(body.refresh_token, await other.proof('POST', tokenUrl()))).body.error).toBe('invalid_grant')
    const next = await refresh(body.refresh_token, await key.proof('POST', tokenUrl()))
    expect([next.status, next.body.token_type]).toEqual([200, 'DPoP'])
    // The one before it, within its grace, is bound just the same.
    expect((await refresh(body.refresh_token, undefined)).body.error).toBe('invalid_grant')
    expect((await refresh(body.refresh_token, await key.proof('POST', tokenUrl()))).body).toEqual({ ...next.body, expires_in: expect.any(Number) })
    expect((await refresh(next.body.refresh_token, undefined)).body.error).toBe('invalid_grant')
    expect(await world.introspect(next.body.refresh_token)).toMatchObject({ active: true, cnf: { jkt: key.jkt } })
  })

  it('from the first proof on: an unbound one of a public client becomes bound by its use with a proof', async () => {
    const { body } = await world.connect('ann')
    const next = await refresh(body.refresh_token, await key.proof('POST', tokenUrl()))
    expect(next.body.token_type).toBe('DPoP')
    expect((await refresh(next.body.refresh_token, undefined)).body.error).toBe('invalid_grant')
  })

  it("a confidential client's are not, as it proves itself anyway; each access token has the key of its own request", async () => {
    const { body } = await connect({ client_id: 'web' })
    const web = basic('web', secrets.confidential)
    const next = await refresh(body.refresh_token, await other.proof('POST', tokenUrl()), {}, web)
    expect(await world.introspect(next.body.access_token)).toMatchObject({ cnf: { jkt: other.jkt } })
    // A repeat with another key must not hand out the token of the first.
    const repeated = await refresh(body.refresh_token, await key.proof('POST', tokenUrl()), {}, web)
    expect(repeated.body.refresh_token).toBe(next.body.refresh_token)
    expect(await world.introspect(repeated.body.access_token)).toMatchObject({ cnf: { jkt: key.jkt } })
    expect((await refresh(body.refresh_token, undefined, {}, web)).body.token_type).toBe('Bearer')
  })
})

describe('RFC 9449 §7: the MCP endpoint', () => {
  it('lets a bound token pass with a proof of its key for this very request', async () => {
    const { body } = await connect()
    expect((await call(body.access_token, await key.proof('POST', mcpUrl(), body.access_token))).status).toBe(200)
    // BC-5: neither token nor proof reaches the runtime.
    expect(world.reached()).not.toHaveProperty('dpop')
    expect(world.reached()).not.toHaveProperty('authorization')
    expect((await call(body.access_token, await key.proof('POST', `${mcpUrl()}/`, body.access_token), 'dpop')).status).toBe(200)
  })

  it('§7.2: a bound token as a bearer token is refused, and both challenges say the way', async () => {
    const { body } = await connect()
    const answer = await call(body.access_token, undefined, 'Bearer')
    expect([answer.status, answer.body.error]).toEqual([401, 'invalid_token'])
    const challenge = answer.headers.get('www-authenticate') ?? ''
    expect(challenge).toMatch(/^Bearer resource_metadata="[^"]+", scope="[^"]+", error="invalid_token"/)
    expect(challenge).toMatch(/, DPoP resource_metadata="[^"]+", scope="[^"]+", error="invalid_token", error_description="[^"]+", algs="ES256 [^"]+"$/)
    const withProof = await call(body.access_token, await key.proof('POST', mcpUrl(), body.access_token), 'Bearer')
    expect(withProof.status).toBe(401)
  })

  it('an unbound token gains nothing from the scheme', async () => {
    const { body } = await world.connect('ann')
    expect((await call(body.access_token, await key.proof('POST', mcpUrl(), body.access_token))).body.error).toBe('invalid_token')
  })

  it.each<[string, (token: string) => Promise<string | undefined>, string]>([
    ['no proof', async () => undefined, 'invalid_dpop_proof'],
    ['no ath', () => key.proof('POST', mcpUrl()), 'invalid_dpop_proof'],
    ['the ath of another token', () => key.proof('POST', mcpUrl(), 'another'), 'invalid_dpop_proof'],
    ['another method', (token) => key.proof('GET', mcpUrl(), token), 'invalid_dpop_proof'],
    ['another server', (token) => key.proof('POST', `${world.issuer}/other`, token), 'invalid_dpop_proof'],
    ['an old proof', (token) => key.proof('POST', mcpUrl(), token, { iat: Math.floor(Date.now() / 1000) - 360 }), 'invalid_dpop_proof'],
    ['another key', (token) => other.proof('POST', mcpUrl(), token), 'invalid_token'],
  ])('§4.3, §7.1: %s is a 401', async (_name, make, error) => {
    const { body } = await connect()
    const answer = await call(body.access_token, await make(body.access_token))
    expect([answer.status, answer.body.error]).toEqual([401, error])
    expect(answer.headers.get('www-authenticate')).toContain(`DPoP resource_metadata="${world.issuer}/.well-known/oauth-protected-resource/mcp"`)
    expect(answer.headers.get('www-authenticate')).toContain(`error="${error}"`)
  })

  it('§11.1: a proof counts once, however many come at a time', async () => {
    const { body } = await connect()
    const proof = await key.proof('POST', mcpUrl(), body.access_token)
    const answers = await Promise.all(Array.from({ length: 8 }, () => call(body.access_token, proof)))
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array(7).fill(401)])
  })

  it('what we did not issue is refused before proof or store are looked at', async () => {
    const { body } = await connect()
    const forged = `${body.access_token.slice(0, -1)}${body.access_token.endsWith('A') ? 'B' : 'A'}`
    operations.length = 0
    const answer = await call(forged, await key.proof('POST', mcpUrl(), forged))
    expect([answer.status, answer.body.error, operations]).toEqual([401, 'invalid_token', []])
  })

  it('the single use of the proof is asked beside the connection, not after it', async () => {
    const { body } = await connect()
    await call(body.access_token, await key.proof('POST', mcpUrl(), body.access_token))
    operations.length = 0
    await call(body.access_token, await key.proof('POST', mcpUrl(), body.access_token))
    expect(operations.sort()).toEqual(['compareAndSet used', 'get connection'])
  })

  it('without a token the challenge is as always', async () => {
    const answer = await world.call('/mcp', {})
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer resource_metadata="${world.issuer}/.well-known/oauth-protected-resource/mcp", scope="todos.read todos.write"`,
    )
  })

  it('browsers may send the header', async () => {
    const preflight = await fetch(mcpUrl(), {
      method: 'OPTIONS',
      headers: { origin: world.issuer, 'access-control-request-method': 'POST', 'access-control-request-headers': 'dpop' },
    })
    expect(preflight.headers.get('access-control-allow-headers')).toContain('dpop')
  })

  it('every algorithm that is announced is taken, and no other', async () => {
    const { dpop_signing_alg_values_supported: announced } = await world.get('/.well-known/oauth-authorization-server')
    for (const alg of announced as string[]) expect([alg, (await connect({}, await newProofKey(alg))).status]).toEqual([alg, 200])
    const { privateKey, publicKey } = await generateKeyPair('RS512', { extractable: true })
    const claims = { jti: 'one', htm: 'POST', htu: tokenUrl(), iat: Math.floor(Date.now() / 1000) }
    const proof = await new SignJWT(claims).setProtectedHeader({ alg: 'RS512', typ: 'dpop+jwt', jwk: await exportJWK(publicKey) }).sign(privateKey)
    expect((await world.connect('ann', {}, { dpop: proof })).body.error).toBe('invalid_dpop_proof')
  })
})
