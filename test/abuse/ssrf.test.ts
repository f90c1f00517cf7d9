import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import net, { type AddressInfo } from 'node:net'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { exportJWK, generateKeyPair, type JWTHeaderParameters, SignJWT } from 'jose'
import { type BareGateway, startBareGateway } from '../harness/bare-gateway.ts'
import { type DnsServer, startDnsServer } from '../harness/dns-server.ts'
import { answers, type HostileHost, startHostileHost } from '../harness/hostile-host.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { freePorts } from '../harness/ports.ts'
import { pkce } from '../harness/scripted-client.ts'

/** Something inside that nobody outside may reach: it counts whoever connects. */
let reached = 0
const inside = net.createServer((socket) => {
  reached++
  socket.destroy()
})
let [openPort, closedPort] = [0, 0]

let folder: string
let dns: DnsServer
let documents: HostileHost
/** As a team runs it. */
let strict: BareGateway
/** With the development switch, over the same store: what it has fetched from loopback stands in the strict one's cache. */
let open: BareGateway
let keys: Awaited<ReturnType<typeof generateKeyPair>>

beforeAll(async () => {
  await once(inside.listen(0, '::'), 'listening')
  openPort = (inside.address() as AddressInfo).port
  ;[closedPort = 0] = await freePorts(1)
  folder = await mkdtemp(join(tmpdir(), 'emcy-ssrf-'))
  ;[dns, documents, keys] = await Promise.all([startDnsServer(), startHostileHost(), generateKeyPair('ES256', { extractable: true })])
  const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: 'known' }] }
  const start = (metadataDocuments: object) =>
    startBareGateway({
      storeFile: join(folder, 'gateway.db'),
      preload: [fileURLToPath(new URL('../harness/use-dns-server.ts', import.meta.url))],
      env: { DNS_SERVER: dns.address, NODE_EXTRA_CA_CERTS: documents.caFile },
      gateway: {
        clients: {
          preregistered: [
            { clientId: 'resource-server', clientSecret: 'secret-of-the-resource-server', name: 'Resource server', introspect: true },
            { clientId: 'signer', redirectUris: [nativeRedirectUri], name: 'Signer', jwks },
          ],
          metadataDocuments,
          registration: { perSourcePerHour: 10_000, softwareStatements: { issuers: { 'https://vendor.example': { jwks } } } },
        },
        enterprise: { issuers: { 'https://idp.example': { jwks } } },
      },
    })
  ;[strict, open] = await Promise.all([start({}), start({ dangerouslyAllowPrivateAddresses: true })])
}, 60_000)
afterAll(async () => {
  await Promise.all([strict?.close(), open?.close(), documents?.close(), dns?.close(), new Promise((closed) => inside.close(closed))])
  await rm(folder, { recursive: true, force: true })
})
let aheadSeconds = 0
beforeEach(async () => {
  reached = 0
  // A minute has room for so many fetches of all clients together, and each of these tests makes hundreds.
  aheadSeconds += 61
  await Promise.all([strict, open].map((gateway) => gateway.advanceClock(61_000)))
})

interface Answer {
  status: number
  type: string | null
  text: string
}

/** One request; what tells two requests of the same kind apart by design is taken out of its answer. */
async function ask(url: string | URL, init: RequestInit = {}): Promise<Answer> {
  const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(20_000), ...init })
  const text = (await response.text()).replace(/(Reference:?\s*(<[^>]*>)*\s*)[\w-]{16}/gi, '$1')
  return { status: response.status, type: response.headers.get('content-type'), text }
}

const post = (path: string, members: Record<string, string>, headers: Record<string, string> = {}) =>
  ask(strict.issuer + path, { method: 'POST', body: new URLSearchParams(members), headers })

const request = (clientId: string) => ({
  response_type: 'code',
  client_id: clientId,
  redirect_uri: nativeRedirectUri,
  code_challenge: pkce().challenge,
  code_challenge_method: 'S256',
})

