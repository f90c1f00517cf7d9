import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { nativeRedirectUri } from '../harness/oauth-provider.ts'
import { type Answer, type Issued, pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
const second = { path: '/other', name: 'Other' }

beforeAll(async () => {
  world = await startTodo({
    runtime: 'local',
    servers: { other: { ...second, workerSecret: 'x'.repeat(40), scopes: ['todos.read'] } },
    gateway: { tokens: { accessTokenSeconds: 600, refreshGraceSeconds: 60, codeSeconds: 60 } },
  })
}, 60_000)
afterAll(() => world?.close())

const clients: ScriptedClient[] = []
const newClient = () => {
  const client = new ScriptedClient(world.issuer, world.mcpUrl)
  clients.push(client)
  return client.register()
}
const list = (token: string, url = world.mcpUrl) =>
  rpc(url, token, { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } })

/** An OAuth error of the token endpoint: status, code, and nothing that a client could not know already (TK-12). */
function expectError(answer: Answer<unknown>, error: string, status = 400): void {
  expect(answer.status).toBe(status)
  expect(answer.body).toMatchObject({ error })
  expect(Object.keys(answer.body as object).every((name) => ['error', 'error_description', 'error_uri'].includes(name))).toBe(true)
  expect(JSON.stringify(answer.body)).not.toMatch(/emcy_(at|rt|ac)_/)
  expect(answer.headers.get('cache-control')).toContain('no-store')
}

describe('TK-1 TK-2 TK-3: the authorization code', () => {
  it('TK-2: works once; the second use ends what the first gave', async () => {
    const client = await newClient()
    const { code, verifier } = await client.code('ann')
    const first = await client.redeem(code, verifier)
    expect(first.status).toBe(200)
    expect(first.headers.get('cache-control')).toContain('no-store')
    expect(first.body).toMatchObject({ token_type: 'Bearer', expires_in: 600 })
    expect((await list(first.body.access_token)).status).toBe(200)
    expectError(await client.redeem(code, verifier), 'invalid_grant')
    expect((await list(first.body.access_token)).status).toBe(401)
    expectError(await client.refresh(first.body.refresh_token), 'invalid_grant')
  })

  it('TK-2: twenty at once: one gets tokens at most', async () => {
    const client = await newClient()
    const { code, verifier } = await client.code('ann')
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.redeem(code, verifier)))
    expect(answers.filter((answer) => answer.status === 200).length).toBeLessThanOrEqual(1)
    for (const answer of answers.filter((each) => each.status !== 200)) expectError(answer, 'invalid_grant')
  })

  it('TK-1: needs its verifier, and a wrong one gets nothing', async () => {
    const client = await newClient()
    const { code } = await client.code('ann')
    expectError(await client.redeem(code, pkce().verifier), 'invalid_grant')
    const missing = await client.redeem(code, '', { code_verifier: undefined })
    expect([missing.status, (missing.body as unknown as { error: string }).error]).toEqual([400, expect.stringMatching(/^invalid_(request|grant)$/)])
  })

  it('TK-3: belongs to its client', async () => {
    const [client, other] = [await newClient(), await newClient()]
    const { code, verifier } = await client.code('ann')
    expectError(await other.redeem(code, verifier), 'invalid_grant')
  })

  it('TK-3: belongs to its redirect URI', async () => {
    const client = await newClient()
    const { code, verifier } = await client.code('ann')
    expectError(await client.redeem(code, verifier, { redirect_uri: 'http://127.0.0.1:7999/other' }), 'invalid_grant')
  })

  it('AZ-2: the loopback port may differ from the registered one', async () => {
    const client = await newClient()
    const elsewhere = nativeRedirectUri.replace('7999', '7998')
    const page = await client.browser.open(client.authorizeUrl(pkce().challenge, { redirect_uri: elsewhere }))
    expect(page.status).toBe(200)
    expect(page.text).toContain('127.0.0.1:7998')
  })

  it('TK-2: expires', async () => {
    const client = await newClient()
    const { code, verifier } = await client.code('ann')
    await world.advanceClock(61_000)
    expectError(await client.redeem(code, verifier), 'invalid_grant')
  })

  it('TK-5: is bound to its resource', async () => {
    const client = await newClient()
    const { code, verifier } = await client.code('ann')
    expectError(await client.redeem(code, verifier, { resource: `${world.issuer}${second.path}` }), 'invalid_target')
  })
})

