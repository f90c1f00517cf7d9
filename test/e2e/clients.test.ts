import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser, callbackOf } from '../harness/browser.ts'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { asksToSignIn, clientV1, clientV2, type Mode, signIn, type TestClient } from '../harness/mcp-clients.ts'
import { nativeRedirectUri, type Registration, TestOAuthProvider } from '../harness/oauth-provider.ts'
import { rpc } from '../harness/scripted-client.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

let documents: DocumentServer
let world: TodoWorld

beforeAll(async () => {
  documents = await startDocumentServer()
  world = await startTodo({ caFile: documents.caFile })
}, 60_000)

afterAll(async () => {
  await world?.close()
  await documents?.close()
})

const registrations: Record<string, () => Registration> = {
  DCR: () => ({ kind: 'dynamic' }),
  CIMD: () => ({ kind: 'document', url: documents.url }),
  'preregistered public': () => ({ kind: 'preregistered', clientId: preregistered.public.clientId }),
  'preregistered confidential': () => ({
    kind: 'preregistered',
    clientId: preregistered.confidential.clientId,
    clientSecret: preregistered.confidential.clientSecret,
  }),
}
const modes: [string, Mode, string][] = [
  ['legacy', 'legacy', '2025-11-25'],
  ['auto', 'auto', '2026-07-28'],
  ['pinned 2026-07-28', { pin: '2026-07-28' }, '2026-07-28'],
]

/** Requests of a client to one path, in order. */
const to = (client: TestClient, pathname: string) => client.exchanges.filter((exchange) => exchange.url.pathname === pathname)

/** The whole life of one client: what every part of the gateway exists for. */
async function live(client: TestClient, provider: TestOAuthProvider, user: string): Promise<void> {
  // 401, discovery, and where the user is to go
  expect(await asksToSignIn(client.connect())).toBe(true)
  const [first] = client.exchanges
  expect(first).toMatchObject({ status: 401 })
  const prm = `${world.issuer}/.well-known/oauth-protected-resource/mcp`
  expect(first?.headers.get('www-authenticate')).toBe(`Bearer resource_metadata="${prm}", scope="todos.read todos.write"`)
  expect(to(client, '/.well-known/oauth-protected-resource/mcp').map((exchange) => exchange.status)).toContain(200)
  expect(to(client, '/.well-known/oauth-authorization-server').map((exchange) => exchange.status)).toContain(200)
  const authorize = provider.authorizationUrl as URL
  expect(authorize.searchParams.get('resource')).toBe(world.mcpUrl)

  // consent, login, code, token
  const callback = callbackOf(await new Browser(nativeRedirectUri).authorize(authorize, { user }))
  expect(provider.isOurs(callback)).toBe(true)
  expect(callback.get('iss')).toBe(world.issuer)
  await client.finishAuth(callback)
  await client.connect()
  expect(provider.saved?.scope?.split(' ').sort()).toEqual(['todos.read', 'todos.write'])

  // tools
  expect((await client.listTools()).sort()).toEqual(['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
  const title = `buy milk for ${user} with ${client.name}`
  expect(await client.callTool('add_todo', { title })).toMatchObject({ isError: false })
  expect((await client.callTool('list_todos')).text).toContain(title)

  // a broken access token is replaced without a word to the user
  const before = provider.saved?.refresh_token
  provider.breakAccessToken()
  provider.authorizationUrl = undefined
  expect((await client.callTool('list_todos')).text).toContain(title)
  expect(provider.authorizationUrl).toBeUndefined()
  expect(provider.saved?.refresh_token).not.toBe(before)
  expect(to(client, '/token').at(-1)).toMatchObject({ status: 200 })
  expect(new URLSearchParams(to(client, '/token').at(-1)?.body).get('grant_type')).toBe('refresh_token')

  // revoked: 401, and the user is asked again
  const token = provider.saved?.access_token
  expect((await provider.revoke(`${world.issuer}/revoke`)).status).toBe(200)
  const after = await rpc(world.mcpUrl, token, { jsonrpc: '2.0', id: 1, method: 'tools/list' })
  expect(after.status).toBe(401)
  expect(after.headers.get('www-authenticate')).toContain('error="invalid_token"')
  expect(await asksToSignIn(client.callTool('list_todos'))).toBe(true)
  expect(provider.authorizationUrl).toBeDefined()
  await client.close()
}

describe('PR-1 PR-5 BC-7 BC-8 AZ-14 TK-4 TK-6 AS-10: SDK v2 through the whole life of a connection', () => {
  for (const [how, registration] of Object.entries(registrations)) {
    for (const [mode, negotiation, revision] of modes) {
      it(`${how}, ${mode}`, async () => {
        const provider = new TestOAuthProvider(registration())
        const client = clientV2(world.mcpUrl, provider, negotiation)
        const checked: TestClient = {
          ...client,
          listTools: () => {
            expect(client.revision()).toBe(revision)
            return client.listTools()
          },
        }
        await live(checked, provider, `ann-${how}-${mode}`.replace(/[^a-z0-9]+/gi, '-').toLowerCase())
        if (how === 'CIMD') expect(provider.client?.client_id).toBe(documents.url)
      })
    }
  }
})

describe('PR-4 TR-13 CR-1 CR-2: SDK v1 through the whole life of a connection', () => {
  for (const how of ['DCR', 'CIMD'] as const) {
    it(how, async () => {
      const provider = new TestOAuthProvider((registrations[how] as () => Registration)())
      await live(clientV1(world.mcpUrl, provider), provider, `bob-${how.toLowerCase()}`)
    })
  }
})

describe('BC-4 AZ-15: the API sees the user', () => {
  /** A connected client of a user. */
  async function connected(user: string): Promise<TestClient> {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(world.mcpUrl, provider)
    await signIn(client, provider, user)
    return client
  }

  it('a second user sees only their own todos', async () => {
    const [carol, dave] = [await connected('carol'), await connected('dave')]
    await carol.callTool('add_todo', { title: 'a secret of Carol' })
    await dave.callTool('add_todo', { title: 'a secret of Dave' })
    const [hers, his] = [(await carol.callTool('list_todos')).text, (await dave.callTool('list_todos')).text]
    expect(hers).toContain('a secret of Carol')
    expect(hers).not.toContain('Dave')
    expect(his).toContain('a secret of Dave')
    expect(his).not.toContain('Carol')
    await Promise.all([carol.close(), dave.close()])
  })

  it('the API refuses the client token itself: the two tokens never mix', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV2(world.mcpUrl, provider)
    await signIn(client, provider, 'erin')
    const direct = await fetch(`${world.apiUrl}/todos`, { headers: { authorization: `Bearer ${provider.saved?.access_token}` } })
    expect(direct.status).toBe(401)
  })
})