/** Everything a stranger can do that makes the gateway look a client up. */
const lookUps: Record<string, (clientId: string) => Promise<Answer>> = {
  'GET /authorize': (clientId) => ask(`${strict.issuer}/authorize?${new URLSearchParams(request(clientId))}`),
  'POST /authorize': (clientId) => post('/authorize', request(clientId)),
  'POST /par': (clientId) => post('/par', request(clientId)),
  'POST /token': (clientId) => post('/token', { grant_type: 'authorization_code', code: 'x', client_id: clientId }),
  'POST /token by Basic': (clientId) =>
    post('/token', { grant_type: 'refresh_token', refresh_token: 'x' }, { authorization: `Basic ${btoa(`${encodeURIComponent(clientId)}:secret`)}` }),
  'POST /revoke': (clientId) => post('/revoke', { token: 'x', client_id: clientId }),
  'POST /introspect': (clientId) => post('/introspect', { token: 'x', client_id: clientId }),
}

/** Spellings of addresses that are not on the public internet, this machine first. */
const literals = [
  '127.0.0.1',
  '2130706433',
  '0x7f000001',
  '0x7f.0x0.0x0.0x1',
  '0177.0.0.1',
  '017700000001',
  '127.1',
  '127.0.0.1.',
  '127.9.9.9',
  '%31%32%37.0.0.1',
  '0.0.0.0',
  '0',
  '[::1]',
  '[0:0:0:0:0:0:0:1]',
  '[::]',
  '[::ffff:127.0.0.1]',
  '[::ffff:7f00:1]',
  '[::127.0.0.1]',
  '[64:ff9b::127.0.0.1]',
  '[64:ff9b:1::7f00:1]',
  '[2002:7f00:1::]',
  'localhost',
  'LOCALHOST',
  'foo.localhost',
  '10.0.0.1',
  '172.16.0.1',
  '192.168.0.1',
  '169.254.169.254',
  '100.64.0.1',
  '198.18.0.1',
  '224.0.0.1',
  '255.255.255.255',
  '[fd00::1]',
  '[fe80::1]',
  '[fec0::1]',
  '[ff02::1]',
  '[2001:db8::1]',
  ...Object.values(networkInterfaces())
    .flatMap((each) => each ?? [])
    .filter(({ family, address }) => family === 'IPv4' && /^(10|127|172\.(1[6-9]|2\d|3[01])|192\.168)\./.test(address))
    .map(({ address }) => address),
]

