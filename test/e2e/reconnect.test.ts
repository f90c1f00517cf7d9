import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { asksToSignIn, clientV1, clientV2, signIn } from '../harness/mcp-clients.ts'
import { TestOAuthProvider } from '../harness/oauth-provider.ts'
import { type Asked, callModern, canOpenLinks, follow, linkOf, modernCall, newBrowser, press } from '../harness/reconnect.ts'
import { type Issued, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

let world: TodoWorld
beforeAll(async () => {
  const scopes = ['todos.read', 'todos.write']
  const shared = { path: '/shared', workerSecret: 'the-secret-of-the-shared-server', scopes, grants: 'shared' as const }
  world = await startTodo({ runtime: 'local', servers: { shared } })
}, 60_000)
afterAll(() => world?.close())

/** The Todo team ends every session by replacing its whole database, and the access tokens run out. */
async function endGrants(): Promise<void> {
  await world.forgetAuthorizations()
  await world.advanceClock(301_000)
}

/** A user whose client can open links, and whose grant is dead. */
async function withDeadGrant(user: string, url = world.mcpUrl): Promise<{ client: ScriptedClient; tokens: Issued }> {
  const client = new ScriptedClient(world.issuer, url)
  const tokens = await client.signIn(user)
  await endGrants()
  return { client, tokens }
}

const reconnects = () => world.events().filter(({ event }) => event === 'authorization.reconnect')
/** What the log says of links from then on, as soon as it says that much. */
async function outcomes(from: number, count: number): Promise<unknown[]> {
  while (reconnects().length < from + count) await world.gateway.nextMessage()
  return reconnects()
    .slice(from)
    .map(({ outcome }) => outcome)
}

const initialize = (capabilities: object) => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities, clientInfo: { name: 'bare', version: '1' } },
})
const legacyCall = { jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }

describe('EL-1 EL-9: a client of 2026-07-28 that can open links', () => {
  it('EL-5: goes on by itself once its user has signed in again, with the token that it had', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const links: string[] = []
    const client = clientV2(world.mcpUrl, provider, { pin: '2026-07-28' }, async ({ url, message }) => {
      links.push(url)
      expect(message).toContain('Test Client')
      expect((await follow(newBrowser(), url, 'ann')).text).toContain('You are signed in again')
      return 'accept'
    })
    await signIn(client, provider, 'ann')
    await client.callTool('add_todo', { title: 'mine' })
    await endGrants()
    const before = provider.saved
    expect(await client.callTool('list_todos')).toMatchObject({ isError: false, text: expect.stringContaining('mine') })
    expect(links).toHaveLength(1)
    expect(provider.saved).toEqual(before)
    await client.close()
  })

  it('EL-9: is waited for, as it agrees to open the link long before its user has signed in', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const links: string[] = []
    let signedIn: Promise<unknown> = Promise.resolve()
    const client = clientV2(world.mcpUrl, provider, { pin: '2026-07-28' }, async ({ url }) => {
      if (links.push(url) === 1) signedIn = follow(newBrowser(), url, 'bob')
      return 'accept'
    })
    await signIn(client, provider, 'bob')
    await endGrants()
    expect(await client.callTool('list_todos')).toMatchObject({ isError: false })
    await signedIn
    // However often it was asked: it was shown one link.
    expect(new Set(links).size).toBe(1)
    await client.close()
  })

  it('EL-9: declines or closes the question: the call was not made, and may be made again', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const answers = ['decline', 'cancel', 'accept'] as const
    let asked = 0
    const client = clientV2(world.mcpUrl, provider, { pin: '2026-07-28' }, async ({ url }) => {
      const answer = answers[asked++] ?? 'cancel'
      if (answer === 'accept') await follow(newBrowser(), url, 'carol')
      return answer
    })
    await signIn(client, provider, 'carol')
    await endGrants()
    for (const _ of ['decline', 'cancel'])
      expect(await client.callTool('list_todos')).toMatchObject({ isError: true, text: expect.stringContaining('not renewed') })
    expect(await client.callTool('list_todos')).toMatchObject({ isError: false })
    expect(asked).toBe(3)
    await client.close()
  })

  it('EL-12: is asked inside of the result, by a link and never by a form, and may list its tools meanwhile', async () => {
    const { tokens } = await withDeadGrant('dora')
    const result = (await callModern(world.mcpUrl, tokens.access_token)) as unknown as Asked
    expect(result).toEqual({
      resultType: 'input_required',
      inputRequests: { 'ai.emcy/reconnect': { method: 'elicitation/create', params: { mode: 'url', url: expect.any(String), message: expect.any(String) } } },
      requestState: expect.any(String),
    })
    const list = { ...modernCall(canOpenLinks).message, method: 'tools/list' }
    const listed = await rpc(world.mcpUrl, tokens.access_token, list, { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' })
    expect(listed).toMatchObject({ status: 200, message: { id: 5, result: { tools: expect.any(Array) } } })
  })
})

