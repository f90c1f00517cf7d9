import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let documents: DocumentServer
let world: TodoWorld
beforeAll(async () => {
  documents = await startDocumentServer()
  world = await startTodo({ runtime: 'local', caFile: documents.caFile })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await documents?.close()
})

const register = (metadata: object | string, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
  fetch(`${world.issuer}/register`, { method: 'POST', headers, body: typeof metadata === 'string' ? metadata : JSON.stringify(metadata) })

describe('CR-2 CR-20: dynamic registration', () => {
  it('CR-20: answers 201 with what was registered, and no secret for a public client', async () => {
    const response = await register(
      { ...nativeClientMetadata, software_id: 'x', resource: world.mcpUrl, scope: '' },
      { 'content-type': 'application/json; charset=UTF-8' },
    )
    expect(response.status).toBe(201)
    expect(response.headers.get('cache-control')).toContain('no-store')
    const body = (await response.json()) as Record<string, unknown>
    expect(body).toMatchObject({
      client_name: 'Test Client',
      redirect_uris: [nativeRedirectUri],
      token_endpoint_auth_method: 'none',
      client_id_issued_at: expect.any(Number),
    })
    expect(body.client_secret).toBeUndefined()
    expect(body.client_id).not.toMatch(/^https?:/)
  })

  it('CR-22: takes https and loopback redirects, no others', async () => {
    for (const uri of [
      'http://evil.example/cb',
      'javascript:alert(1)',
      'myapp://cb',
      'https://app.example/cb#fragment',
      'http://127.0.0.1.evil.example/cb',
      'not a url',
    ]) {
      const response = await register({ ...nativeClientMetadata, redirect_uris: [uri] })
      expect([uri, response.status, ((await response.json()) as { error: string }).error]).toEqual([uri, 400, 'invalid_redirect_uri'])
    }
    for (const uri of ['https://app.example/cb', 'http://localhost:1234/oauth/callback', 'http://[::1]:1/cb'])
      expect([uri, (await register({ ...nativeClientMetadata, redirect_uris: [uri] })).status]).toEqual([uri, 201])
  })

  it('CR-20 CR-21: refuses what is no metadata or too much of it', async () => {
    for (const body of ['', '[]', 'null', '{"redirect_uris":"x"}', '{"redirect_uris":[]}', JSON.stringify({ ...nativeClientMetadata, client_name: 5 })]) {
      const response = await register(body)
      expect([body, response.status, ((await response.json()) as { error: string }).error]).toEqual([
        body,
        400,
        expect.stringMatching(/^invalid_(client_metadata|redirect_uri|request)$/),
      ])
    }
    const large = await register({ ...nativeClientMetadata, client_name: 'x'.repeat(200_000) })
    expect([400, 413]).toContain(large.status)
    const many = await register({ ...nativeClientMetadata, redirect_uris: Array.from({ length: 1000 }, (_, index) => `http://127.0.0.1/${index}`) })
    expect(many.status).toBe(400)
  })
})

describe('CR-1 CR-5 CR-6 CR-7 CR-8 CR-9 CR-12: client id metadata documents', () => {
  /** The page that an authorize request of this client gets. */
  async function pageOf(clientId: string, redirectUri = nativeRedirectUri) {
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    client.clientId = clientId
    return client.browser.open(client.authorizeUrl(pkce().challenge, { redirect_uri: redirectUri }))
  }

  it('CR-6 CR-8 AZ-12: a good document gets the consent page with its host', async () => {
    const url = documents.publish('good.json', { client_name: 'A Good Client' })
    const page = await pageOf(url)
    expect(page.status).toBe(200)
    expect(page.text).toContain('A Good Client')
    expect(page.text).toContain(new URL(url).host)
  })

  it('every bad one ends on a page of ours', async () => {
    const bad: [string, string][] = [
      ['CR-7: another client_id', documents.publish('other.json', { client_id: documents.url })],
      ['CR-8: no redirect_uris', documents.publish('none.json', { redirect_uris: undefined })],
      ['CR-8: no name', documents.publish('nameless.json', { client_name: undefined })],
      ['CR-9: a secret', documents.publish('secret.json', { client_secret: 'x' })],
      ['CR-9: a secret method', documents.publish('method.json', { token_endpoint_auth_method: 'client_secret_basic' })],
      ['CR-12: a redirect', documents.publish('moved.json', {}, { status: 302, headers: { location: documents.url } })],
      ['CR-12: an error', documents.publish('error.json', {}, { status: 500 })],
      ['CR-15: too large', documents.publish('large.json', { client_name: 'x'.repeat(6000) })],
      ['CR-5: a fragment', `${documents.url}#x`],
      ['CR-5: a dot segment', documents.url.replace('/client.json', '/a/../client.json')],
      ['CR-5: user info', documents.url.replace('https://', 'https://user@')],
      ['CR-12: nothing there', documents.url.replace('client.json', 'nothing.json')],
    ]
    for (const [why, clientId] of bad) {
      const page = await pageOf(clientId)
      // A host that fails says nothing of its client: that may be tried again.
      expect([why, page.status, page.redirect]).toEqual([why, why === 'CR-12: an error' ? 503 : 400, undefined])
    }
  })

  it('CR-8 AZ-1: a redirect URI that is not in the document ends on a page of ours', async () => {
    const page = await pageOf(documents.publish('uris.json', {}), 'https://evil.example/cb')
    expect([page.status, page.redirect]).toEqual([400, undefined])
  })

  it('CR-11: is cached as HTTP says, and errors never', async () => {
    const url = documents.publish('cached.json', {}, { headers: { 'cache-control': 'max-age=3600' } })
    const asked = () => documents.requests.filter((path) => path === '/cached.json').length
    await pageOf(url)
    await pageOf(url)
    expect(asked()).toBe(1)
    const failing = documents.publish('failing.json', {}, { status: 503 })
    expect((await pageOf(failing)).status).toBe(503)
    documents.publish('failing.json', {})
    expect((await pageOf(failing)).status).toBe(200)
  })

  it('CR-10 TK-13: private_key_jwt needs its key at the token endpoint', async () => {
    const [{ publicKey, privateKey }, stranger] = await Promise.all([generateKeyPair('ES256', { extractable: true }), generateKeyPair('ES256')])
    const keys = [{ ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256', use: 'sig' }]
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    client.clientId = documents.publish('keys.json', {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: 'ES256',
      jwks: { keys },
    })
    const assertion = (key: typeof privateKey, audience: string) =>
      new SignJWT({})
        .setProtectedHeader({ alg: 'ES256', kid: 'k1' })
        .setIssuer(client.clientId)
        .setSubject(client.clientId)
        .setAudience(audience)
        .setJti(Math.random().toString(36))
        .setIssuedAt()
        .setExpirationTime('60s')
        .sign(key)
    const type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
    const { code, verifier } = await client.code('ann')
    const attempts: [string, Record<string, string | undefined>][] = [
      ['none', {}],
      ["a stranger's key", { client_assertion_type: type, client_assertion: await assertion(stranger.privateKey, world.issuer) }],
      ['another audience', { client_assertion_type: type, client_assertion: await assertion(privateKey, 'https://elsewhere.example') }],
    ]
    for (const [why, members] of attempts) {
      const answer = await client.redeem<{ error: string }>(code, verifier, members)
      expect([why, answer.status, answer.body.error]).toEqual([why, 401, 'invalid_client'])
    }
    const good = await client.redeem(code, verifier, { client_assertion_type: type, client_assertion: await assertion(privateKey, world.issuer) })
    expect(good.status).toBe(200)
  })
})

describe('CR-13 CR-14: without the dangerous switch', () => {
  it('a document on a private address is not fetched', async () => {
    const strict = await startTodo({ runtime: 'local', caFile: documents.caFile, gateway: { clients: { metadataDocuments: {} } } })
    try {
      const client = new ScriptedClient(strict.issuer, strict.mcpUrl)
      client.clientId = documents.publish('private.json', {})
      const page = await client.browser.open(client.authorizeUrl(pkce().challenge))
      expect([page.status, page.redirect]).toEqual([400, undefined])
      expect(documents.requests).not.toContain('/private.json')
    } finally {
      await strict.close()
    }
  }, 60_000)
})