describe('CR-13 CR-14: a client id that points inside', () => {
  it.each(Object.keys(lookUps))('%s: every spelling of an inner address gets the same answer, whatever is there, and nothing is reached', async (name) => {
    const lookUp = lookUps[name] as (clientId: string) => Promise<Answer>
    const ids = literals.flatMap((host) => [`https://${host}:${openPort}/client`, `https://${host}:${closedPort}/client`])
    const seen = new Map<string, string[]>()
    for (const id of [...ids, 'https://169.254.169.254/latest/meta-data/']) {
      const answer = JSON.stringify(await lookUp(id))
      seen.set(answer, [...(seen.get(answer) ?? []), id])
    }
    expect([...seen.values()]).toHaveLength(1)
    expect(reached).toBe(0)
    const [{ status, type, text }] = [...seen.keys()].map((each) => JSON.parse(each) as Answer) as [Answer]
    if (name.includes('authorize')) expect([status, type]).toEqual([400, 'text/html; charset=utf-8'])
    else expect([status, type, JSON.parse(text).error]).toEqual([401, 'application/json', 'invalid_client'])
    expect(text).toContain('cannot be fetched from here')
    expect(text.replaceAll(new URL(strict.issuer).host, '')).not.toMatch(/ECONN|EHOST|ENOTFOUND|ETIMEDOUT|getaddrinfo|127\.0|refused_|public address/)
  })

  it.each(Object.keys(lookUps))('%s: a name of the inside looks like one that does not exist', async (name) => {
    const lookUp = lookUps[name] as (clientId: string) => Promise<Answer>
    const inner = ['127.0.0.1', '10.1.2.3', '169.254.169.254', '::1', 'fd00::1', '0:0:0:0:0:ffff:7f00:1', '64:ff9b:0:0:0:0:7f00:1']
    const names = inner.map((_, index) => `inside-${index}.test`)
    for (const [index, address] of inner.entries()) dns.set(`inside-${index}.test`, [address])
    dns.set('mixed.test', ['8.8.8.8', '127.0.0.1'])
    dns.set('mixed-6.test', ['2606:4700:4700::1111', '127.0.0.1'])
    dns.set('empty.test', [])
    const ids = ['absent.test', 'empty.test', 'mixed.test', 'mixed-6.test', ...names, 'inside-0.test.'].flatMap((host) => [
      `https://${host}:${openPort}/client`,
      `https://${host}:${closedPort}/client`,
    ])
    const seen = new Set<string>()
    for (const id of ids) seen.add(JSON.stringify(await lookUp(id)))
    expect([...seen]).toHaveLength(1)
    expect(reached).toBe(0)
    const answer = JSON.parse([...seen][0] as string) as Answer
    expect(answer.status).toBe(503)
    if (!name.includes('authorize')) expect(JSON.parse(answer.text).error).toBe('temporarily_unavailable')
  })

  it('a name is resolved once for each fetch: one that changes in between is what it was when it was checked', async () => {
    // Never given to anybody, so that nobody is bothered; the second answer is where an attacker wants to get.
    dns.set('rebound.test', ['3ffe::1'], ['127.0.0.1'])
    const id = `https://rebound.test:${openPort}/client`
    const lookUp = lookUps['GET /authorize'] as (clientId: string) => Promise<Answer>
    const first = await lookUp(id)
    expect(
      dns.asked
        .filter(({ name }) => name === 'rebound.test')
        .map(({ family }) => family)
        .sort(),
    ).toEqual([4, 6])
    const second = await lookUp(id)
    expect([first.status, second]).toEqual([503, first])
    expect(reached).toBe(0)
  }, 30_000)

  it('is reached when a team says so: the same request with the development switch', async () => {
    for (const host of ['127.0.0.1', '2130706433', 'localhost', '[::1]']) {
      const before = reached
      await ask(`${open.issuer}/authorize?${new URLSearchParams(request(`https://${host}:${openPort}/client`))}`)
      expect([host, reached > before]).toEqual([host, true])
    }
  })
})

/** A JWT of a stranger, or with another header than the one that is wanted. */
async function jwt(claims: object, header: Partial<JWTHeaderParameters> & Record<string, unknown> = {}): Promise<string> {
  return new SignJWT({ jti: Math.random().toString(36), ...claims })
    .setProtectedHeader({ alg: 'ES256', kid: 'unknown', ...header } as JWTHeaderParameters)
    .setIssuedAt(Math.floor(Date.now() / 1000) + aheadSeconds)
    .setExpirationTime(Math.floor(Date.now() / 1000) + aheadSeconds + 60)
    .sign(keys.privateKey)
}

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'

async function register(members: object): Promise<{ status: number; body: Record<string, string> }> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...nativeClientMetadata, ...members }) }
  const response = await fetch(`${strict.issuer}/register`, init)
  return { status: response.status, body: (await response.json()) as Record<string, string> }
}

