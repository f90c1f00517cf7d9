import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { prepareStepClient, type StepClientName } from '../harness/step-client.ts'
import { callTool, connect, formOf, live, outliveRestart, pass, refreshes, stepUp, withClient } from '../harness/step-client-life.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let documents: DocumentServer
let world: TodoWorld

beforeAll(async () => {
  await prepareStepClient('go-sdk')
  documents = await startDocumentServer()
  world = await startTodo({
    caFile: documents.caFile,
    recorded: true,
    gateway: { policy: { default: 'allow', rules: [{ tools: ['add_todo'], requireScopes: ['todos.write'] }] } },
  })
}, 400_000)

afterAll(async () => {
  await world?.close()
  await documents?.close()
})

const prm = '/.well-known/oauth-protected-resource/mcp'
const metadata = '/.well-known/oauth-authorization-server'
const seenSince = (start: number, path: string) => world.exchanges.slice(start).filter((each) => each.url.pathname === path)
const sorted = (scope: string | null | undefined) => scope?.split(' ').sort().join(' ')

describe('go-sdk 1.8.0', () => {
  for (const [revision, firstMethod] of [
    ['2026-07-28', 'server/discover'],
    ['2025-11-25', 'initialize'],
  ] as const) {
    it(`lives a whole connection, ${revision} (PR-1 PR-5 BC-7 BC-8 TK-4 TK-6)`, async () => {
      const life = await live(world, 'go-sdk', { user: `go-sdk-${revision}`, authMethod: 'none', revision })
      expect(life.revision).toBe(revision)

      const [first] = life.before('/mcp')
      expect(first).toMatchObject({ method: 'POST', status: 401 })
      expect(JSON.parse(first?.body ?? '')).toMatchObject({ method: firstMethod })
      expect(first?.headers['www-authenticate']).toBe(`Bearer resource_metadata="${world.issuer}${prm}", scope="todos.read todos.write"`)

      // discovery: once each, without Accept and without a revision
      for (const path of [prm, metadata]) {
        expect(life.before(path).map(({ status, headers }) => [status, headers['content-type']])).toEqual([[200, 'application/json']])
        expect(life.before(path)[0]?.requestHeaders).toMatchObject({ 'user-agent': 'Go-http-client/1.1' })
        for (const absent of ['accept', 'mcp-protocol-version']) expect(life.before(path)[0]?.requestHeaders).not.toHaveProperty(absent)
      }

      // registration: application_type by its redirect URI, no scope
      const [registration] = life.before('/register')
      expect(JSON.parse(registration?.body ?? '')).toEqual({
        client_name: 'go-sdk',
        redirect_uris: ['http://127.0.0.1:7998/callback'],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
        token_endpoint_auth_method: 'none',
        application_type: 'native',
      })
      const { client_id } = JSON.parse(registration?.answer ?? '{}')

      // authorization: the challenge's scopes in any order; offline_access, which this app wants, is not listed and so not asked
      const asked = formOf(life.client.visits[0]?.search ?? '')
      expect(asked.client_id).toBe(client_id)
      expect(sorted(asked.scope)).toBe('todos.read todos.write')
      expect(asked).not.toHaveProperty('prompt')

      // tokens: as registered; `resource` with the code, none on refresh
      for (const { requestHeaders, body } of life.before('/token')) {
        expect(requestHeaders.authorization).toBeUndefined()
        expect(formOf(body).client_id).toBe(client_id)
        expect(formOf(body).resource).toBe(formOf(body).grant_type === 'refresh_token' ? undefined : world.mcpUrl)
      }

      // a revoked session: a new registration and a new login
      expect(life.afterRevocation).toMatchObject({ texts: [expect.stringContaining('buy milk')] })
      const again = JSON.parse(life.after('/register')[0]?.answer ?? '{}').client_id
      expect(again).not.toBe(client_id)
      expect(life.client.visits.map((visit) => visit.searchParams.get('client_id'))).toEqual([client_id, again])
    }, 90_000)
  }

  it('asks its user for more scopes when a tool needs them, and calls again by itself (BC-9 BC-11)', async () => {
    const { call, asked } = await stepUp(world, 'go-sdk', { user: 'go-sdk-step-up', authMethod: 'none' })
    expect(call).toMatchObject({ texts: [expect.stringContaining('stepped up')] })
    expect(asked).toEqual(['todos.read todos.write', 'todos.read todos.write'])
  }, 60_000)

  it('goes on after a restart of the gateway (TK-6)', () => outliveRestart(world, 'go-sdk', { user: 'go-sdk-restart', authMethod: 'none' }), 60_000)

  it('refreshes ten seconds before the end, not earlier (TK-6)', async () => {
    const start = world.exchanges.length
    await withClient('go-sdk', { url: world.mcpUrl, user: 'go-sdk-early', authMethod: 'none' }, async (client) => {
      await connect(client)
      // Half a minute for a busy machine: the client's clock runs on beside what passes here.
      await pass(world, client, 3560)
      await callTool(client, 'list_todos')
      expect(refreshes(seenSince(start, '/token'))).toEqual([])
      await pass(world, client, 31)
      await callTool(client, 'list_todos')
      expect(refreshes(seenSince(start, '/token'))).toMatchObject([{ status: 200 }])
      expect(client.visits).toHaveLength(1)
    })
  }, 60_000)

  it('refreshes at every call when tokens live ten seconds, and each refresh is answered (TK-6)', async () => {
    const short = await startTodo({ recorded: true, gateway: { tokens: { accessTokenSeconds: 10 } } })
    try {
      await withClient('go-sdk', { url: short.mcpUrl, user: 'go-sdk-short', authMethod: 'none' }, async (client) => {
        await connect(client)
        for (let call = 0; call < 3; call++) {
          const count = refreshes(short.exchanges).length
          await callTool(client, 'list_todos')
          expect(refreshes(short.exchanges).slice(count)).toMatchObject([{ status: 200 }])
        }
        expect(client.visits).toHaveLength(1)
      })
    } finally {
      await short.close()
    }
  }, 60_000)

  it('prefers its metadata document to registering, from another port than the document names (CR-1 CR-2)', async () => {
    const start = world.exchanges.length
    await withClient('go-sdk', { url: world.mcpUrl, user: 'go-sdk-cimd', documentUrl: documents.url }, async (client) => {
      await connect(client)
      await pass(world, client, 3605)
      expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
      expect(client.visits.map((visit) => visit.searchParams.get('client_id'))).toEqual([documents.url])
    })
    expect(seenSince(start, '/register')).toEqual([])
    // golang.org/x/oauth2 is told nothing of the method and tries Basic first, with an empty secret: as good as none, and not a failure that uses up the code.
    expect(seenSince(start, '/token').map(({ status, requestHeaders }) => [status, requestHeaders.authorization !== undefined])).toEqual([
      [200, true],
      [200, true],
    ])
  }, 60_000)

  it.each([
    ['client_secret_basic, which no method means', undefined],
    ['client_secret_post', 'client_secret_post'],
  ] as const)(
    'authenticates by %s (TK-6)',
    async (_, authMethod) => {
      const start = world.exchanges.length
      const settings = { url: world.mcpUrl, user: `go-sdk-${authMethod}`, ...(authMethod === undefined ? {} : { authMethod }) }
      await withClient('go-sdk', settings, async (client) => {
        await connect(client)
        await pass(world, client, 3605)
        expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
      })
      const tokens = seenSince(start, '/token')
      expect(tokens).toHaveLength(2)
      for (const { status, requestHeaders, body } of tokens) {
        expect(status).toBe(200)
        expect(/^Basic /.test(requestHeaders.authorization ?? '')).toBe(authMethod === undefined)
        expect('client_secret' in formOf(body)).toBe(authMethod !== undefined)
      }
    },
    60_000,
  )

  it('asks with the slash that its user has typed, at authorize and for the token (TK-4)', async () => {
    const start = world.exchanges.length
    await withClient('go-sdk', { url: `${world.mcpUrl}/`, user: 'go-sdk-slash', authMethod: 'none' }, async (client) => {
      await connect(client)
      await pass(world, client, 3605)
      expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
      expect(client.visits.map((visit) => visit.searchParams.get('resource'))).toEqual([`${world.mcpUrl}/`])
    })
    expect(formOf(seenSince(start, '/token')[0]?.body ?? '').resource).toBe(`${world.mcpUrl}/`)
  }, 60_000)

  it.each([
    ['alone means the default scopes', ['offline_access'], 'todos.read todos.write'],
    ['before another scope asks for that one', ['offline_access', 'todos.read'], 'todos.read'],
  ])(
    'offline_access %s (PR-11)',
    async (_, scopes, granted) => {
      const start = world.exchanges.length
      await withClient('go-sdk', { url: world.mcpUrl, user: 'go-sdk-offline', authMethod: 'none', scopes }, async (client) => {
        await connect(client)
        expect(sorted(client.visits[0]?.searchParams.get('scope'))).toBe(scopes.join(' '))
        expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
      })
      expect(JSON.parse(seenSince(start, '/token')[0]?.answer ?? '{}')).toMatchObject({ scope: granted, refresh_token: expect.any(String) })
    },
    60_000,
  )
})

