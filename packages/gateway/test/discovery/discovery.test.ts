import { generateKeyPairSync } from 'node:crypto'
import { afterEach, describe, expect, it } from '@jest/globals'
import connect from 'connect'
import express from 'express'
import type { Config } from '../../src/config.ts'
import { createDiscovery } from '../../src/discovery/discovery.ts'
import { createSigningKey } from '../../src/keys/signing-key.ts'
import { resourceMetadataUrl } from '../../src/lib/well-known.ts'
import { defaultEndpoints as endpoints } from '../../src/options/options.ts'
import { ask, type Listening, listen } from '../http/listen.ts'

const documents = { allow: [], ask: [], deny: [], dangerouslyAllowPrivateAddresses: false }
const registration = { initialAccessToken: undefined, unusedExpirySeconds: 1, perSourcePerHour: 1 }

interface Choice {
  basePath?: string
  paths?: string[]
  scopes?: string[]
  clients?: Partial<Config['clients']>
  enterprise?: Config['enterprise']
  signingKeys?: Config['tokens']['signingKeys']
}

function config({
  basePath = '',
  paths = ['/mcp'],
  scopes = ['todos.read', 'todos.write'],
  clients = {},
  enterprise = {},
  signingKeys = [],
}: Choice = {}): Config {
  const origin = 'https://mcp.example.com'
  const issuer = origin + basePath
  const servers = paths.map((path) => [path.slice(1), { id: path, path, resource: issuer + path, displayName: `Server ${path}`, scopes }])
  return {
    issuer,
    origin,
    basePath,
    endpoints,
    servers: Object.fromEntries(servers),
    clients: { preregistered: [], metadataDocuments: documents, registration, pushedRequests: 'offered', ...clients },
    enterprise,
    tokens: { signingKeys },
  } as unknown as Config
}

let server: Listening | undefined
afterEach(() => server?.close())

/** Starts a bare server with the discovery part alone, the rest a plain 404 of the host. */
async function serve(choice?: Choice) {
  const discovery = createDiscovery({ config: config(choice) })
  server = await listen((req, res) => discovery(req, res, () => res.writeHead(404).end('host')))
}

async function get(path: string, options: Parameters<typeof ask>[1] = {}) {
  const answer = await ask((server as Listening).port, { path, ...options })
  return { ...answer, json: answer.headers['content-type'] === 'application/json' && answer.text !== '' ? JSON.parse(answer.text) : undefined }
}

const resourceName = '/.well-known/oauth-protected-resource'
const serverName = '/.well-known/oauth-authorization-server'
const openidName = '/.well-known/openid-configuration'

describe('protected resource metadata', () => {
  it('PR-1 PR-2 PR-6 PR-7 PR-10 PR-14 stands at the path-inserted place', async () => {
    await serve()
    const { status, headers, json } = await get(`${resourceName}/mcp`)
    expect(status).toBe(200)
    expect(json).toEqual({
      resource: 'https://mcp.example.com/mcp',
      authorization_servers: ['https://mcp.example.com'],
      scopes_supported: ['todos.read', 'todos.write'],
      bearer_methods_supported: ['header'],
      resource_name: 'Server /mcp',
      dpop_signing_alg_values_supported: expect.arrayContaining(['ES256', 'EdDSA']),
    })
    expect(headers['content-type']).toBe('application/json')
    expect(headers['cache-control']).toMatch(/^public, max-age=\d+$/)
    expect(headers['access-control-allow-origin']).toBe('*')
  })

  it('PR-5 stands where the challenge says it does', async () => {
    for (const basePath of ['', '/auth']) {
      await server?.close()
      await serve({ basePath })
      const url = resourceMetadataUrl({ origin: 'https://mcp.example.com', basePath }, '/mcp')
      expect((await get(url.slice('https://mcp.example.com'.length))).json.resource).toBe(`https://mcp.example.com${basePath}/mcp`)
    }
  })

  it('PR-8 has the root form for one server only', async () => {
    await serve()
    expect((await get(resourceName)).json.resource).toBe('https://mcp.example.com/mcp')
    await server?.close()
    await serve({ paths: ['/mcp', '/admin/mcp'] })
    expect((await get(resourceName)).text).toBe('host')
    expect((await get(`${resourceName}/mcp`)).json.resource).toBe('https://mcp.example.com/mcp')
    expect((await get(`${resourceName}/admin/mcp`)).json.resource).toBe('https://mcp.example.com/admin/mcp')
  })

  it('PR-9 takes one trailing slash, as a user may type it, and publishes one spelling', async () => {
    await serve()
    for (const path of [`${resourceName}/mcp/`, `${resourceName}/`]) {
      const { status, json } = await get(path)
      expect(status).toBe(200)
      expect(json.resource).toBe('https://mcp.example.com/mcp')
    }
    expect((await get(`${resourceName}/mcp//`)).text).toBe('host')
  })

  it('PR-11 leaves offline_access out, and an empty list', async () => {
    await serve({ scopes: ['offline_access', 'a'] })
    expect((await get(`${resourceName}/mcp`)).json.scopes_supported).toEqual(['a'])
    expect((await get(serverName)).json.scopes_supported).toEqual(['a'])
    await server?.close()
    await serve({ scopes: ['offline_access'] })
    expect((await get(`${resourceName}/mcp`)).json).not.toHaveProperty('scopes_supported')
    expect((await get(serverName)).json).not.toHaveProperty('scopes_supported')
  })
})

