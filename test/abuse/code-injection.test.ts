import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type Browser, callbackOf, type Page } from '../harness/browser.ts'
import { nativeRedirectUri } from '../harness/oauth-provider.ts'
import { type Answer, type Issued, pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

/*
 * Code injection and code theft (RFC 9700 §4.5, §4.2.4), on both sides of the gateway: codes that it gave, in the hands of an attacker or put into a session of another; and codes of the
 * provider behind it, in the browser or the transaction of another. The attacker has a browser, an account and clients of his own.
 */

let world: TodoWorld
const other = { path: '/other', name: 'Other', scopes: ['todos.read'] }
beforeAll(async () => {
  world = await startTodo({ runtime: 'local', servers: { other: { ...other, workerSecret: 'x'.repeat(40) } } })
}, 60_000)
afterAll(() => world?.close())

/** A client with a browser of its own. */
const newClient = () => new ScriptedClient(world.issuer, world.mcpUrl).register()
const call = (name: string, args: object = {}) => ({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } })
const list = (token: string) => rpc(world.mcpUrl, token, call('list_todos'))

function expectError(answer: Answer<unknown>, error: string, status = 400): void {
  expect([answer.status, answer.body]).toEqual([status, { error, error_description: expect.any(String) }])
}

/** All that the gateway has logged until now: its answer to the clock comes behind its events. */
async function logged(): Promise<Record<string, unknown>[]> {
  await world.advanceClock(1)
  return world.events()
}

/** Marks the account behind a connection by a todo, for others' lists to be searched for. */
async function mark(tokens: Issued, title: string): Promise<void> {
  expect((await rpc(world.mcpUrl, tokens.access_token, call('add_todo', { title }))).message?.result).toMatchObject({ structuredContent: { title } })
}

