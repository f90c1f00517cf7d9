import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { clientRedirect } from '../authorization/browser.ts'
import { basic, secrets, startTokenWorld, type TokenWorld } from './world.ts'

let world: TokenWorld
beforeAll(async () => {
  const rules = [
    { tools: ['list_*'], requireScopes: ['todos.read'] },
    { tools: ['add_*'], requireScopes: ['todos.write'] },
    { tools: ['purge_*'], requireScopes: ['todos.admin'] },
  ]
  world = await startTokenWorld({
    servers: {
      mcp: { scopes: ['todos.read', 'todos.write', 'todos.admin'], policy: { default: 'allow', rules } },
      narrow: { scopes: ['todos.read'] },
    },
    gateway: {
      scopeHierarchy: { 'todos.admin': ['todos.write'], 'todos.write': ['todos.read'] },
      clients: {
        preregistered: [
          { clientId: 'cli', redirectUris: [clientRedirect], name: 'Command line' },
          { clientId: 'writer', redirectUris: [clientRedirect], name: 'Writer', scopes: ['todos.write'] },
          { clientId: 'inspector', clientSecret: secrets.inspector, name: 'Inspector', introspect: true },
        ],
      },
    },
    scopeMap: { 'todos.admin': ['todos.write'] },
  })
})
afterAll(() => world.close())

const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const connect = async (scope: string, members: Record<string, string> = {}) => (await world.connect('ann', { scope, ...members })).body
const refresh = (refresh_token: string, scope: string) => world.token({ grant_type: 'refresh_token', refresh_token, client_id: 'cli', scope })

describe('BC-13: a broader scope satisfies a narrower need', () => {
  it('in every rule, through as many steps as there are', async () => {
    const { access_token: token, scope } = await connect('todos.admin')
    expect(scope).toBe('todos.admin')
    for (const tool of ['list_todos', 'add_todo', 'purge_all']) expect([tool, (await world.call('/mcp', bearer(token), tool)).status]).toEqual([tool, 200])
    // The runtime hears of them too, so that its own checks agree.
    expect(world.reached()?.['x-emcy-scopes']).toBe('todos.admin todos.write todos.read')
  })

  it('and never the other way round', async () => {
    const { access_token: token } = await connect('todos.read')
    expect((await world.call('/mcp', bearer(token), 'list_todos')).status).toBe(200)
    const answer = await world.call('/mcp', bearer(token), 'add_todo')
    expect(answer.status).toBe(403)
    expect(answer.headers.get('www-authenticate')).toContain('scope="todos.read todos.write"')
    expect(world.events.findLast(({ event }) => event === 'mcp.request')).toMatchObject({ decision: 'insufficient_scope' })
  })

  it('at the API behind the runtime: what is included is asked for downstream as well', async () => {
    const { access_token: token } = await connect('todos.write')
    await world.call('/mcp', bearer(token), 'list_todos')
    const downstream = await world.provider.provider.AccessToken.find(String(world.reached()?.['x-emcy-access-token']))
    expect(downstream?.scope?.split(' ').sort()).toEqual(['openid', 'todos.read', 'todos.write'])
  })

  it('TK-8, RFC 6749 §6: a refresh may narrow to what is included, and never widen', async () => {
    const { refresh_token: first } = await connect('todos.write')
    const narrow = await refresh(first, 'todos.read')
    expect([narrow.status, narrow.body.scope]).toEqual([200, 'todos.read'])
    expect((await world.call('/mcp', bearer(narrow.body.access_token), 'list_todos')).status).toBe(200)
    expect((await world.call('/mcp', bearer(narrow.body.access_token), 'add_todo')).status).toBe(403)
    expect((await refresh(narrow.body.refresh_token, 'todos.admin')).body.error).toBe('invalid_scope')
    // The refresh token keeps what was granted.
    const wide = await world.token({ grant_type: 'refresh_token', refresh_token: narrow.body.refresh_token, client_id: 'cli' })
    expect(wide.body.scope).toBe('todos.write')
  })

  it('in the bound of a client that the team wrote down', async () => {
    expect((await connect('todos.read', { client_id: 'writer' })).scope).toBe('todos.read')
    expect((await connect('todos.write', { client_id: 'writer' })).scope).toBe('todos.write')
    await expect(world.code('ann', { client_id: 'writer', scope: 'todos.admin' })).rejects.toThrow('invalid_scope')
  })
})

describe('AZ-16 PR-10: which scopes there are', () => {
  it('each server names its own, and a client gets no others there', async () => {
    expect((await world.get('/.well-known/oauth-protected-resource/narrow')).scopes_supported).toEqual(['todos.read'])
    expect((await world.get('/.well-known/oauth-protected-resource/mcp')).scopes_supported).toEqual(['todos.read', 'todos.write', 'todos.admin'])
    const resource = `${world.issuer}/narrow`
    expect((await connect('todos.read todos.write', { resource })).scope).toBe('todos.read')
    await expect(world.code('ann', { resource, scope: 'todos.write' })).rejects.toThrow('invalid_scope')
  })

  it('asked for none, a client gets the default of the server; unknown ones are dropped', async () => {
    expect((await world.connect('ann')).body.scope).toBe('todos.read todos.write todos.admin')
    expect((await connect('todos.read surprise offline_access')).scope).toBe('todos.read')
  })

  it('introspection says what was granted, not what it includes', async () => {
    const { access_token: token } = await connect('todos.write')
    const answer = await world.post('/introspect', { token }, basic('inspector', secrets.inspector))
    expect(answer.body.scope).toBe('todos.write')
  })
})
