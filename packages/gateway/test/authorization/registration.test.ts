import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { SignJWT } from 'jose'
import { subjectKey } from '../../src/connections/connection.ts'
import { checkAccessToken, connectionsOf } from '../../src/connections/connections.ts'
import { recordKey } from '../../src/store/schema.ts'
import { Browser, clientRedirect } from './browser.ts'
import { clientsConfig, connect, startWorld, type World } from './world.ts'

type Json = Record<string, unknown>

const body = { redirect_uris: [clientRedirect], token_endpoint_auth_method: 'none', client_name: 'Installed', scope: 'todos.read' }

/** One request of a client to the registration endpoint, or to its own registration. */
async function ask(url: string, method: string, options: { json?: Json; token?: unknown } = {}): Promise<{ status: number; headers: Headers; body: Json }> {
  const answer = await fetch(url, {
    method,
    headers: { 'content-type': 'application/json', ...(options.token === undefined ? {} : { authorization: `Bearer ${options.token}` }) },
    ...(options.json && { body: JSON.stringify(options.json) }),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text === '' ? {} : JSON.parse(text) }
}

describe('RFC 7592 management of a registration', () => {
  let world: World
  beforeAll(async () => {
    world = await startWorld()
  })
  afterAll(() => world.close())

  const register = async (members: Json = {}) => (await ask(`${world.issuer}/register`, 'POST', { json: { ...body, ...members } })).body
  const own = (client: Json) => String(client.registration_client_uri)

  it('§2.1: its holder reads it as it was registered, a secret excepted, of which only the hash is kept', async () => {
    const client = await register({ token_endpoint_auth_method: 'client_secret_basic' })
    const { client_secret, ...rest } = client
    expect(client_secret).toEqual(expect.any(String))
    const read = await ask(own(client), 'GET', { token: client.registration_access_token })
    expect([read.status, read.body]).toEqual([200, rest])
    expect(read.headers.get('cache-control')).toBe('no-store')
    const stored = await world.deps.store.get(recordKey('client', String(client.client_id)))
    expect(stored).not.toContain(String(client.registration_access_token))
    expect(stored).not.toContain(String(client_secret))
  })

  it('§2: another token, none, and that of a client that is gone are refused alike', async () => {
    const [client, other] = [await register(), await register()]
    for (const method of ['GET', 'PUT', 'DELETE']) {
      for (const token of [undefined, 'x', other.registration_access_token]) {
        const answer = await ask(own(client), method, { token, ...(method === 'PUT' && { json: { ...body, client_id: client.client_id } }) })
        expect([answer.status, answer.body.error]).toEqual([401, 'invalid_token'])
        expect(answer.headers.get('www-authenticate')).toMatch(/^Bearer/)
      }
    }
    const gone = own(client).replace(/dcr_.*/, 'dcr_nobody')
    expect((await ask(gone, 'GET', { token: client.registration_access_token })).status).toBe(401)
    expect((await ask(`${world.issuer}/register`, 'GET', { token: 'x' })).status).toBe(400)
  })

  it('§2.2: it is replaced as a whole; what the server says, and another id or secret, is refused', async () => {
    const client = await register({ client_uri: 'https://app.example' })
    const token = client.registration_access_token
    const put = (json: Json) => ask(own(client), 'PUT', { token, json })
    const changed = await put({ ...body, client_id: client.client_id, client_name: 'Renamed', redirect_uris: ['https://app.example/cb'] })
    expect(changed.status).toBe(200)
    expect(changed.body).toMatchObject({ client_id: client.client_id, client_name: 'Renamed', redirect_uris: ['https://app.example/cb'] })
    expect(changed.body).not.toHaveProperty('client_uri')
    expect((await ask(own(client), 'GET', { token })).body).toEqual(changed.body)
    for (const members of [
      { client_id: 'another' },
      { client_id: undefined },
      { registration_access_token: token },
      { registration_client_uri: own(client) },
      { client_id_issued_at: 1 },
      { client_secret_expires_at: 0 },
      { client_secret: 'a guess' },
      { redirect_uris: ['http://app.example/cb'] },
    ]) {
      const refused = await put({ ...body, client_id: client.client_id, ...members })
      expect([refused.status, String(refused.body.error)]).toEqual([400, expect.stringMatching(/^invalid_(client_metadata|redirect_uri)$/)])
    }
  })

  it('§2.2: a client gets a secret when it first needs one, and keeps it from then on', async () => {
    const client = await register()
    const put = (json: Json) => ask(own(client), 'PUT', { token: client.registration_access_token, json: { ...body, client_id: client.client_id, ...json } })
    const { client_secret } = (await put({ token_endpoint_auth_method: 'client_secret_post' })).body
    expect(client_secret).toEqual(expect.any(String))
    const kept = (await put({ token_endpoint_auth_method: 'client_secret_basic', client_secret })).body
    expect(kept).not.toHaveProperty('client_secret')
    const answer = await world.post('/revoke', { client_id: String(client.client_id), client_secret: String(client_secret), token: 'x' })
    expect(answer.status).toBe(200)
    const { body: open } = await put({})
    expect(open).toMatchObject({ token_endpoint_auth_method: 'none' })
    expect(open).not.toHaveProperty('client_secret_expires_at')
  })

  it('AZ-13: what a user approved is asked again when the client has changed its name', async () => {
    const client = await register()
    const members = { client_id: String(client.client_id) }
    const browser = new Browser()
    await browser.authorize(world.authorizeUrl(members), 'ann')
    expect((await browser.open(world.authorizeUrl(members))).toClient).toBeDefined()
    const json = { ...body, client_id: client.client_id, client_name: 'Claude' }
    expect((await ask(own(client), 'PUT', { token: client.registration_access_token, json })).status).toBe(200)
    const asked = await browser.open(world.authorizeUrl(members))
    expect([asked.url.pathname, asked.text.includes('Claude')]).toEqual(['/consent', true])
  })

  it('§2.3: deleted, it is known no more, and its connections end with it', async () => {
    const client = await register()
    const clientId = String(client.client_id)
    const tokens = await connect(world, new Browser(), 'dora', { client_id: clientId })
    const other = await connect(world, new Browser(), 'dora')
    expect((await ask(own(client), 'DELETE', { token: client.registration_access_token })).status).toBe(204)
    expect((await world.token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token, client_id: clientId })).body.error).toBe('invalid_client')
    expect((await ask(own(client), 'GET', { token: client.registration_access_token })).status).toBe(401)
    // The look through all connections runs beside the answer: the test's own time-out ends a wait in vain.
    const subject = subjectKey({ issuer: world.provider.issuer, sub: 'dora' })
    const left = async () => (await connectionsOf(world.deps, subject)).map((connection) => connection.clientId)
    while ((await left()).length > 1) await new Promise(setImmediate)
    expect(await left()).toEqual(['cli'])
    expect(await checkAccessToken(world.deps, String(tokens.access_token), 'mcp').catch((error) => error.code)).toBe('invalid_token')
    expect((await checkAccessToken(world.deps, String(other.access_token), 'mcp')).connection.clientId).toBe('cli')
  })
})