describe('EL-3 TR-45: a client of 2025-11-25 that can open links', () => {
  it('SDK v1: its call ends with -32042 and the link; the next one works, in the same session', async () => {
    const provider = new TestOAuthProvider({ kind: 'dynamic' })
    const client = clientV1(world.mcpUrl, provider, canOpenLinks)
    await signIn(client, provider, 'ann')
    await endGrants()
    const before = provider.saved
    const error = (await client.callTool('list_todos').catch((reason: unknown) => reason)) as {
      code: number
      message: string
      elicitations: Record<string, string>[]
    }
    expect(error.code).toBe(-32042)
    const [elicitation, ...others] = error.elicitations
    expect(others).toEqual([])
    expect(elicitation).toEqual({ mode: 'url', elicitationId: expect.stringMatching(/^[\w-]{16,}$/), url: expect.any(String), message: expect.any(String) })
    expect(error.message).toContain(String(elicitation?.url))
    // Another question has another id.
    const again = (await client.callTool('list_todos').catch((reason: unknown) => reason)) as typeof error
    expect(again.elicitations[0]?.elicitationId).not.toBe(elicitation?.elicitationId)
    expect((await follow(newBrowser(), String(elicitation?.url), 'ann')).text).toContain('You are signed in again')
    expect(await client.callTool('list_todos')).toMatchObject({ isError: false })
    expect(provider.saved).toEqual(before)
    expect(await client.listTools()).toContain('list_todos')
    await client.close()
  })

  it('TR-45: what a session’s initialize said holds for that session alone, and after a restart', async () => {
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    const tokens = await client.signIn('eve')
    const open = async (capabilities: object) => (await rpc(world.mcpUrl, tokens.access_token, initialize(capabilities))).headers.get('mcp-session-id')
    const session = String(await open(canOpenLinks))
    // Who declares forms only, or nothing, gets no session from a runtime that keeps none, as ever.
    for (const capabilities of [{}, { elicitation: {} }, { elicitation: { form: {} } }, { elicitation: { url: true } }])
      expect(await open(capabilities)).toBeNull()
    await endGrants()
    await world.restartGateway()
    const ask = (headers: object) => rpc(world.mcpUrl, tokens.access_token, legacyCall, { 'mcp-protocol-version': '2025-11-25', ...headers })
    expect(await ask({ 'mcp-session-id': session })).toMatchObject({ status: 200, message: { id: 2, error: { code: -32042 } } })
    // A mark that was put there by hand is no session.
    const forged = session.replace('.own~', '.url~')
    expect(await ask({ 'mcp-session-id': forged })).toMatchObject({ status: 404 })
    expect(
      (await fetch(world.mcpUrl, { method: 'DELETE', headers: { authorization: `Bearer ${tokens.access_token}`, 'mcp-session-id': session } })).status,
    ).toBe(405)
  })
})