describe('CR-13: what a client names besides itself', () => {
  it('the jwks_uri of a registered client: inner addresses and names answer alike, and nothing is reached', async () => {
    dns.set('keys.test', ['127.0.0.1'])
    const answerFor = async (jwksUri: string) => {
      const { status, body } = await register({ token_endpoint_auth_method: 'private_key_jwt', jwks_uri: jwksUri })
      expect(status).toBe(201)
      const clientId = body.client_id as string
      const assertion = await jwt({ iss: clientId, sub: clientId, aud: strict.issuer })
      return post('/token', { grant_type: 'authorization_code', code: 'x', client_assertion_type: assertionType, client_assertion: assertion })
    }
    const byAddress = new Set<string>()
    for (const host of literals) for (const port of [openPort, closedPort]) byAddress.add(JSON.stringify(await answerFor(`https://${host}:${port}/keys`)))
    expect([...byAddress].map((each) => (JSON.parse(each) as Answer).status)).toEqual([401])
    const byName = new Set<string>()
    for (const host of ['keys.test', 'absent.test', 'mixed.test']) byName.add(JSON.stringify(await answerFor(`https://${host}:${openPort}/keys`)))
    expect([...byName].map((each) => (JSON.parse(each) as Answer).status)).toEqual([503])
    expect(reached).toBe(0)
  }, 60_000)

  it('schemes other than https, user information and rubbish never make a jwks_uri', async () => {
    for (const jwksUri of [
      `http://127.0.0.1:${openPort}/`,
      'file:///etc/passwd',
      'ftp://127.0.0.1/',
      'gopher://127.0.0.1/_',
      'data:application/json,{}',
      '//127.0.0.1/',
      'x',
    ]) {
      const { status, body } = await register({ token_endpoint_auth_method: 'private_key_jwt', jwks_uri: jwksUri })
      expect([jwksUri, status, body.error]).toEqual([jwksUri, 400, 'invalid_client_metadata'])
    }
    const { body } = await register({ token_endpoint_auth_method: 'private_key_jwt', jwks_uri: `https://user:pass@127.0.0.1:${openPort}/` })
    const assertion = await jwt({ iss: body.client_id, sub: body.client_id, aud: strict.issuer })
    const answer = await post('/token', { grant_type: 'refresh_token', client_assertion_type: assertionType, client_assertion: assertion })
    expect([answer.status, reached]).toEqual([401, 0])
  })

  it('no other member of a registration is fetched, and no URL in a request', async () => {
    const url = `https://127.0.0.1:${openPort}/x`
    const members = ['client_uri', 'logo_uri', 'policy_uri', 'tos_uri', 'sector_identifier_uri', 'initiate_login_uri', 'backchannel_logout_uri', 'request_uris']
    const { status, body } = await register({
      ...Object.fromEntries(members.map((name) => [name, name === 'request_uris' ? [url] : url])),
      redirect_uris: [url],
    })
    expect(status).toBe(201)
    const asked = { ...request(body.client_id as string), redirect_uri: url }
    for (const extra of [{ request_uri: url }, { resource: url }, { request: 'x.y.z' }, { id_token_hint: url }, { iss: url }, {}])
      await ask(`${strict.issuer}/authorize?${new URLSearchParams({ ...asked, ...extra })}`)
    await ask(`${strict.issuer}/callback?${new URLSearchParams({ state: 'x', code: 'x', iss: url })}`, { headers: { cookie: 'a=b' } })
    for (const header of ['host', 'x-forwarded-host', 'forwarded', 'origin', 'referer'])
      await ask(`${strict.issuer}/.well-known/oauth-authorization-server`, { headers: { [header]: url } }).catch(() => {})
    expect(reached).toBe(0)
  })

  it('nothing that a JWT points at is fetched: jku, x5u, an embedded key, a foreign iss', async () => {
    const url = `https://127.0.0.1:${openPort}/keys`
    const pointing = { jku: url, x5u: url, jwk: await exportJWK(keys.publicKey) }
    const client = { iss: 'signer', sub: 'signer', aud: strict.issuer }
    const clientAssertion = (assertion: string) => ({ client_assertion_type: assertionType, client_assertion: assertion })
    const stranger = await post('/token', { grant_type: 'refresh_token', refresh_token: 'x', ...clientAssertion(await jwt(client, pointing)) })
    // The kid is not among the client's keys, whatever the header brings along.
    expect([stranger.status, JSON.parse(stranger.text).error]).toEqual([401, 'invalid_client'])
    const known = await jwt(client, { ...pointing, kid: 'known' })
    const grant = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
    for (const iss of [url, 'https://idp.example']) {
      const assertion = await jwt({ iss, sub: 'ann', aud: strict.issuer, client_id: 'signer' }, { ...pointing, typ: 'oauth-id-jag+jwt' })
      const answer = await post('/token', { grant_type: grant, assertion, ...clientAssertion(iss === url ? known : await jwt(client, { kid: 'known' })) })
      expect([iss, answer.status, JSON.parse(answer.text).error]).toEqual([iss, 400, 'invalid_grant'])
    }
    for (const iss of [url, 'https://vendor.example']) {
      const { status, body } = await register({ software_statement: await jwt({ iss }, pointing) })
      expect([status, body.error]).toEqual([400, iss === url ? 'unapproved_software_statement' : 'invalid_software_statement'])
    }
    const proof = await jwt({ htm: 'POST', htu: `${strict.issuer}/token` }, { ...pointing, typ: 'dpop+jwt' })
    await post('/token', { grant_type: 'refresh_token', refresh_token: 'x', ...clientAssertion(await jwt(client, { kid: 'known' })) }, { dpop: proof })
    expect(reached).toBe(0)
  })

  it('CR-16: the logo and the keys of a document that was fetched are held to the same', async () => {
    const page = async (gateway: BareGateway, id: string) => {
      const response = await fetch(`${gateway.issuer}/authorize?${new URLSearchParams(request(id))}`, { redirect: 'manual' })
      const cookie = response.headers
        .getSetCookie()
        .map((line) => line.split(';', 1)[0])
        .join('; ')
      return { location: response.headers.get('location') ?? '', cookie }
    }
    const publish = (path: string, members: object) => {
      const id = documents.origin + path
      const body = JSON.stringify({ client_id: id, ...nativeClientMetadata, ...members })
      return documents.on(path, answers('200 OK', { 'content-type': 'application/json', 'cache-control': 'max-age=86400' }, body))
    }
    const logo = async (gateway: BareGateway, id: string) => {
      const { location, cookie } = await page(gateway, id)
      const { search } = new URL(location)
      return (await fetch(`${gateway.issuer}/client-logo${search}`, { headers: { cookie } })).status
    }
    dns.set('logo.test', ['127.0.0.1'])
    for (const host of ['127.0.0.1', '[::1]', 'logo.test', '2130706433']) {
      const id = publish(`/logo-${host.length}`, { client_name: 'Logo', logo_uri: `https://${host}:${openPort}/logo.png` })
      // The first fetches the document, from loopback; the second has it from the store they share.
      await page(open, id)
      expect([host, await logo(strict, id), reached]).toEqual([host, 404, 0])
    }
    const withKeys = publish('/keys', { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: `https://127.0.0.1:${openPort}/keys` })
    await page(open, withKeys)
    const assertion = await jwt({ iss: withKeys, sub: withKeys, aud: strict.issuer })
    const answer = await post('/token', { grant_type: 'refresh_token', client_assertion_type: assertionType, client_assertion: assertion })
    expect([answer.status, reached]).toEqual([401, 0])
    const control = publish('/control', { client_name: 'Logo', logo_uri: `https://127.0.0.1:${openPort}/other.png` })
    expect([await logo(open, control), reached]).toEqual([404, 1])
  })
})

describe('what the operator sees, and strangers do not', () => {
  it('the log says which address was refused', () => {
    const reasons = strict.events().map(({ reason }) => String(reason))
    expect(reasons.some((reason) => reason.includes('not a public address'))).toBe(true)
    expect(reasons.some((reason) => /resolves to .*127\.0\.0\.1/.test(reason))).toBe(true)
  })
})