describe('RFC 7591 software statements', () => {
  const issuer = 'https://statements.example'
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const stranger = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwks = { keys: [pair.publicKey.export({ format: 'jwk' }) as never] }
  let world: World
  const start = async (required: boolean) => {
    const registration = clientsConfig().registration
    if (registration === false) throw new Error('registration is on in these tests')
    world = await startWorld({
      config: { clients: clientsConfig({ registration: { ...registration, softwareStatements: { issuers: { [issuer]: { jwks } }, required } } }) },
    })
  }
  beforeAll(() => start(false))
  afterAll(() => world.close())

  const statement = (claims: Json, options: { iss?: string; key?: KeyObject; exp?: string } = {}) =>
    new SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(options.iss ?? issuer)
      .setIssuedAt()
      .setExpirationTime(options.exp ?? '1h')
      .sign(options.key ?? pair.privateKey)
  const register = (members: Json) => ask(`${world.issuer}/register`, 'POST', { json: { ...body, ...members } })

  it('§3.1.1: what a trusted statement says counts more than what the client says; it comes back unchanged', async () => {
    const software_statement = await statement({ client_name: 'Stated', redirect_uris: ['https://stated.example/cb'], software_id: 'x' })
    const { status, body: client } = await register({ software_statement, client_name: 'Claimed' })
    expect(status).toBe(201)
    expect(client).toMatchObject({ client_name: 'Stated', redirect_uris: ['https://stated.example/cb'], software_statement })
    expect((await ask(String(client.registration_client_uri), 'GET', { token: client.registration_access_token })).body).toMatchObject({ software_statement })
  })

  it('CR-20: unapproved of a stranger, invalid when it does not hold, and what it says is checked too', async () => {
    const cases: [string, unknown][] = [
      ['unapproved_software_statement', await statement({}, { iss: 'https://stranger.example' })],
      ['unapproved_software_statement', await statement({}, { iss: 'constructor' })],
      ['invalid_software_statement', await statement({}, { key: stranger.privateKey })],
      ['invalid_software_statement', await statement({}, { exp: '-1h' })],
      [
        'invalid_software_statement',
        `${Buffer.from('{"alg":"none"}').toString('base64url')}.${Buffer.from(JSON.stringify({ iss: issuer })).toString('base64url')}.`,
      ],
      ['invalid_software_statement', 'no JWT'],
      ['invalid_software_statement', 7],
      ['invalid_redirect_uri', await statement({ redirect_uris: ['http://stated.example/cb'] })],
    ]
    for (const [error, software_statement] of cases) {
      const answer = await register({ software_statement })
      expect([answer.status, answer.body.error]).toEqual([400, error])
      expect(answer.body.error_description).toMatch(/./)
    }
  })

  it('§3.2.2: where one is required nobody registers without', async () => {
    await world.close()
    await start(true)
    expect((await register({})).body).toMatchObject({ error: 'invalid_software_statement', error_description: expect.stringContaining('needs') })
    expect((await register({ software_statement: await statement({}) })).status).toBe(201)
  })
})
