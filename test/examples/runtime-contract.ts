import { once } from 'node:events'
import { type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { expect, it } from '@jest/globals'
import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client'
import type { Team } from './team.ts'

/** A Todo runtime under test. */
export interface RuntimeUnderTest {
  url: string
  secret: string
  team: Team
}

const modes = ['legacy', { pin: '2026-07-28' }] as const
const nameOf = (mode: (typeof modes)[number]) => (typeof mode === 'string' ? mode : mode.pin)
const accept = 'application/json, text/event-stream'

/** What every Todo runtime must do at its HTTP boundary, whatever it is written in: the tests of the worker contract. */
export function runtimeContract(runtime: () => RuntimeUnderTest): void {
  const connect = async (mode: (typeof modes)[number], accessToken: string | undefined) => {
    const { url, secret } = runtime()
    const headers = { 'X-Emcy-Worker-Secret': secret, ...(accessToken === undefined ? {} : { 'X-Emcy-Access-Token': accessToken }) }
    const client = new Client({ name: 'test', version: '1' }, { versionNegotiation: { mode } })
    await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }))
    return client
  }
  const call = async (client: Client, name: string, args: Record<string, unknown> = {}) => {
    const result = await client.callTool({ name, arguments: args })
    const [part] = result.content as { text: string }[]
    return { isError: result.isError === true, text: part?.text ?? '' }
  }
  const jsonOf = async (client: Client, name: string, args: Record<string, unknown> = {}) => {
    const { isError, text } = await call(client, name, args)
    if (isError) throw new Error(text)
    return JSON.parse(text)
  }

  it('answers 401 to every request without the secret, whatever its method or path, and to two secrets', async () => {
    const { url, secret } = runtime()
    const wrong = [
      {},
      { 'x-emcy-worker-secret': '' },
      { 'x-emcy-worker-secret': `${secret}x` },
      { x_emcy_worker_secret: secret },
      { authorization: `Bearer ${secret}` },
      { 'x-emcy-worker-secret': [secret, secret] },
    ]
    for (const headers of wrong) {
      for (const method of ['GET', 'POST', 'DELETE', 'OPTIONS']) {
        for (const target of [url, new URL('/mcp/', url).href, new URL('/other', url).href])
          expect([method, target, await statusOf(target, method, headers)]).toEqual([method, target, 401])
      }
    }
  })

  for (const mode of modes) {
    it(`serves the four tools with the user's own token (${nameOf(mode)})`, async () => {
      const user = `user-${nameOf(mode)}`
      const client = await connect(mode, (await runtime().team.logIn(user)).access_token)
      const { tools } = await client.listTools()
      expect(Object.fromEntries(tools.map((tool) => [tool.name, tool.annotations?.readOnlyHint]))).toEqual({
        list_todos: true,
        add_todo: false,
        complete_todo: false,
        delete_todo: false,
      })
      for (const tool of tools) expect(Object.keys(tool.inputSchema.properties ?? {})).not.toContain('token')
      const added = await jsonOf(client, 'add_todo', { title: 'Água, 水 and milk' })
      expect(added).toEqual({ id: added.id, title: 'Água, 水 and milk', done: false })
      expect(await jsonOf(client, 'list_todos')).toEqual({ todos: [added] })
      expect(await jsonOf(client, 'complete_todo', { id: added.id })).toEqual({ ...added, done: true })
      const other = await connect(mode, (await runtime().team.logIn(`${user}.2`)).access_token)
      expect(await jsonOf(other, 'list_todos')).toEqual({ todos: [] })
      expect(await call(other, 'delete_todo', { id: added.id })).toMatchObject({ isError: true, text: expect.stringContaining('no such todo') })
      expect(await jsonOf(client, 'delete_todo', { id: added.id })).toEqual({ deleted: added.id })
      await Promise.all([client.close(), other.close()])
    })

    it(`says which token is missing when the gateway sends none (${nameOf(mode)})`, async () => {
      const client = await connect(mode, undefined)
      expect((await client.listTools()).tools).toHaveLength(4)
      expect(await call(client, 'list_todos')).toEqual({ isError: true, text: expect.stringContaining('no access token') })
      await client.close()
    })

    it(`answers 401 when the API refuses the token, and 403 with its challenge when a scope is missing (${nameOf(mode)})`, async () => {
      const refused = await statusOfCall(mode, 'not-a-token-of-the-team', 'list_todos', {})
      expect(refused).toEqual({ status: 401, challenge: 'Bearer realm="todo", error="invalid_token"', body: '' })
      const { access_token: reader } = await runtime().team.logIn('reader', { scope: 'todos.read' })
      expect((await statusOfCall(mode, reader, 'list_todos', {})).status).toBe(200)
      const narrow = await statusOfCall(mode, reader, 'add_todo', { title: 'x' })
      expect(narrow).toEqual({ status: 403, challenge: 'Bearer realm="todo", error="insufficient_scope", scope="todos.write"', body: '' })
    })
  }

  /** One tools/call as the gateway sends it, so that the status is seen. */
  async function statusOfCall(mode: (typeof modes)[number], accessToken: string, name: string, args: object) {
    const { url, secret } = runtime()
    const contract = { 'x-emcy-worker-secret': secret, 'x-emcy-access-token': accessToken, accept, 'content-type': 'application/json' }
    const modern = {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    }
    const session = mode === 'legacy' ? await openSession(url, contract) : {}
    const headers = mode === 'legacy' ? session : { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/call', 'mcp-name': name }
    const params = { name, arguments: args, ...(mode === 'legacy' ? {} : { _meta: modern }) }
    const response = await fetch(url, {
      method: 'POST',
      headers: { ...contract, ...headers },
      body: JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params }),
    })
    return { status: response.status, challenge: response.headers.get('www-authenticate'), body: await response.text() }
  }
}

/** Status of a bare request; `fetch` would join a header that is sent twice. */
async function statusOf(url: string, method: string, headers: OutgoingHttpHeaders): Promise<number | undefined> {
  const sent = request(url, { method, headers }).end()
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  response.resume()
  return response.statusCode
}

/** Initializes a legacy session; a stateless server gives no id. */
async function openSession(url: string, headers: Record<string, string>): Promise<Record<string, string>> {
  const post = (message: object, more: Record<string, string> = {}) =>
    fetch(url, { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify({ jsonrpc: '2.0', ...message }) })
  const params = { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } }
  const initialized = await post({ id: 1, method: 'initialize', params })
  await initialized.text()
  const id = initialized.headers.get('mcp-session-id')
  const session = { 'mcp-protocol-version': '2025-11-25', ...(id === null ? {} : { 'mcp-session-id': id }) }
  await (await post({ method: 'notifications/initialized' }, session)).text()
  return session
}