describe('authorization server metadata', () => {
  const methods = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']

  it('AS-2 AS-4 AS-5 AS-6 AS-7 AS-8 AS-9 AS-10 says everything that clients insist on', async () => {
    await serve()
    const { json } = await get(serverName)
    expect(json).toEqual({
      issuer: 'https://mcp.example.com',
      authorization_endpoint: 'https://mcp.example.com/authorize',
      token_endpoint: 'https://mcp.example.com/token',
      registration_endpoint: 'https://mcp.example.com/register',
      revocation_endpoint: 'https://mcp.example.com/revoke',
      scopes_supported: ['todos.read', 'todos.write'],
      response_types_supported: ['code'],
      response_modes_supported: ['query', 'form_post'],
      pushed_authorization_request_endpoint: 'https://mcp.example.com/par',
      require_pushed_authorization_requests: false,
      grant_types_supported: ['authorization_code', 'refresh_token'],
      code_challenge_methods_supported: ['S256'],
      token_endpoint_auth_methods_supported: methods,
      token_endpoint_auth_signing_alg_values_supported: expect.arrayContaining(['ES256', 'RS256', 'EdDSA']),
      revocation_endpoint_auth_methods_supported: methods,
      revocation_endpoint_auth_signing_alg_values_supported: expect.arrayContaining(['ES256']),
      dpop_signing_alg_values_supported: expect.arrayContaining(['ES256', 'EdDSA']),
      authorization_response_iss_parameter_supported: true,
      client_id_metadata_document_supported: true,
    })
    expect(json.token_endpoint_auth_signing_alg_values_supported).not.toContain('none')
    expect(json.token_endpoint_auth_signing_alg_values_supported).not.toContain('HS256')
  })

  it('AS-7 leaves out what is off', async () => {
    await serve({ clients: { metadataDocuments: false, registration: false, pushedRequests: 'off' } })
    const { json } = await get(serverName)
    expect(json).not.toHaveProperty('registration_endpoint')
    expect(json).not.toHaveProperty('client_id_metadata_document_supported')
    expect(json).not.toHaveProperty('pushed_authorization_request_endpoint')
    expect(json).not.toHaveProperty('require_pushed_authorization_requests')
  })

  it('RFC 9126 §5: says when requests have to be pushed', async () => {
    await serve({ clients: { pushedRequests: 'required' } })
    expect((await get(serverName)).json).toMatchObject({ require_pushed_authorization_requests: true })
  })

  it('AS-8 EX-4 EX-11, RFC 7662 §4, RFC 9068 §4: names a grant, a profile and an endpoint only when the options switch it on', async () => {
    const service = { clientId: 'svc', clientSecret: 'x'.repeat(16), redirectUris: [], name: 'Service' }
    const key = createSigningKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }) as Record<string, unknown>)
    const issuer = { issuer: 'https://idp.example', jwks: undefined, jwksUri: undefined, identify: undefined }
    await serve({
      clients: { preregistered: [{ ...service, service: true, introspect: true }] },
      enterprise: { 'https://idp.example': issuer },
      signingKeys: [key],
    })
    const { json } = await get(serverName)
    expect(json).toMatchObject({
      grant_types_supported: ['authorization_code', 'refresh_token', 'client_credentials', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
      authorization_grant_profiles_supported: ['urn:ietf:params:oauth:grant-profile:id-jag'],
      introspection_endpoint: 'https://mcp.example.com/introspect',
      introspection_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post', 'private_key_jwt'],
      jwks_uri: 'https://mcp.example.com/jwks',
    })
    const { keys } = (await get('/jwks')).json
    expect(keys).toEqual([{ kty: 'EC', crv: 'P-256', x: expect.any(String), y: expect.any(String), kid: key.kid, alg: 'ES256', use: 'sig' }])
  })

  it('AS-3 PR-12 is the same document at every spelling, with no redirect', async () => {
    await serve()
    for (const path of [serverName, `${serverName}/`, openidName, `${openidName}/`]) {
      const { status, json } = await get(path, { headers: { 'mcp-protocol-version': '2025-03-26' } })
      expect([path, status, json?.issuer]).toEqual([path, 200, 'https://mcp.example.com'])
    }
    await server?.close()
    await serve({ basePath: '/t1' })
    for (const path of [`${serverName}/t1`, `${openidName}/t1`, `/t1${openidName}`, `/t1${serverName}`, serverName]) {
      const { status, json } = await get(path)
      expect([path, status, json?.issuer, json?.token_endpoint]).toEqual([path, 200, 'https://mcp.example.com/t1', 'https://mcp.example.com/t1/token'])
    }
  })

  it('AS-11 does not change with Host', async () => {
    await serve()
    const { text } = await get(serverName)
    const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http' }
    expect((await get(serverName, { headers })).text).toBe(text)
  })
})