describe('EL-2 EL-4 JR-16 TK-17: a client that did not declare it', () => {
  it('SDK v1 and v2: 401 and invalid_grant, and the user authorizes anew', async () => {
    for (const make of [clientV1, clientV2]) {
      const provider = new TestOAuthProvider({ kind: 'dynamic' })
      const client = make(world.mcpUrl, provider)
      await signIn(client, provider, 'bob')
      await endGrants()
      expect(await asksToSignIn(client.callTool('list_todos'))).toBe(true)
      await client.close()
    }
  })

  it('EL-2: forms only, or nothing, or in a revision without it: 401 invalid_token', async () => {
    for (const capabilities of [{}, { elicitation: {} }, { elicitation: { form: {} } }, { elicitation: { url: null } }]) {
      const { client, tokens } = await withDeadGrant('bob')
      const { message, headers } = modernCall(capabilities)
      const answer = await rpc(world.mcpUrl, tokens.access_token, message, headers)
      expect([answer.status, answer.headers.get('www-authenticate')]).toEqual([401, expect.stringContaining('error="invalid_token"')])
      expect((await client.refresh<{ error: string }>(tokens.refresh_token)).body.error).toBe('invalid_grant')
    }
  })

  it('EL-4: 2025-06-18 has none, whatever its initialize said', async () => {
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    const tokens = await client.signIn('bob')
    const session = String((await rpc(world.mcpUrl, tokens.access_token, initialize(canOpenLinks))).headers.get('mcp-session-id'))
    await endGrants()
    const headers = { 'mcp-session-id': session, 'mcp-protocol-version': '2025-06-18' }
    expect((await rpc(world.mcpUrl, tokens.access_token, legacyCall, headers)).status).toBe(401)
  })
})

describe('EL-6 EL-7: the link', () => {
  it('EL-7: says nothing of the user, signs nobody in, and leads to a page of ours', async () => {
    const { tokens } = await withDeadGrant('a-name-to-look-for')
    const link = new URL(await linkOf(world.mcpUrl, tokens.access_token))
    expect([link.origin, link.pathname, [...link.searchParams.keys()]]).toEqual([world.issuer, '/reconnect', ['link']])
    const id = String(link.searchParams.get('link'))
    const connection = /^emcy_at_([\w-]+)\./.exec(tokens.access_token)?.[1] as string
    for (const text of [id, Buffer.from(id, 'base64url').toString('latin1')]) {
      for (const personal of ['a-name-to-look-for', connection, tokens.access_token]) expect(text).not.toContain(personal)
    }
    const browser = newBrowser()
    const page = await browser.open(link)
    expect([page.status, page.trail.length, page.headers.get('cache-control'), page.headers.get('referrer-policy')]).toEqual([
      200,
      1,
      'no-store',
      'no-referrer',
    ])
    expect(page.text).toContain('Test Client')
    expect(page.html).not.toContain('a-name-to-look-for')
    expect(page.headers.getSetCookie().map((cookie) => cookie.split('=')[0])).toEqual([expect.stringMatching(/^emcy-page-/)])
    // Nothing of it is in the log.
    expect(JSON.stringify(world.events())).not.toContain(id)
  })

  it('tells whose account it is about to that account’s own browser alone', async () => {
    const { client, tokens } = await withDeadGrant('frank')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    expect((await client.browser.open(link)).text).toContain('frank')
    expect((await newBrowser().open(link)).text).not.toContain('frank')
  })

  it('EL-6: gives the client nothing of the provider’s, and the grant stays with the gateway', async () => {
    const { tokens } = await withDeadGrant('frank')
    const asked = await callModern(world.mcpUrl, tokens.access_token)
    const page = await follow(newBrowser(), await linkOf(world.mcpUrl, tokens.access_token), 'frank')
    const answer = await callModern(world.mcpUrl, tokens.access_token)
    expect(answer).toMatchObject({ resultType: 'complete' })
    // The provider's access tokens are JWTs.
    for (const shown of [JSON.stringify(asked), JSON.stringify(answer), page.html]) expect(shown).not.toMatch(/eyJ|refresh_token|access_token/)
  })

  it('is over after ten minutes, and when it was changed', async () => {
    const { tokens } = await withDeadGrant('gina')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    const changed = link.replace(/.{4}$/, (end) => (end === 'AAAA' ? 'BBBB' : 'AAAA'))
    for (const other of [changed, `${world.issuer}/reconnect`, `${world.issuer}/reconnect?link=`, `${link}&link=x`])
      expect((await newBrowser().open(other)).status).toBeGreaterThanOrEqual(400)
    const browser = newBrowser()
    const page = await browser.open(link)
    expect(page.status).toBe(200)
    await world.advanceClock(601_000)
    expect((await press(browser, page)).status).toBe(410)
    expect(await newBrowser().open(link)).toMatchObject({ status: 410, text: expect.stringContaining('This link is over') })
    expect((await follow(newBrowser(), await linkOf(world.mcpUrl, tokens.access_token), 'gina')).status).toBe(200)
  })

  it('counts once: a replay changes nothing, now or when the grant has died again', async () => {
    const { tokens } = await withDeadGrant('hana')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    const browser = newBrowser()
    const page = await browser.open(link)
    const from = reconnects().length
    expect((await follow(newBrowser(), link, 'hana')).status).toBe(200)
    expect(await newBrowser().open(link)).toMatchObject({ status: 200, forms: [], text: expect.stringContaining('You are signed in again') })
    expect((await press(browser, page)).forms).toEqual([])
    expect(await outcomes(from, 2)).toEqual(['started', 'reconnected'])
    await endGrants()
    const next = await linkOf(world.mcpUrl, tokens.access_token)
    expect((await newBrowser().open(link)).status).toBe(410)
    expect((await newBrowser().open(next)).status).toBe(200)
  })

  it('two of one connection at once: the first to arrive counts, and both users are told that it is done', async () => {
    const { tokens } = await withDeadGrant('ida')
    const links = await Promise.all([linkOf(world.mcpUrl, tokens.access_token), linkOf(world.mcpUrl, tokens.access_token)])
    expect(links[0]).not.toBe(links[1])
    const from = reconnects().length
    const browsers = links.map(() => newBrowser())
    // Both stand at the provider's login before either comes back.
    const logins = await Promise.all(
      links.map(async (link, at) => press(browsers[at] as never, await (browsers[at] as ReturnType<typeof newBrowser>).open(link))),
    )
    const pages = await Promise.all(logins.map((login, at) => browsers[at]?.answer(login, { user: 'ida' })))
    expect(pages.map((page) => [page?.status, page?.text.includes('You are signed in again')])).toEqual([
      [200, true],
      [200, true],
    ])
    expect((await outcomes(from, 4)).sort()).toEqual(['over', 'reconnected', 'started', 'started'])
    expect(await callModern(world.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'complete' })
  })
})

