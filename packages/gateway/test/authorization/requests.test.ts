import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser } from './browser.ts'
import { codeOf, startWorld, verifier, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld({ moreServers: { other: { scopes: ['todos.read', 'admin'] }, open: { provider: undefined, grants: 'none', scopes: [] } } })
})
afterAll(() => world.close())

/** What the client is told by redirect; the page's status when there was none. */
async function answerTo(url: URL): Promise<Record<string, string>> {
  const page = await new Browser('https://app.example/done').open(url)
  return page.toClient ? Object.fromEntries(page.toClient.searchParams) : { page: `${page.status} ${page.url.pathname}` }
}

/** The scopes that a request ends up with. */
async function scopesOf(members: Record<string, string | undefined>): Promise<unknown> {
  const code = codeOf(await new Browser().authorize(world.authorizeUrl(members), 'ann'))
  const client_id = members.client_id ?? 'cli'
  return (await world.token({ grant_type: 'authorization_code', code, code_verifier: verifier, client_id })).body.scope
}

describe('AZ-3: before client and redirect URI are known to be good', () => {
  it.each([
    ['an unknown client', { client_id: 'nobody' }],
    ['no client', { client_id: undefined }],
    ['another redirect URI', { redirect_uri: 'http://127.0.0.1:7999/other' }],
    ['a longer redirect URI', { redirect_uri: 'http://127.0.0.1:7999/callback/' }],
    ['a redirect URI with a query', { redirect_uri: 'http://127.0.0.1:7999/callback?x=1' }],
    ['a redirect URI elsewhere (CR-22)', { redirect_uri: 'https://evil.example/callback' }],
    ['a redirect URI that hides its host', { redirect_uri: 'http://127.0.0.1:7999@evil.example/callback' }],
    ['none of several', { client_id: 'two', redirect_uri: undefined }],
  ])('%s: a page of ours, never a redirect', async (_name, members) => {
    const answer = await fetch(world.authorizeUrl(members), { redirect: 'manual' })
    expect([answer.status, answer.headers.get('location')]).toEqual([400, null])
    expect(answer.headers.get('content-type')).toBe('text/html; charset=utf-8')
    expect(await answer.text()).not.toContain('evil.example')
  })

  it('AZ-4: a repeated parameter is an error', async () => {
    for (const name of ['client_id', 'redirect_uri', 'state', 'scope']) {
      const url = world.authorizeUrl()
      url.searchParams.append(name, 'x')
      url.searchParams.append(name, 'y')
      expect((await fetch(url, { redirect: 'manual' })).status).toBe(400)
    }
  })

  it('AZ-4: no other origin may read the endpoint', async () => {
    const answer = await fetch(world.authorizeUrl(), { redirect: 'manual', headers: { origin: 'https://page.example' } })
    expect(answer.headers.get('access-control-allow-origin')).toBeNull()
  })
})