describe('the requests', () => {
  it.each([undefined, '*/*', 'text/html, image/gif, image/jpeg, */*; q=0.2', 'text/plain'])('are not negotiated: Accept %s', async (accept) => {
    await serve()
    const answer = await get(serverName, accept === undefined ? {} : { headers: { accept } })
    expect([answer.status, answer.headers['content-type']]).toEqual([200, 'application/json'])
  })

  it('may be HEAD and preflights; other methods are 405', async () => {
    await serve()
    for (const path of [serverName, `${resourceName}/mcp`]) {
      const head = await get(path, { method: 'HEAD' })
      expect([head.status, head.text, Number(head.headers['content-length']) > 100]).toEqual([200, '', true])
      const asked = { origin: 'https://app.example', 'access-control-request-method': 'GET', 'access-control-request-headers': 'mcp-protocol-version' }
      const preflight = await get(path, { method: 'OPTIONS', headers: asked })
      expect(preflight.status).toBe(204)
      expect(preflight.headers['access-control-allow-headers']).toContain('mcp-protocol-version')
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
        const refused = await get(path, { method })
        expect([method, refused.status, refused.headers.allow]).toEqual([method, 405, 'GET, HEAD, OPTIONS'])
      }
    }
  })

  it.each(['/', '/mcp', '/.well-known', '/.well-known/other', `${resourceName}/other`, `${serverName}/mcp`, `/x${resourceName}/mcp`])(
    'for %s are the host app’s',
    async (path) => {
      await serve()
      expect((await get(path)).text).toBe('host')
    },
  )

  it('leave the host’s own resource at the same path to the host', async () => {
    await serve({ basePath: '/auth', paths: ['/mcp', '/two'] })
    expect((await get(`${resourceName}/mcp`)).text).toBe('host')
    expect((await get(`${resourceName}/auth/mcp`)).json.resource).toBe('https://mcp.example.com/auth/mcp')
  })

  it('work below a mount prefix, and beside other well-known documents', async () => {
    const discovery = createDiscovery({ config: config({ basePath: '/auth' }) })
    const app = express().get('/.well-known/security.txt', (_, res) => {
      res.send('mine')
    })
    app.use(discovery as express.RequestHandler)
    app.use('/auth', discovery as express.RequestHandler)
    server = await listen(app)
    expect((await get('/.well-known/security.txt')).text).toBe('mine')
    expect((await get(`${resourceName}/auth/mcp`)).json.resource).toBe('https://mcp.example.com/auth/mcp')
    expect((await get(`/auth${openidName}`)).json.issuer).toBe('https://mcp.example.com/auth')
    await server.close()
    server = await listen(connect().use('/auth', discovery))
    expect((await get(`/auth${openidName}`)).json.issuer).toBe('https://mcp.example.com/auth')
    expect((await get(`/auth${resourceName}/mcp`)).json.resource).toBe('https://mcp.example.com/auth/mcp')
  })
})