describe('mcp-go 1.2.1', () => {
  const name: StepClientName = 'mcp-go'

  it('lives a whole connection (PR-1 PR-5 BC-8 TK-4 TK-6)', async () => {
    const life = await live(world, name, { user: 'mcp-go' })
    expect(life.revision).toBe('2026-07-28')

    // without a token it asks no MCP endpoint: straight to the path-inserted PRM
    expect(life.before('/mcp').map((each) => each.status)).not.toContain(401)
    expect(JSON.parse(life.before('/mcp')[0]?.body ?? '')).toMatchObject({ method: 'server/discover' })
    for (const path of [prm, metadata]) {
      expect(life.before(path)).toMatchObject([{ status: 200, requestHeaders: { accept: 'application/json', 'mcp-protocol-version': '2026-07-28' } }])
    }

    // registration: an empty scope, `resource`, no application_type
    const [registration] = life.before('/register')
    expect(JSON.parse(registration?.body ?? '')).toEqual({
      client_name: 'mcp-go',
      redirect_uris: ['http://127.0.0.1:7998/oauth/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      scope: '',
      resource: world.mcpUrl,
    })
    const { client_id, client_secret } = JSON.parse(registration?.answer ?? '{}')
    expect(client_secret).toBeUndefined()

    // authorization without a scope means the default scopes: `live` has seen that both were granted
    const asked = formOf(life.client.visits[0]?.search ?? '')
    expect(asked.client_id).toBe(client_id)
    expect(asked).not.toHaveProperty('scope')

    for (const { requestHeaders, body } of life.before('/token')) {
      expect(requestHeaders.authorization).toBeUndefined()
      expect(formOf(body)).toMatchObject({ client_id, resource: world.mcpUrl })
    }

    // a revoked session is the app's to handle
    expect(life.afterRevocation.error).toBe('the user has to sign in')
    expect(life.client.visits).toHaveLength(1)
  }, 90_000)

  it('tells its app what a tool needs beyond what its user gave, and leaves the rest to the app (BC-9)', async () => {
    const { call, asked } = await stepUp(world, name, { user: 'mcp-go-step-up' })
    expect(call.error).toContain('todos.write')
    expect(asked).toEqual([''])
  }, 60_000)

  it('goes on after a restart of the gateway (TK-6)', () => outliveRestart(world, name, { user: 'mcp-go-restart' }), 60_000)

  it('signs in again after a revocation when the app goes through it, under the client it registered (TK-6)', async () => {
    const start = world.exchanges.length
    await withClient(name, { url: world.mcpUrl, user: 'mcp-go-again' }, async (client) => {
      await connect(client)
      const { refresh } = await client.take({ do: 'tokens' })
      const clientId = client.visits[0]?.searchParams.get('client_id') ?? ''
      const body = new URLSearchParams({ token: refresh ?? '', client_id: clientId })
      expect((await fetch(`${world.issuer}/revoke`, { method: 'POST', body })).status).toBe(200)
      await connect(client)
      expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
      expect(client.visits.map((visit) => visit.searchParams.get('client_id'))).toEqual([clientId, clientId])
    })
    expect(seenSince(start, '/register')).toHaveLength(1)
  }, 60_000)

  it('asks for the scopes that its app names, and gets those (AZ-16)', async () => {
    const start = world.exchanges.length
    await withClient(name, { url: world.mcpUrl, user: 'mcp-go-scopes', scopes: ['todos.read'] }, async (client) => {
      await connect(client)
      expect(client.visits[0]?.searchParams.get('scope')).toBe('todos.read')
      expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
    })
    expect(JSON.parse(seenSince(start, '/register')[0]?.body ?? '{}').scope).toBe('todos.read')
    expect(JSON.parse(seenSince(start, '/token')[0]?.answer ?? '{}').scope).toBe('todos.read')
  }, 60_000)

  it('brings a metadata document as its client id (CR-1 CR-2)', async () => {
    const start = world.exchanges.length
    const documentUrl = documents.publish('mcp-go.json', { redirect_uris: ['http://127.0.0.1:7999/oauth/callback'] })
    await withClient(name, { url: world.mcpUrl, user: 'mcp-go-cimd', documentUrl }, async (client) => {
      await connect(client)
      await pass(world, client, 3605)
      expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
      expect(client.visits.map((visit) => visit.searchParams.get('client_id'))).toEqual([documentUrl])
    })
    expect(seenSince(start, '/register')).toEqual([])
    expect(seenSince(start, '/token').map((each) => each.status)).toEqual([200, 200])
  }, 60_000)

  it('connects at the URL with a slash, for the resource that the PRM names (TK-4)', async () => {
    await withClient(name, { url: `${world.mcpUrl}/`, user: 'mcp-go-slash' }, async (client) => {
      await connect(client)
      expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
      expect(client.visits.map((visit) => visit.searchParams.get('resource'))).toEqual([world.mcpUrl])
    })
  }, 60_000)
})