describe('EL-8: who may use it', () => {
  it('another account at the provider is refused and changes nothing; the right one may still come', async () => {
    const { client, tokens } = await withDeadGrant('ann')
    const bob = await new ScriptedClient(world.issuer, world.mcpUrl).signIn('bob')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    const browser = newBrowser()
    const refused = await follow(browser, link, 'bob')
    expect([refused.status, refused.text]).toEqual([403, expect.stringContaining('That is another account')])
    expect(refused.html).not.toContain('ann')
    expect(await callModern(world.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'input_required' })
    // Nor is anything of the other user's own touched.
    expect(await callModern(world.mcpUrl, bob.access_token)).toMatchObject({ resultType: 'complete' })
    await world.advanceClock(301_000)
    expect(await callModern(world.mcpUrl, bob.access_token)).toMatchObject({ resultType: 'complete' })
    // This browser is Bob's at the provider now, so Ann asks to be asked.
    expect((await follow(browser, link, 'ann', 'other')).text).toContain('You are signed in again')
    expect(await callModern(world.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'complete' })
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200)
  })

  it('a user who was sent another’s link gives them nothing, signed in as they are', async () => {
    const { tokens } = await withDeadGrant('mallory')
    const victim = new ScriptedClient(world.issuer, world.mcpUrl)
    await victim.signIn('victor')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    const from = reconnects().length
    const page = await press(victim.browser, await victim.browser.open(link))
    expect([page.status, page.text]).toEqual([403, expect.stringContaining('That is another account')])
    expect(await callModern(world.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'input_required' })
    expect(await outcomes(from, 2)).toEqual(['started', 'another account'])
    expect(reconnects().at(-1)).toMatchObject({ outcome: 'another account', subject: expect.stringContaining('mallory') })
  })

  it('AZ-8 AZ-11: the form and the way back belong to the browser that opened the page', async () => {
    const { tokens } = await withDeadGrant('judy')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    const browser = newBrowser()
    const page = await browser.open(link)
    const [form] = page.forms
    const body = new URLSearchParams([...(form?.fields ?? []), ['account', 'same']])
    expect((await newBrowser().open(`${world.issuer}/reconnect`, { method: 'POST', body })).status).toBe(403)
    const stranger = newBrowser()
    await stranger.open(link)
    expect((await stranger.open(`${world.issuer}/reconnect`, { method: 'POST', body })).status).toBe(403)
    const foreign = { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' }
    expect((await browser.open(`${world.issuer}/reconnect`, { method: 'POST', body, headers: foreign })).status).toBe(403)
    const login = await press(browser, page)
    const authorization = login.trail.find((url) => url.searchParams.has('state'))
    expect(authorization?.searchParams.get('code_challenge_method')).toBe('S256')
    expect([authorization?.searchParams.get('nonce'), authorization?.searchParams.get('login_hint')]).toEqual([expect.stringMatching(/^[\w-]{43}$/), null])
    const back = `${world.issuer}/callback?code=x&state=${authorization?.searchParams.get('state')}`
    expect((await stranger.open(back)).text).toContain('Not the same browser')
    const done = await browser.answer(login, { user: 'judy' })
    expect(done.text).toContain('You are signed in again')
    // The way back counts once.
    expect((await browser.open(done.url)).status).toBe(403)
  })

  it('whoever does not sign in after all changes nothing', async () => {
    const { tokens } = await withDeadGrant('kim')
    const browser = newBrowser()
    const login = await press(browser, await browser.open(await linkOf(world.mcpUrl, tokens.access_token)))
    const state = login.trail.find((url) => url.searchParams.has('state'))?.searchParams.get('state')
    const page = await browser.open(`${world.issuer}/callback?error=access_denied&state=${state}`)
    expect([page.status, page.text]).toEqual([403, expect.stringContaining('You were not signed in')])
    expect(await callModern(world.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'input_required' })
  })
})