describe('TK-1 TK-2 TK-3: a code of the gateway that was stolen from its client', () => {
  it("is worth nothing in the attacker's session of the same client, at another client, redirect URI, server or without the secret; and its owner still redeems it", async () => {
    const [victim, attacker] = [await newClient(), await newClient()]
    const { code, verifier } = await victim.code('ann')
    const sameClient = new ScriptedClient(world.issuer, world.mcpUrl)
    sameClient.clientId = victim.clientId
    // The attacker's own flow of the same public client, as an own installation of that app has it.
    const own = await sameClient.code('eve')
    expectError(await sameClient.redeem(code, own.verifier), 'invalid_grant')
    // And with the verifier too, whatever else is the attacker's.
    expectError(await attacker.redeem(code, verifier), 'invalid_grant')
    expectError(await attacker.redeem(code, verifier, { client_id: 'confidential-client', client_secret: 'guessed' }), 'invalid_client', 401)
    const { clientId, clientSecret } = preregistered.confidential
    expectError(await attacker.redeem(code, verifier, { client_id: clientId, client_secret: clientSecret }), 'invalid_grant')
    expectError(await victim.redeem(code, verifier, { redirect_uri: nativeRedirectUri.replace('7999', '7998') }), 'invalid_grant')
    expectError(await victim.redeem(code, verifier, { redirect_uri: nativeRedirectUri.replace('127.0.0.1', 'localhost') }), 'invalid_grant')
    expectError(await victim.redeem(code, verifier, { resource: `${world.issuer}${other.path}` }), 'invalid_target')
    expectError(await victim.refresh(code), 'invalid_grant')
    expect((await list(code)).status).toBe(401)
    const redeemed = await victim.redeem(code, verifier)
    expect((await list(redeemed.body.access_token)).message?.result).toBeDefined()
  })

  it('of a confidential client needs its secret even beside the verifier', async () => {
    const victim = new ScriptedClient(world.issuer, world.mcpUrl)
    victim.clientId = preregistered.confidential.clientId
    const { code, verifier } = await victim.code('ann')
    for (const wrong of [undefined, 'guessed', `${preregistered.confidential.clientSecret}x`]) {
      expectError(await victim.redeem(code, verifier, { client_secret: wrong }), 'invalid_client', 401)
    }
    expect((await victim.redeem(code, verifier, { client_secret: preregistered.confidential.clientSecret })).status).toBe(200)
  })

  it('with its verifier, redeemed before its owner does: the second use ends what the thief got, and no other connection of this user', async () => {
    const victim = await newClient()
    const before = await new ScriptedClient(world.issuer, world.mcpUrl).signIn('bea')
    const { code, verifier } = await victim.code('bea')
    const stolen = (await victim.redeem(code, verifier)).body
    expect((await list(stolen.access_token)).status).toBe(200)
    expectError(await victim.redeem(code, verifier), 'invalid_grant')
    expect((await list(stolen.access_token)).status).toBe(401)
    expectError(await victim.refresh(stolen.refresh_token), 'invalid_grant')
    // However often he tries, and whoever he says he is.
    expectError(await victim.redeem(code, verifier), 'invalid_grant')
    expectError(await (await newClient()).refresh(stolen.refresh_token), 'invalid_grant')
    expect((await list(before.access_token)).message?.result).toBeDefined()
    const again = await victim.signIn('bea')
    expect((await list(again.access_token)).message?.result).toBeDefined()
  })

  it('used twice, where it was the only connection of its user: the provider forgets the grant too (TK-17)', async () => {
    const victim = await newClient()
    const { code, verifier } = await victim.code('ivy')
    expect((await victim.redeem(code, verifier)).status).toBe(200)
    const connected = (await logged()).find(({ event, clientId }) => event === 'authorization.token' && clientId === victim.clientId)
    expectError(await victim.redeem(code, verifier), 'invalid_grant')
    const revoked = (await logged()).filter(({ event, connectionId }) => event === 'grant.revoked' && connectionId === connected?.connectionId)
    expect(revoked).toEqual([expect.objectContaining({ level: 'info', subject: connected?.subject })])
  })

  it("the attacker's own, put into the victim's session: the victim's app does not end up with the attacker's account (login CSRF)", async () => {
    const client = await newClient()
    const attacker = new ScriptedClient(world.issuer, world.mcpUrl)
    attacker.clientId = client.clientId
    const { code } = await attacker.code('eve')
    const own = await client.code('cid')
    expectError(await client.redeem(code, own.verifier), 'invalid_grant')
    expect((await client.redeem(own.code, own.verifier)).status).toBe(200)
  })
})

/** One person at a client of their own, on the way back from the provider: signed in there, and about to open the gateway's callback. */
interface OnTheWay {
  client: ScriptedClient
  browser: Browser
  verifier: string
  callback: URL
}

async function onTheWay(user: string): Promise<OnTheWay> {
  const client = await newClient()
  const { verifier, challenge } = pkce()
  const page = await client.browser.stoppingBefore(`${world.issuer}/callback`).authorize(client.authorizeUrl(challenge, { state: user }), { user })
  return { client, browser: client.browser, verifier, callback: page.redirect as URL }
}

/** The person's own callback, opened at last: it leads to a token for the todos of that very person. */
async function goesOn({ client, browser, verifier, callback }: OnTheWay): Promise<Issued> {
  const code = callbackOf(await browser.open(callback)).get('code') ?? ''
  const { status, body } = await client.redeem(code, verifier)
  expect(status).toBe(200)
  return body
}

function expectOtherBrowser(page: Page): void {
  expect([page.status, page.redirect, page.url.pathname]).toEqual([403, undefined, '/callback'])
  expect(page.text).toContain('Not the same browser')
  expect(page.headers.get('referrer-policy')).toBe('no-referrer')
}

/** How often sign-ins have connected a client. */
async function connections({ client }: OnTheWay): Promise<number> {
  const events = (await logged()).filter(({ event, clientId }) => event === 'authorization.callback' && clientId === client.clientId)
  return events.filter(({ outcome }) => outcome === 'connected').length
}