describe('TK-6 TK-7 TK-8: refresh', () => {
  it('TK-6: twenty at once get one successor, all of them', async () => {
    const client = await newClient()
    const tokens = await client.signIn('bob')
    const answers = await Promise.all(Array.from({ length: 20 }, () => client.refresh(tokens.refresh_token)))
    expect(answers.map((answer) => answer.status)).toEqual(Array(20).fill(200))
    expect(new Set(answers.map((answer) => answer.body.refresh_token)).size).toBe(1)
    expect(new Set(answers.map((answer) => answer.body.access_token)).size).toBe(1)
    expect(answers[0]?.body.refresh_token).not.toBe(tokens.refresh_token)
    expect((await list(answers[0]?.body.access_token ?? '')).status).toBe(200)
  })

  it('TK-7: a lost response, repeated long after the window, is still the session', async () => {
    const client = await newClient()
    const tokens = await client.signIn('bob')
    const lost = await client.refresh(tokens.refresh_token)
    expect(lost.status).toBe(200)
    await world.advanceClock(3 * 3_600_000)
    const again = await client.refresh(tokens.refresh_token)
    expect(again.status).toBe(200)
    expect(again.body.refresh_token).toBe(lost.body.refresh_token)
    expect((await list(again.body.access_token)).status).toBe(200)
  })

  it('TK-7: a replay after the successor was used ends the connection', async () => {
    const client = await newClient()
    const tokens = await client.signIn('bob')
    const next = (await client.refresh(tokens.refresh_token)).body
    const after = (await client.refresh(next.refresh_token)).body
    await world.advanceClock(61_000)
    expectError(await client.refresh(tokens.refresh_token), 'invalid_grant')
    expect((await list(after.access_token)).status).toBe(401)
    expectError(await client.refresh(after.refresh_token), 'invalid_grant')
    expect(world.events().map((event) => event.event)).toContain('authorization.replay')
  })

  it('TK-8: another client gets nothing and ends nothing', async () => {
    const [client, other] = [await newClient(), await newClient()]
    const tokens = await client.signIn('bob')
    expectError(await other.refresh(tokens.refresh_token), 'invalid_grant')
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200)
  })

  it('TK-8: scope can narrow and never widen', async () => {
    const client = await newClient()
    const tokens = await client.signIn('bob', { scope: 'todos.read' })
    expect(tokens.scope).toBe('todos.read')
    expectError(await client.refresh(tokens.refresh_token, { scope: 'todos.read todos.write' }), 'invalid_scope')
  })

  it('TK-5: without a resource the audience comes from the connection', async () => {
    const client = await newClient()
    const tokens = await client.signIn('bob')
    expect((await client.refresh(tokens.refresh_token, { resource: undefined })).status).toBe(200)
  })

  it('a token that we did not issue ends nobody', async () => {
    const client = await newClient()
    const tokens = await client.signIn('bob')
    const forged = `${tokens.refresh_token.slice(0, -6)}AAAAAA`
    expectError(await client.refresh(forged), 'invalid_grant')
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200)
  })
})