describe('AZ-4 AZ-14 TK-15: after that every error goes to the client, with state and iss', () => {
  it.each([
    ['response_type missing', { response_type: undefined }, 'invalid_request'],
    ['response_type token', { response_type: 'token' }, 'unsupported_response_type'],
    ['response_type code token', { response_type: 'code token' }, 'unsupported_response_type'],
    ['response_mode fragment', { response_mode: 'fragment' }, 'invalid_request'],
    ['response_mode fragment', { response_mode: 'fragment' }, 'invalid_request'],
    ['a request object', { request: 'e30.e30.' }, 'request_not_supported'],
    ['a request_uri of others', { request_uri: 'https://app.example/request.jwt' }, 'request_uri_not_supported'],
    ['TK-1: no challenge', { code_challenge: undefined }, 'invalid_request'],
    ['TK-1: method plain', { code_challenge_method: 'plain' }, 'invalid_request'],
    ['TK-1: no method, which means plain', { code_challenge_method: undefined }, 'invalid_request'],
    ['TK-1: a challenge that is no SHA-256', { code_challenge: 'short' }, 'invalid_request'],
    ['unknown scopes only', { scope: 'nothing here' }, 'invalid_scope'],
    ["scopes beyond the client's own", { client_id: 'reader', scope: 'todos.write' }, 'invalid_scope'],
    ['scopes that the team gave the client and no server has', { client_id: 'typo' }, 'invalid_scope'],
    ['TK-5: an unknown resource', { resource: 'https://elsewhere.example/mcp' }, 'invalid_target'],
    ['TK-5: a resource with a fragment', { resource: 'FRAGMENT' }, 'invalid_target'],
    ['TK-5: a resource below ours', { resource: 'BELOW' }, 'invalid_target'],
    ['TK-5: another path in capitals', { resource: 'CAPITAL' }, 'invalid_target'],
    ['nobody may be asked', { prompt: 'none' }, 'login_required'],
  ] as [string, Record<string, string | undefined>, string][])('%s', async (_name, members, error) => {
    const special: Record<string, string> = { FRAGMENT: `${world.issuer}/mcp#x`, BELOW: `${world.issuer}/mcp/x`, CAPITAL: `${world.issuer}/MCP` }
    const resource = members.resource === undefined ? {} : { resource: special[members.resource] ?? members.resource }
    const answer = await answerTo(world.authorizeUrl({ ...members, ...resource }))
    expect(answer).toEqual({ error, error_description: expect.stringMatching(/^[\x20-\x21\x23-\x5b\x5d-\x7e]+$/), state: 'the state', iss: world.issuer })
  })

  it('a state that is too long comes back unchanged all the same', async () => {
    const state = 's'.repeat(4097)
    expect(await answerTo(world.authorizeUrl({ state }))).toMatchObject({ error: 'invalid_request', state })
    expect(await answerTo(world.authorizeUrl({ state: 's'.repeat(4096) }))).toEqual({ page: '200 /consent' })
  })

  it('TK-5: several different resources', async () => {
    const url = world.authorizeUrl({ resource: `${world.issuer}/mcp` })
    url.searchParams.append('resource', `${world.issuer}/mcp/`)
    expect(await answerTo(url)).toEqual({ page: '200 /consent' })
    url.searchParams.append('resource', `${world.issuer}/other`)
    expect(await answerTo(url)).toMatchObject({ error: 'invalid_target', state: 'the state', iss: world.issuer })
  })

  it('goes behind a query that the redirect URI has', async () => {
    const page = await new Browser('https://app.example/done').open(world.authorizeUrl({ client_id: 'web', redirect_uri: undefined, response_type: 'token' }))
    expect(page.toClient?.href).toMatch(/^https:\/\/app\.example\/done\?tenant=1&error=unsupported_response_type&/)
  })
})

describe('prompt is never an error', () => {
  it.each(['consent', 'login', 'select_account', 'create', 'consent login', 'none consent', ''])('%s', async (prompt) => {
    expect(await answerTo(world.authorizeUrl({ prompt }))).toEqual({ page: '200 /consent' })
  })
})

describe('PR-9 TK-5: the resource', () => {
  it('is taken with a slash, with upper-case scheme and host, and may be missing', async () => {
    const { host } = new URL(world.issuer)
    for (const resource of [undefined, `${world.issuer}/mcp`, `${world.issuer}/mcp/`, `HTTP://${host.toUpperCase()}/mcp`]) {
      expect(await answerTo(world.authorizeUrl({ resource }))).toEqual({ page: '200 /consent' })
    }
  })

  it('binds the code: another of our servers at the token endpoint is invalid_target', async () => {
    const code = codeOf(await new Browser().authorize(world.authorizeUrl({ resource: `${world.issuer}/mcp` }), 'ann'))
    const redeem = (resource: string) => world.token({ grant_type: 'authorization_code', code, code_verifier: verifier, resource })
    expect((await redeem(`${world.issuer}/other`)).body.error).toBe('invalid_target')
    expect((await redeem('https://elsewhere.example')).body.error).toBe('invalid_target')
    expect((await redeem(`${world.issuer}/mcp/`)).status).toBe(200)
  })
})

describe('scopes', () => {
  it.each([
    ['none asked: the default', {}, 'todos.read todos.write'],
    ['offline_access alone: the default', { scope: 'offline_access' }, 'todos.read todos.write'],
    ['offline_access first', { scope: 'offline_access todos.read' }, 'todos.read'],
    ['unknown ones are dropped (AZ-16)', { scope: 'todos.write openid unknown' }, 'todos.write'],
    ['any order', { scope: 'todos.write todos.read' }, 'todos.read todos.write'],
    ["the client's own bound", { client_id: 'reader' }, 'todos.read'],
  ] as [string, Record<string, string>, string][])('%s', async (_name, members, scopes) => {
    expect(await scopesOf(members)).toBe(scopes)
  })

  it('a server without scopes refuses none', async () => {
    expect(await scopesOf({ resource: `${world.issuer}/open`, scope: 'whatever' })).toBe('')
  })
})
