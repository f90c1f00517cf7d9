import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { prepareStepClient, type StepClientName } from '../harness/step-client.ts'
import { callTool, connect, formOf, live, outliveRestart, pass, refreshes, stepUp, withClient } from '../harness/step-client-life.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let documents: DocumentServer
let world: TodoWorld

beforeAll(async () => {
  await Promise.all([prepareStepClient('mcp-1'), prepareStepClient('mcp-2')])
  documents = await startDocumentServer()
  world = await startTodo({
    caFile: documents.caFile,
    recorded: true,
    gateway: { policy: { default: 'allow', rules: [{ tools: ['add_todo'], requireScopes: ['todos.write'] }] } },
  })
}, 300_000)

afterAll(async () => {
  await world?.close()
  await documents?.close()
})

const prm = '/.well-known/oauth-protected-resource/mcp'
const metadata = '/.well-known/oauth-authorization-server'
const clients: { name: StepClientName; release: string; discoveryRevision: string; modes: [string | undefined, string, string][] }[] = [
  { name: 'mcp-1', release: 'mcp 1.30.0', discoveryRevision: '2025-11-25', modes: [[undefined, '2025-11-25', 'initialize']] },
  {
    name: 'mcp-2',
    release: 'mcp 2.3.0',
    discoveryRevision: '2026-07-28',
    modes: [
      ['auto', '2026-07-28', 'server/discover'],
      ['legacy', '2025-11-25', 'initialize'],
    ],
  },
]

for (const { name, release, discoveryRevision, modes } of clients) {
  describe(`${release} for Python`, () => {
    for (const [mode, revision, firstMethod] of modes) {
      it(`lives a whole connection, ${mode ?? 'legacy'} (PR-1 PR-5 BC-7 BC-8 TK-4 TK-6)`, async () => {
        const life = await live(world, name, { user: `${name}-${mode}`, ...(mode === undefined ? {} : { mode }) })
        expect(life.revision).toBe(revision)

        // its first request is refused before anything else is looked at, and names where the metadata stands
        const [first] = life.before('/mcp')
        expect(first).toMatchObject({ method: 'POST', status: 401 })
        expect(JSON.parse(first?.body ?? '')).toMatchObject({ method: firstMethod })
        expect(first?.requestHeaders['mcp-protocol-version']).toBe(mode === 'auto' ? '2026-07-28' : undefined)
        expect(first?.headers['www-authenticate']).toBe(`Bearer resource_metadata="${world.issuer}${prm}", scope="todos.read todos.write"`)

        // discovery: once each, without Accept and User-Agent
        for (const exchange of [...life.before(prm), ...life.before(metadata), ...life.before('/register'), ...life.before('/token')]) {
          expect(exchange.requestHeaders).not.toHaveProperty('accept')
          expect(exchange.requestHeaders).not.toHaveProperty('user-agent')
          expect(exchange.headers['content-type']).toBe('application/json')
        }
        for (const path of [prm, metadata]) {
          expect(life.before(path).map((each) => [each.status, each.requestHeaders['mcp-protocol-version']])).toEqual([[200, discoveryRevision]])
        }

        // registration: the scope of the challenge, application_type only from mcp 2, a secret since no auth method means client_secret_basic
        const [registration] = life.before('/register')
        expect(JSON.parse(registration?.body ?? '')).toEqual({
          client_name: name,
          redirect_uris: ['http://127.0.0.1:7998/callback'],
          grant_types: ['authorization_code', 'refresh_token'],
          response_types: ['code'],
          scope: 'todos.read todos.write',
          ...(name === 'mcp-2' && { application_type: 'native' }),
        })
        const { client_id, client_secret } = JSON.parse(registration?.answer ?? '{}')
        expect(registration?.status).toBe(201)

        // authorization: the challenge's scope, and no offline_access, which the metadata does not list
        const asked = formOf(life.client.visits[0]?.search ?? '')
        expect(asked).toMatchObject({ client_id, scope: 'todos.read todos.write' })
        expect(asked).not.toHaveProperty('prompt')

        // tokens: as registered, with `resource` at the code and at each refresh
        for (const { requestHeaders, body } of life.before('/token')) {
          expect(requestHeaders.authorization).toBe(`Basic ${Buffer.from(`${client_id}:${client_secret}`).toString('base64')}`)
          expect(formOf(body)).toMatchObject({ client_id, resource: world.mcpUrl })
          expect(formOf(body)).not.toHaveProperty('client_secret')
        }
        expect(formOf(life.before('/token')[0]?.body ?? '').code_verifier).toHaveLength(128)

        // a revoked session: a new login under the same client_id
        expect(life.afterRevocation).toMatchObject({ isError: false, texts: [expect.stringContaining('buy milk')] })
        expect(life.client.visits.map((visit) => visit.searchParams.get('client_id'))).toEqual([client_id, client_id])
        expect(life.after('/register')).toEqual([])
      }, 90_000)
    }

    it('brings its metadata document instead of registering, from another port than the document names (CR-1 CR-2)', async () => {
      const settings = { url: world.mcpUrl, user: `${name}-cimd`, documentUrl: documents.url }
      const start = world.exchanges.length
      await withClient(name, settings, async (client) => {
        await connect(client)
        await pass(world, client, 3605)
        expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
        expect(client.visits.map((visit) => [visit.searchParams.get('client_id'), visit.searchParams.get('redirect_uri')])).toEqual([
          [documents.url, 'http://127.0.0.1:7998/callback'],
        ])
      })
      const seen = world.exchanges.slice(start)
      expect(seen.map((each) => each.url.pathname)).not.toContain('/register')
      const tokens = seen.filter((each) => each.url.pathname === '/token')
      expect(tokens.map(({ status, requestHeaders, body }) => [status, requestHeaders.authorization, formOf(body).client_id])).toEqual([
        [200, undefined, documents.url],
        [200, undefined, documents.url],
      ])
    }, 60_000)

    it('asks its user for more scopes when a tool needs them, and calls again by itself (BC-9 BC-11)', async () => {
      const { call, asked } = await stepUp(world, name, { user: `${name}-step-up` })
      expect(call).toMatchObject({ isError: false, texts: [expect.stringContaining('stepped up')] })
      expect(asked).toEqual(['todos.read todos.write', 'todos.read todos.write'])
    }, 60_000)

    it('goes on after a restart of the gateway (TK-6)', () => outliveRestart(world, name, { user: `${name}-restart` }), 60_000)

    for (const authMethod of ['none', 'client_secret_post'] as const) {
      it(`authenticates by ${authMethod} when it registered so, and connects at the URL with a slash too (TK-6)`, async () => {
        const start = world.exchanges.length
        await withClient(name, { url: `${world.mcpUrl}/`, user: `${name}-${authMethod}`, authMethod }, async (client) => {
          await connect(client)
          await pass(world, client, 3605)
          expect(await callTool(client, 'list_todos')).toEqual([expect.stringContaining('todos')])
          // The PRM's string, whatever the user has typed.
          expect(client.visits.map((visit) => visit.searchParams.get('resource'))).toEqual([world.mcpUrl])
        })
        const tokens = world.exchanges.slice(start).filter((each) => each.url.pathname === '/token')
        expect(refreshes(tokens)).toHaveLength(1)
        for (const { status, requestHeaders, body } of tokens) {
          expect(status).toBe(200)
          expect(requestHeaders.authorization).toBeUndefined()
          expect('client_secret' in formOf(body)).toBe(authMethod === 'client_secret_post')
        }
      }, 60_000)
    }
  })
}