/** A callback with the parameters of another. */
function withParameters(callback: URL, from: URL, ...names: string[]): URL {
  const url = new URL(callback)
  for (const name of names) url.searchParams.set(name, from.searchParams.get(name) ?? '')
  return url
}

describe('AZ-10 AZ-11 AZ-17: a code of the provider behind the gateway, in the hands of another', () => {
  it("the victim's whole callback, opened in the attacker's browser, gives the attacker nothing and takes nothing from the victim", async () => {
    const [victim, attacker] = [await onTheWay('ann'), await onTheWay('eve')]
    expectOtherBrowser(await attacker.browser.open(victim.callback))
    expect([await connections(victim), await connections(attacker)]).toEqual([0, 0])
    await mark(await goesOn(victim), 'of ann')
    const tokens = await goesOn(attacker)
    expect((await list(tokens.access_token)).text).not.toContain('of ann')
  })

  it("the attacker's callback, opened in the browser of a victim who is signed in and has a transaction under way, connects no app of the victim to the attacker", async () => {
    const [victim, attacker] = [await onTheWay('cid'), await onTheWay('eve')]
    await mark(await new ScriptedClient(world.issuer, world.mcpUrl).signIn('eve'), 'of eve')
    expectOtherBrowser(await victim.browser.open(attacker.callback))
    expect(await connections(attacker)).toBe(0)
    const tokens = await goesOn(victim)
    expect((await list(tokens.access_token)).text).not.toContain('of eve')
  })

  it("the attacker's code with the victim's state, in the victim's browser: PKCE at the provider refuses it, and the victim's app learns of an error", async () => {
    const [victim, attacker] = [await onTheWay('dan'), await onTheWay('eve')]
    const page = await victim.browser.open(withParameters(victim.callback, attacker.callback, 'code'))
    expect(Object.fromEntries(callbackOf(page))).toEqual({
      error: 'server_error',
      error_description: 'The authorization server behind this gateway refused.',
      state: 'dan',
      iss: world.issuer,
    })
    expect(await connections(victim)).toBe(0)
    // That transaction is over; the next one is the victim's own.
    expectOtherBrowser(await victim.browser.open(victim.callback))
    const tokens = await victim.client.signIn('dan')
    expect((await list(tokens.access_token)).text).not.toContain('of eve')
  })

  it("the victim's code with the attacker's state, in the attacker's browser: refused by PKCE, and the victim's own callback still works", async () => {
    const [victim, attacker] = [await onTheWay('fay'), await onTheWay('eve')]
    const page = await attacker.browser.open(withParameters(attacker.callback, victim.callback, 'code'))
    expect(callbackOf(page).get('error')).toBe('server_error')
    expect(callbackOf(page).get('code')).toBeNull()
    expect(await connections(attacker)).toBe(0)
    expect((await list((await goesOn(victim)).access_token)).message?.result).toBeDefined()
  })

  it("the victim's state with the attacker's code, in the attacker's browser, is not the attacker's state", async () => {
    const [victim, attacker] = [await onTheWay('gil'), await onTheWay('eve')]
    expectOtherBrowser(await attacker.browser.open(withParameters(attacker.callback, victim.callback, 'state')))
    await goesOn(victim)
    await goesOn(attacker)
  })

  it('a code that the provider has seen before is refused there, and no second connection comes of it', async () => {
    const victim = await onTheWay('hal')
    const tokens = await goesOn(victim)
    const later = await onTheWay('hal')
    const page = await later.browser.open(withParameters(later.callback, victim.callback, 'code'))
    expect(callbackOf(page).get('error')).toBe('server_error')
    expect(await connections(later)).toBe(0)
    expect(await connections(victim)).toBe(1)
    expect((await list(tokens.access_token)).status).toBe(200)
  })
})
