import assert from 'node:assert/strict'
import { Browser, callbackOf, type Page } from '../../test/harness/browser.ts'
import { clientV2, isUnauthorized, type TestClient } from '../../test/harness/mcp-clients.ts'
import { TestOAuthProvider } from '../../test/harness/oauth-provider.ts'

/** One leg of the way: what it did, in words. Throws when it did not go as it should. */
type Leg = (walk: Walk) => Promise<string>

/** What the legs share. */
interface Walk {
  mcpUrl: string
  origin: string
  oauth: TestOAuthProvider
  client: TestClient
  browser: Browser
  /** Where the browser stands. */
  page?: Page
}

const user = { user: 'alice' }

const legs: Record<string, Leg> = {
  registration: async ({ client, oauth, origin }) => {
    await assert.rejects(client.connect(), isUnauthorized, 'the gateway let a client in that has no token')
    assert(oauth.client && oauth.authorizationUrl, 'the client found no place to register')
    return `401, discovery, then client ${oauth.client.client_id} at ${origin}`
  },
  consent: async (walk) => {
    const page = await walk.browser.open(String(walk.oauth.authorizationUrl))
    assert.equal(page.url.origin, walk.origin, 'consent is asked by the gateway, before anyone is sent on')
    assert.match(page.text, /Test Client/, 'the page names the client')
    walk.page = await walk.browser.answer(page, user)
    return 'allowed on the page of the gateway'
  },
  login: async (walk) => {
    const page = present(walk.page)
    assert.notEqual(page.url.origin, walk.origin, 'the login is at the own authorization server of the team')
    walk.page = await walk.browser.answer(page, user)
    return `as ${user.user} at ${page.url.origin}`
  },
  code: async ({ oauth, origin, ...walk }) => {
    const callback = callbackOf(present(walk.page))
    assert(callback.get('code') && oauth.isOurs(callback), `no code came back: ${callback}`)
    assert.equal(callback.get('iss'), origin, 'iss names the gateway (RFC 9207)')
    return 'came back to the client, with its state and the issuer'
  },
  token: async ({ client, oauth, ...walk }) => {
    await client.finishAuth(callbackOf(present(walk.page)))
    assert(oauth.saved?.refresh_token, 'no refresh token came with the access token')
    return `access token for ${oauth.saved.expires_in} s, refresh token, scope "${oauth.saved.scope}"`
  },
  'tools/list': async ({ client }) => {
    await client.connect()
    const tools = await client.listTools()
    assert.deepEqual([...tools].sort(), ['add_todo', 'complete_todo', 'delete_todo', 'list_todos'])
    return `${tools.join(', ')} (MCP ${client.revision()})`
  },
  'tools/call': async ({ client }) => {
    const { id } = await call(client, 'add_todo', { title: 'Try Emcy Gateway' })
    const { todos } = await call(client, 'list_todos')
    assert(
      todos.some((todo: { id: number }) => todo.id === id),
      'the new todo is in the list',
    )
    await call(client, 'complete_todo', { id })
    await call(client, 'delete_todo', { id })
    return `add, list, complete and delete todo ${id} at the API, with the token of the user`
  },
  refresh: async ({ client, oauth }) => {
    const before = oauth.saved?.refresh_token
    oauth.breakAccessToken()
    await call(client, 'list_todos')
    assert.notEqual(oauth.saved?.refresh_token, before, 'the refresh token was rotated')
    return 'with a broken access token: 401, refreshed in silence, the call went through'
  },
  revoke: async ({ oauth, mcpUrl, origin }) => {
    const metadata = (await (await fetch(`${origin}/.well-known/oauth-authorization-server`)).json()) as Record<string, string>
    const authorization = `Bearer ${oauth.saved?.access_token}`
    assert.equal((await oauth.revoke(String(metadata.revocation_endpoint))).status, 200)
    const call = await fetch(mcpUrl, { method: 'POST', headers: { authorization } })
    assert.equal(call.status, 401, 'the access token outlived its revocation')
    assert.match(call.headers.get('www-authenticate') ?? '', /error="invalid_token"/)
    const params = { grant_type: 'refresh_token', refresh_token: String(oauth.saved?.refresh_token), client_id: String(oauth.client?.client_id) }
    const refresh = await fetch(String(metadata.token_endpoint), { method: 'POST', body: new URLSearchParams(params) })
    assert.equal(((await refresh.json()) as { error: string }).error, 'invalid_grant', 'the refresh token outlived its revocation')
    return 'the access token gets 401 at once, the refresh token invalid_grant'
  },
}

/**
 * Lets a real MCP client (MCP SDK v2) go the whole way at the running demo, one printed line a leg. The browser is a small one that fills in the forms.
 *
 * @returns whether every leg did what it should
 */
export async function walkThrough(mcpUrl: string, print: (line: string) => void): Promise<boolean> {
  const oauth = new TestOAuthProvider({ kind: 'dynamic' })
  const client = clientV2(mcpUrl, oauth, 'auto')
  const walk: Walk = { mcpUrl, origin: new URL(mcpUrl).origin, oauth, client, browser: new Browser(oauth.redirectUrl) }
  try {
    for (const [name, leg] of Object.entries(legs)) {
      try {
        print(`ok      ${name.padEnd(13)} ${await leg(walk)}`)
      } catch (error) {
        print(`FAILED  ${name.padEnd(13)} ${error instanceof Error ? error.message : error}`)
        return false
      }
    }
    return true
  } finally {
    await client.close()
  }
}

function present<T>(value: T | undefined): T {
  assert(value !== undefined, 'an earlier leg left nothing')
  return value
}

/** Calls a tool of the Todo runtime, all of which answer JSON. */
async function call(client: TestClient, name: string, args: Record<string, unknown> = {}) {
  const { text, isError } = await client.callTool(name, args)
  assert(!isError, `${name}: ${text}`)
  return JSON.parse(text)
}