describe('BC-3 BC-6 BC-7 AS-10: the access token', () => {
  const prm = (path: string) => `${world.issuer}/.well-known/oauth-protected-resource${path}`

  async function expect401(answer: Awaited<ReturnType<typeof rpc>>, path = '/mcp'): Promise<void> {
    expect(answer.status).toBe(401)
    const challenge = answer.headers.get('www-authenticate') ?? ''
    expect(challenge).toMatch(/^Bearer /)
    expect(challenge).toContain(`resource_metadata="${prm(path)}"`)
    expect(challenge).toContain('error="invalid_token"')
    expect(answer.text).not.toMatch(/emcy_at_/)
  }

  it('revoked: 401, for the whole connection', async () => {
    const client = await newClient()
    const tokens: Issued = await client.signIn('carol')
    expect((await client.revoke(tokens.access_token)).status).toBe(200)
    await expect401(await list(tokens.access_token))
    expectError(await client.refresh(tokens.refresh_token), 'invalid_grant')
  })

  it('AS-10: revoking without a secret, twice, and something unknown, is 200', async () => {
    const client = await newClient()
    const tokens = await client.signIn('carol')
    for (const token of [tokens.refresh_token, tokens.refresh_token, 'unknown'])
      expect((await client.revoke(token, { token_type_hint: 'refresh_token' })).status).toBe(200)
    await expect401(await list(tokens.access_token))
  })

  it('AS-10: a stranger revokes nothing', async () => {
    const [client, other] = [await newClient(), await newClient()]
    const tokens = await client.signIn('carol')
    await other.revoke(tokens.refresh_token)
    expect((await list(tokens.access_token)).status).toBe(200)
  })

  it('BC-3: of another server: 401', async () => {
    const client = await newClient()
    const tokens = await client.signIn('carol')
    await expect401(await list(tokens.access_token, `${world.issuer}${second.path}`), second.path)
    expect((await list(tokens.access_token)).status).toBe(200)
  })

  it('expired: 401, and the refresh token still works', async () => {
    const client = await newClient()
    const tokens = await client.signIn('carol')
    await world.advanceClock(606_000)
    await expect401(await list(tokens.access_token))
    const next = await client.refresh(tokens.refresh_token)
    expect((await list(next.body.access_token)).status).toBe(200)
  })

  it('BC-1: a token in the query string is no token', async () => {
    const client = await newClient()
    const tokens = await client.signIn('carol')
    const answer = await rpc(`${world.mcpUrl}?access_token=${tokens.access_token}`, undefined, { jsonrpc: '2.0', id: 1, method: 'ping' })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('www-authenticate')).not.toContain('error=')
  })
})

describe('AS-1 TK-12: client authentication', () => {
  it('a confidential client needs its secret', async () => {
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    client.clientId = preregistered.confidential.clientId
    const { code, verifier } = await client.code('dave')
    const wrong = await client.redeem(code, verifier, { client_secret: 'wrong' })
    expectError(wrong, 'invalid_client', 401)
    expect((await client.redeem(code, verifier, { client_secret: preregistered.confidential.clientSecret })).status).toBe(200)
  })

  it('by the Authorization header: 401 with a challenge', async () => {
    const basic = Buffer.from(`${preregistered.confidential.clientId}:wrong`).toString('base64')
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    const answer = await client.token({ client_id: undefined, grant_type: 'refresh_token', refresh_token: 'x' }, { authorization: `Basic ${basic}` })
    expectError(answer, 'invalid_client', 401)
    expect(answer.headers.get('www-authenticate')).toMatch(/^Basic /)
  })

  it('an unknown grant type is named as such', async () => {
    const client = await newClient()
    expectError(await client.token({ grant_type: 'password', username: 'a', password: 'b' }), 'unsupported_grant_type')
  })
})

describe('TK-10: the log', () => {
  it('holds no token, code or secret of this whole file', async () => {
    const text = JSON.stringify(world.events())
    const secrets = clients.flatMap((client) => client.secrets).concat(world.workerSecret, preregistered.confidential.clientSecret)
    expect([secrets.length > 50, world.events().length > 50]).toEqual([true, true])
    expect(secrets.filter((secret) => text.includes(secret))).toEqual([])
    expect(/emcy_(at|rt|ac)_/.exec(text)).toBeNull()
  })
})