describe('a connection that is disconnected meanwhile', () => {
  it('takes its links with it', async () => {
    const { client, tokens } = await withDeadGrant('lea')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    await client.revoke(tokens.refresh_token)
    expect(await newBrowser().open(link)).toMatchObject({ status: 410, forms: [] })
    expect((await rpc(world.mcpUrl, tokens.access_token, modernCall(canOpenLinks).message, modernCall(canOpenLinks).headers)).status).toBe(401)
  })

  it('does not come back when its user returns from the provider', async () => {
    const { client, tokens } = await withDeadGrant('lea')
    const browser = newBrowser()
    const login = await press(browser, await browser.open(await linkOf(world.mcpUrl, tokens.access_token)))
    await client.revoke(tokens.refresh_token)
    expect((await browser.answer(login, { user: 'lea' })).status).toBe(410)
    expect((await client.refresh<{ error: string }>(tokens.refresh_token)).body.error).toBe('invalid_grant')
  })

  it('ends a call that waits for its user', async () => {
    const { client, tokens } = await withDeadGrant('lea')
    const { requestState } = (await callModern(world.mcpUrl, tokens.access_token)) as unknown as Asked
    const { message, headers } = modernCall(canOpenLinks, 'list_todos', { requestState, inputResponses: { 'ai.emcy/reconnect': { action: 'accept' } } })
    const waiting = rpc(world.mcpUrl, tokens.access_token, message, headers)
    await client.revoke(tokens.refresh_token)
    expect((await waiting).status).toBe(401)
  })
})

describe('a gateway that is restarted meanwhile', () => {
  it('knows the link, the page and the way back', async () => {
    const { tokens } = await withDeadGrant('mia')
    const link = await linkOf(world.mcpUrl, tokens.access_token)
    await world.restartGateway()
    const browser = newBrowser()
    const page = await browser.open(link)
    await world.restartGateway()
    const login = await press(browser, page)
    await world.restartGateway('SIGKILL')
    expect((await browser.answer(login, { user: 'mia' })).text).toContain('You are signed in again')
    expect(await callModern(world.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'complete' })
  })
})

