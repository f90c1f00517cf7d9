import { afterEach, beforeEach, describe, expect, it } from '@jest/globals'
import { documentUrlProblem, isDocumentId, trustInHost } from '../../src/clients/document-url.ts'
import { findClient } from '../../src/clients/find-client.ts'
import { freshnessMs } from '../../src/clients/freshness.ts'
import { judgeDocument } from '../../src/clients/metadata-document.ts'
import { refusal, testDeps } from './deps.ts'
import { type DocumentHost, documentHost } from './document-host.ts'

const url = 'https://client.example/metadata.json'
const valid = { client_id: url, client_name: 'A client', redirect_uris: ['https://client.example/cb'] }
const judge = (document: unknown, status = 200) =>
  judgeDocument(url, { status, body: Buffer.from(typeof document === 'string' ? document : JSON.stringify(document)) })
const refused = (description: string) => expect.objectContaining({ code: 'invalid_client', description: expect.stringContaining(description) })

describe('CR-5 the URL, on the raw string', () => {
  it.each([
    'https://a.example/client.json',
    'https://a.example:8443/c',
    'https://a.example/c?v=1',
    'https://a.example/..a/b..',
    'https://a.example/',
    'http://127.0.0.1:1/c',
  ])('takes %s', (id) => {
    expect(documentUrlProblem(id)).toBeUndefined()
  })

  it.each([
    ['https://a.example', 'no path'],
    ['https://a.example?x', 'no path'],
    ['https://a.example/c#', 'fragment'],
    ['https://a.example/c#x', 'fragment'],
    ['https://u@a.example/c', 'user information'],
    ['https://u:p@a.example/c', 'user information'],
    ['https://a.example/./c', 'dot segment'],
    ['https://a.example/x/../c', 'dot segment'],
    ['https://a.example/..', 'dot segment'],
    ['https://a.example/%2e%2E/c', 'dot segment'],
    ['https://a.example/.%2e/c', 'dot segment'],
    ['https://a.example/x\\..\\c', 'RFC 3986'],
    ['https://a.example/\tc', 'RFC 3986'],
    ['http://a.example/c', 'loopback'],
    ['https:///c', 'not an https URL'],
    ['https:/a.example/c', 'not an https URL'],
    ['https://a.example:99999/c', 'not a URL'],
    [`https://a.example/${'x'.repeat(2048)}`, 'longer'],
  ])('refuses %s', (id, why) => {
    expect(documentUrlProblem(id)).toContain(why)
  })

  it('takes http for a document only with the development switch', () => {
    expect(isDocumentId('http://127.0.0.1/c', { dangerouslyAllowPrivateAddresses: false })).toBe(false)
    expect(isDocumentId('http://127.0.0.1/c', { dangerouslyAllowPrivateAddresses: true })).toBe(true)
    expect(isDocumentId('https://a.example/c', { dangerouslyAllowPrivateAddresses: false })).toBe(true)
    expect(isDocumentId('dcr_x', { dangerouslyAllowPrivateAddresses: true })).toBe(false)
  })
})

describe('CR-17 the domain policy', () => {
  it.each([
    ['a.example', [], [], [], 'allow'],
    ['a.example', ['a.example'], [], [], 'allow'],
    ['b.a.example', ['a.example'], [], [], 'deny'],
    ['b.a.example', ['*.a.example'], [], [], 'allow'],
    ['a.example', ['*.a.example'], [], [], 'deny'],
    ['xa.example', ['*.a.example'], [], [], 'deny'],
    ['A.EXAMPLE.', [], [], ['a.example'], 'deny'],
    ['b.a.example', ['*.a.example'], [], ['b.a.example'], 'deny'],
    ['a.example', [], ['*'], [], 'ask'],
    ['a.example', ['a.example'], ['*'], [], 'allow'],
    ['b.example', ['a.example'], ['*'], [], 'ask'],
    ['c.example', ['a.example'], ['b.example'], [], 'deny'],
    ['c.example', [], ['b.example'], [], 'allow'],
    ['a.example', [], ['*'], ['*.example'], 'deny'],
  ])('%s, allow %j, ask %j, deny %j: %s', (host, allow, ask, deny, trust) => {
    expect(trustInHost(host, { allow, ask, deny })).toBe(trust)
  })
})

