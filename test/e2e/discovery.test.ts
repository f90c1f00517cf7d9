import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { bareRequest } from '../harness/bare-request.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
beforeAll(async () => {
  world = await startTodo({ runtime: 'local' })
}, 60_000)
afterAll(() => world?.close())

const get = (path: string, headers: Record<string, string> = {}) => bareRequest(world.issuer, path, { headers })

describe('PR-1 PR-2 PR-7 PR-10 PR-11 PR-14: protected resource metadata', () => {
  for (const path of ['/.well-known/oauth-protected-resource/mcp', '/.well-known/oauth-protected-resource/mcp/', '/.well-known/oauth-protected-resource']) {
    it(`PR-6: at ${path}, without a redirect, to the character`, async () => {
      const { status, headers, text } = await get(path)
      expect([status, headers['content-type']]).toEqual([200, expect.stringMatching(/^application\/json/)])
      expect(headers['access-control-allow-origin']).toBe('*')
      const document = JSON.parse(text)
      expect(document).toMatchObject({ resource: world.mcpUrl, authorization_servers: [world.issuer], bearer_methods_supported: ['header'] })
      expect(document.scopes_supported).toEqual(['todos.read', 'todos.write'])
    })
  }
})

describe('AS-2 AS-4 AS-5 AS-6 AS-7 AS-8 AS-10: authorization server metadata', () => {
  for (const path of ['/.well-known/oauth-authorization-server', '/.well-known/openid-configuration']) {
    it(`PR-12 PR-13: at ${path}, whatever Accept and MCP-Protocol-Version say`, async () => {
      const { status, headers, text } = await get(path, { accept: 'text/html, image/gif, image/jpeg, */*; q=0.2', 'mcp-protocol-version': '2024-11-05' })
      expect([status, headers['content-type']]).toEqual([200, expect.stringMatching(/^application\/json/)])
      expect(JSON.parse(text)).toMatchObject({
        issuer: world.issuer,
        authorization_endpoint: `${world.issuer}/authorize`,
        token_endpoint: `${world.issuer}/token`,
        registration_endpoint: `${world.issuer}/register`,
        revocation_endpoint: `${world.issuer}/revoke`,
        response_types_supported: ['code'],
        code_challenge_methods_supported: ['S256'],
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: true,
      })
      const { grant_types_supported: grants, token_endpoint_auth_methods_supported: methods, scopes_supported: scopes = [] } = JSON.parse(text)
      expect(grants).toEqual(expect.arrayContaining(['authorization_code', 'refresh_token']))
      expect(methods).toContain('none')
      expect(scopes).not.toContain('offline_access')
    })
  }

  it('AS-11: never derives anything from Host', async () => {
    const { text } = await get('/.well-known/oauth-authorization-server', { host: 'evil.example', 'x-forwarded-host': 'evil.example' })
    expect(text).not.toContain('evil.example')
  })
})

describe('BC-2 BC-6 BC-7 BC-8 PR-3: 401 before anything else', () => {
  const wanted = () => `Bearer resource_metadata="${world.issuer}/.well-known/oauth-protected-resource/mcp", scope="todos.read todos.write"`
  const attempts: [string, RequestInit][] = [
    ['GET', { method: 'GET' }],
    ['DELETE', { method: 'DELETE' }],
    ['PUT', { method: 'PUT', body: 'x' }],
    ['POST of nonsense', { method: 'POST', body: 'nonsense', headers: { 'content-type': 'text/plain' } }],
    ['POST of a future revision', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', 'mcp-protocol-version': '2099-01-01' } }],
    ['POST with a session of nobody', { method: 'POST', body: '{}', headers: { 'content-type': 'application/json', 'mcp-session-id': 'x' } }],
  ]
  for (const [name, init] of attempts) {
    it(name, async () => {
      for (const url of [world.mcpUrl, `${world.mcpUrl}/`]) {
        const answer = await fetch(url, init)
        expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, wanted()])
        expect(answer.headers.get('content-type')).toMatch(/^application\/json/)
      }
    })
  }

  it('TR-8: a preflight is answered without a token, and every answer can be read by a browser', async () => {
    const headers = {
      origin: world.issuer,
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,content-type,mcp-protocol-version',
    }
    const preflight = await fetch(world.mcpUrl, { method: 'OPTIONS', headers })
    expect(preflight.status).toBeLessThan(300)
    const allowed = preflight.headers.get('access-control-allow-headers')?.toLowerCase() ?? ''
    for (const name of ['authorization', 'content-type', 'mcp-protocol-version', 'mcp-session-id', 'mcp-method', 'mcp-name', 'last-event-id'])
      expect(allowed).toContain(name)
    const refused = await fetch(world.mcpUrl, { method: 'POST', headers: { origin: world.issuer }, body: '{}' })
    expect(refused.status).toBe(401)
    expect(refused.headers.get('access-control-expose-headers')?.toLowerCase()).toContain('www-authenticate')
  })
})