describe('a grant that a user’s connections share', () => {
  it('lives again for all of them, with the scopes that it had', async () => {
    const url = `${world.issuer}/shared`
    const wide = await new ScriptedClient(world.issuer, url).signIn('nina')
    const narrow = await new ScriptedClient(world.issuer, url).signIn('nina', { scope: 'todos.read' })
    const all = await new ScriptedClient(world.issuer, url).signIn('nina')
    await endGrants()
    expect((await follow(newBrowser(), await linkOf(url, narrow.access_token), 'nina')).status).toBe(200)
    for (const tokens of [wide, narrow, all]) expect(await callModern(url, tokens.access_token)).toMatchObject({ resultType: 'complete' })
    const add = modernCall(canOpenLinks, 'add_todo', { arguments: { title: 'still may' } })
    expect(await rpc(url, wide.access_token, add.message, add.headers)).toMatchObject({ status: 200, message: { result: { resultType: 'complete' } } })
  })

  it('an own one gets no more than its connection may', async () => {
    const tokens = await new ScriptedClient(world.issuer, world.mcpUrl).signIn('nina', { scope: 'todos.read' })
    await endGrants()
    const browser = newBrowser()
    const login = await press(browser, await browser.open(await linkOf(world.mcpUrl, tokens.access_token)))
    const asked = login.trail.find((url) => url.searchParams.has('state'))?.searchParams.get('scope')
    expect(asked?.split(' ').sort()).toEqual(['openid', 'todos.read'])
    await browser.answer(login, { user: 'nina' })
    const add = modernCall(canOpenLinks, 'add_todo', { arguments: { title: 'may not' } })
    expect((await rpc(world.mcpUrl, tokens.access_token, add.message, add.headers)).status).toBe(403)
  })
})

describe('EL-10: the requestState', () => {
  it('is sealed, and bound to the connection and the request', async () => {
    const { tokens } = await withDeadGrant('olga')
    const other = await withDeadGrant('olga')
    const { requestState } = (await callModern(world.mcpUrl, tokens.access_token)) as unknown as Asked
    expect(Buffer.from(requestState, 'base64url').toString('latin1')).not.toMatch(/olga|list_todos|connection/)
    const inputResponses = { 'ai.emcy/reconnect': { action: 'decline' } }
    const retry = async (token: string, state: string, name = 'list_todos', more: object = {}) => {
      const { message, headers } = modernCall(canOpenLinks, name, { inputResponses, requestState: state, ...more })
      return (await rpc(world.mcpUrl, token, message, headers)).message
    }
    const refused = { id: 5, error: { code: -32602, data: { error: 'request_state_invalid' } } }
    expect(
      await retry(
        tokens.access_token,
        requestState.replace(/.{4}$/, (end) => (end === 'AAAA' ? 'BBBB' : 'AAAA')),
      ),
    ).toMatchObject(refused)
    expect(await retry(other.tokens.access_token, requestState)).toMatchObject(refused)
    expect(await retry(tokens.access_token, requestState, 'add_todo')).toMatchObject(refused)
    expect(await retry(tokens.access_token, requestState, 'list_todos', { arguments: { done: true } })).toMatchObject(refused)
    expect(await retry(tokens.access_token, requestState)).toMatchObject({ result: { isError: true, resultType: 'complete' } })
    await world.advanceClock(601_000)
    expect(await retry(tokens.access_token, requestState)).toMatchObject(refused)
  })
})

describe('a gateway below a path of its host app', () => {
  it('has the page of its links there too', async () => {
    const below = await startTodo({ runtime: 'local', host: 'prefix' })
    try {
      const tokens = await new ScriptedClient(below.issuer, below.mcpUrl).signIn('ann')
      await below.forgetAuthorizations()
      await below.advanceClock(301_000)
      const link = await linkOf(below.mcpUrl, tokens.access_token)
      expect(link.startsWith(`${below.issuer}/reconnect?link=`)).toBe(true)
      expect((await follow(newBrowser(), link, 'ann')).text).toContain('You are signed in again')
      expect(await callModern(below.mcpUrl, tokens.access_token)).toMatchObject({ resultType: 'complete' })
    } finally {
      await below.close()
    }
  }, 60_000)
})