describe('the document', () => {
  it('CR-8 makes a public client', () => {
    expect(judge({ ...valid, client_uri: 'https://client.example', scope: 'a', software_id: 'x' })).toEqual({
      clientId: url,
      trust: 'document',
      name: 'A client',
      redirectUris: ['https://client.example/cb'],
      authMethods: ['none'],
      uri: 'https://client.example',
      metadataHash: expect.stringMatching(/^[\w-]{43}$/),
    })
  })

  it.each(['https://client.example:443/metadata.json', 'https://CLIENT.example/metadata.json', `${url}/`, `${url}?`, '', undefined, [url]])(
    'CR-7 refuses a client_id that is another string: %j',
    (client_id) => {
      expect(() => judge({ ...valid, client_id })).toThrow(refused('client_id is not its own URL'))
    },
  )

  it.each([
    [{ client_name: undefined }, 'client_name'],
    [{ client_name: ' ' }, 'client_name'],
    [{ client_name: 7 }, 'client_name'],
    [{ redirect_uris: undefined }, 'redirect_uris'],
    [{ redirect_uris: [] }, 'redirect_uris'],
    [{ redirect_uris: 'https://client.example/cb' }, 'redirect_uris'],
    [{ redirect_uris: [7] }, 'redirect_uris'],
    [{ redirect_uris: ['cursor://cb'] }, 'redirect_uris'],
    [{ redirect_uris: Array.from({ length: 31 }, (_, index) => `https://client.example/${index}`) }, 'redirect_uris'],
    [{ grant_types: ['client_credentials'] }, 'authorization_code'],
    [{ response_types: ['token'] }, 'code'],
    [{ token_endpoint_auth_method: 'tls_client_auth' }, 'token_endpoint_auth_method'],
  ])('CR-8 refuses %j', (members, why) => {
    expect(() => judge({ ...valid, ...members })).toThrow(refused(why))
  })

  it.each(['', '{', '[]', 'null', '"x"', '<html>'])('CR-8 refuses what is not a JSON object: %j', (text) => {
    expect(() => judge(text)).toThrow(refused('JSON object'))
  })

  it('CR-8 refuses what is not UTF-8', () => {
    expect(() => judgeDocument(url, { status: 200, body: Buffer.from([0x7b, 0xff, 0x7d]) })).toThrow(refused('UTF-8'))
  })

  it.each([
    { client_secret: 'x' },
    { client_secret: null },
    { client_secret_expires_at: 0 },
    { token_endpoint_auth_method: 'client_secret_basic' },
    { token_endpoint_auth_method: 'client_secret_post' },
    { token_endpoint_auth_method: 'client_secret_jwt' },
    { jwks: { keys: [{ kty: 'EC', d: 'x' }] } },
    { jwks: { keys: [{ kty: 'oct', k: 'x' }] } },
  ])('CR-9 refuses a shared secret or a private key: %j', (members) => {
    expect(() => judge({ ...valid, ...members })).toThrow(refused('refused'))
  })

  it.each([['client_secret_basic'], ['client_secret_jwt']])('CR-9 refuses a document that names %s beside others', (method) => {
    expect(() => judge({ ...valid, token_endpoint_auth_methods_supported: ['none', method] })).toThrow(refused('shared secret'))
  })

  it('CR-10 takes a client with its key or without, where its document allows both, as that of ChatGPT does', () => {
    const members = {
      ...valid,
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
      token_endpoint_auth_signing_alg: 'RS256',
      jwks_uri: 'https://client.example/jwks',
    }
    expect(judge(members).authMethods).toEqual(['private_key_jwt', 'none'])
    // Without keys there is nothing to prove itself with.
    expect(judge({ ...valid, token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'] }).authMethods).toEqual(['none'])
    expect(judge({ ...members, token_endpoint_auth_methods_supported: ['private_key_jwt', 'tls_client_auth'] }).authMethods).toEqual(['private_key_jwt'])
  })

  it('CR-10 makes a confidential client of one that declares private_key_jwt', () => {
    const jwks = { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }] }
    expect(judge({ ...valid, token_endpoint_auth_method: 'private_key_jwt', jwks })).toMatchObject({ authMethods: ['private_key_jwt'], jwks })
    const jwks_uri = 'https://client.example/jwks'
    expect(judge({ ...valid, token_endpoint_auth_method: 'private_key_jwt', jwks_uri })).toMatchObject({ authMethods: ['private_key_jwt'], jwksUri: jwks_uri })
    for (const members of [{}, { jwks, jwks_uri }, { jwks_uri: 'http://client.example/jwks' }]) {
      expect(() => judge({ ...valid, token_endpoint_auth_method: 'private_key_jwt', ...members })).toThrow(refused('jwks'))
    }
  })

  it.each([201, 204, 206, 301, 302, 303, 304, 307, 308, 400, 401, 403, 404, 410])('CR-12 refuses status %d', (status) => {
    expect(() => judge(valid, status)).toThrow(refused(`status ${status}`))
  })

  it('drops redirect URIs that could not be used, and letters that hide', () => {
    const client = judge({ ...valid, client_name: 'Cla\u202eude\n\u200b  X', redirect_uris: ['cursor://cb', 'http://127.0.0.1/cb'] })
    expect(client.redirectUris).toEqual(['http://127.0.0.1/cb'])
    expect(client.name).toBe('Claude X')
  })

  it('CR-18 AZ-13 has another hash when name, redirects or keys change, and only then', () => {
    const { metadataHash } = judge(valid)
    expect(judge({ ...valid, software_version: '2' }).metadataHash).toBe(metadataHash)
    const changed = [
      { client_name: 'B' },
      { redirect_uris: ['https://client.example/other'] },
      { client_uri: 'https://b.example' },
      { jwks_uri: 'https://b.example/k' },
    ]
    expect(new Set(changed.map((members) => judge({ ...valid, ...members }).metadataHash)).add(metadataHash).size).toBe(5)
  })
})

describe('CR-11 freshness', () => {
  const now = Date.UTC(2026, 0, 1)
  it.each([
    [{}, 300],
    [{ 'cache-control': 'max-age=3600' }, 3600],
    [{ 'cache-control': 'public, max-age="600"', age: '100' }, 500],
    [{ 'cache-control': 'max-age=10, s-maxage=700' }, 700],
    [{ 'cache-control': 'no-store' }, 60],
    [{ 'cache-control': 'No-Cache, max-age=3600' }, 60],
    [{ 'cache-control': 'max-age=1' }, 60],
    [{ 'cache-control': 'max-age=9999999999' }, 86_400],
    [{ expires: new Date(now + 7_200_000).toUTCString() }, 7200],
    [{ expires: new Date(now + 7_200_000).toUTCString(), date: new Date(now + 3_600_000).toUTCString() }, 3600],
    [{ expires: '0' }, 60],
  ])('%j is %d seconds', (headers, seconds) => {
    expect(freshnessMs(new Headers(headers as Record<string, string>), now)).toBe(seconds * 1000)
  })
})

describe('findClient with a document', () => {
  let host: DocumentHost
  beforeEach(async () => {
    host = await documentHost()
  })
  afterEach(() => host.close())

  it('CR-1 CR-6 fetches the document when its URL arrives as client_id', async () => {
    const deps = testDeps()
    const id = host.publish('/client.json')
    expect(await findClient(deps, id)).toMatchObject({ clientId: id, trust: 'document', redirectUris: ['http://127.0.0.1/callback'] })
    expect(host.asked).toEqual(['/client.json'])
  })

  it('CR-13 CR-16 fetches nothing that the document points at', async () => {
    const members = { logo_uri: `${host.origin}/logo`, client_uri: `${host.origin}/home`, policy_uri: `${host.origin}/policy`, tos_uri: `${host.origin}/tos` }
    await findClient(testDeps(), host.publish('/client.json', members))
    expect(host.asked).toEqual(['/client.json'])
  })

  it('CR-11 keeps it as long as the headers say, then looks again', async () => {
    const deps = testDeps()
    const id = host.publish('/client.json', {}, { 'cache-control': 'max-age=600' })
    await findClient(deps, id)
    deps.pass(599_000)
    host.publish('/client.json', { client_name: 'Renamed' })
    expect((await findClient(deps, id)).name).toBe('A client')
    deps.pass(1_001)
    expect((await findClient(deps, id)).name).toBe('Renamed')
    expect(host.asked).toHaveLength(2)
  })

  it('CR-11 never caches a failure', async () => {
    const deps = testDeps()
    const id = `${host.origin}/client.json`
    host.answers.set('/client.json', { status: 404, headers: { 'cache-control': 'max-age=3600' }, body: {} })
    expect(await refusal(findClient(deps, id))).toMatchObject({ code: 'invalid_client' })
    host.answers.set('/client.json', { headers: { 'cache-control': 'max-age=3600' }, body: '{' })
    expect(await refusal(findClient(deps, id))).toMatchObject({ code: 'invalid_client' })
    host.publish('/client.json')
    expect((await findClient(deps, id)).clientId).toBe(id)
  })

  it('fetches once for all who ask at the same time', async () => {
    const deps = testDeps()
    const id = host.publish('/client.json')
    await Promise.all(Array.from({ length: 20 }, () => findClient(deps, id)))
    expect(host.asked).toHaveLength(1)
  })

  it('CR-12 follows no redirect', async () => {
    const target = host.publish('/client.json')
    host.answers.set('/moved', { status: 302, headers: { location: target }, body: {} })
    expect(await refusal(findClient(testDeps(), `${host.origin}/moved`))).toMatchObject({ code: 'invalid_client', description: expect.stringContaining('302') })
    expect(host.asked).toEqual(['/moved'])
  })

  it('CR-13 reaches no private address without the development switch, also by https', async () => {
    const strict = { metadataDocuments: { allow: [], ask: [], deny: [], dangerouslyAllowPrivateAddresses: false } }
    for (const id of [`https://127.0.0.1:${host.port}/client.json`, `https://localhost:${host.port}/client.json`, host.publish('/client.json')]) {
      expect(await refusal(findClient(testDeps(strict), id))).toMatchObject({ code: 'invalid_client' })
    }
    expect(host.asked).toEqual([])
  })

  it('CR-15 stops at 5 KB', async () => {
    const id = host.publish('/client.json', { padding: 'x'.repeat(5 * 1024) })
    expect((await refusal(findClient(testDeps(), id))).description).toContain('larger than 5120 bytes')
  })

  it('CR-15 bounds the fetches that anyone can cause', async () => {
    const deps = testDeps()
    for (let attempt = 0; attempt < 60; attempt++) await refusal(findClient(deps, `${host.origin}/${attempt}`))
    const id = host.publish('/client.json')
    expect((await refusal(findClient(deps, id))).description).toContain('right now')
    expect(host.asked).toHaveLength(60)
    deps.pass(60_001)
    expect((await findClient(deps, id)).clientId).toBe(id)
  })

  it('uses the last copy for a day while the host is down, not when the document is gone', async () => {
    const deps = testDeps()
    const id = host.publish('/client.json')
    await findClient(deps, id)
    host.answers.set('/client.json', { status: 503, body: {} })
    deps.pass(3_600_000)
    expect((await findClient(deps, id)).clientId).toBe(id)
    host.answers.delete('/client.json')
    expect((await refusal(findClient(deps, id))).description).toContain('404')
    host.answers.set('/client.json', { status: 503, body: {} })
    deps.pass(86_400_000)
    expect((await refusal(findClient(deps, id))).description).toContain('right now')
  })

  it('CR-17 asks nothing of a host that is not admitted', async () => {
    const deps = testDeps({ metadataDocuments: { allow: ['claude.ai'], ask: [], deny: [], dangerouslyAllowPrivateAddresses: true } })
    expect((await refusal(findClient(deps, host.publish('/client.json')))).description).toContain('not admitted')
    expect(host.asked).toEqual([])
  })

  it('knows no documents when they are switched off', async () => {
    expect(await refusal(findClient(testDeps({ metadataDocuments: false }), host.publish('/client.json')))).toMatchObject({
      code: 'invalid_client',
      status: 401,
    })
    expect(host.asked).toEqual([])
  })
})
