import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { callbackOf, type Page } from '../harness/browser.ts'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'
import { connects } from '../harness/victim.ts'

/*
 * MCP security best practices, "confused deputy": the gateway is one client of the provider, whoever comes through it. The provider knows that client, the user is signed in there
 * and has been asked already; so the gateway's own question is all that stands between an attacker's client and the user's account.
 */

const evil = 'https://evil.example/callback'
const good = 'https://app.example/callback'

let documents: DocumentServer
let world: TodoWorld
beforeAll(async () => {
  documents = await startDocumentServer()
  world = await startTodo({ runtime: 'local', caFile: documents.caFile })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await documents?.close()
})

const newClient = (clientId = '') => Object.assign(new ScriptedClient(world.issuer, world.mcpUrl), { clientId })
const isApp = (url: URL) => url.hostname.endsWith('.example')

/** Where the victim's browser gets by a link. */
const opens = (victim: ScriptedClient, link: URL) => victim.browser.stoppingAt(isApp).open(link)

/** The question was asked before anything else: nobody was sent anywhere. */
function expectQuestion(page: Page, host: string): void {
  expect(page.trail.map((url) => url.origin)).toEqual(page.trail.map(() => world.issuer))
  expectConsentPage(page, host)
}

function expectConsentPage(page: Page, host: string): void {
  expect([page.status, page.redirect, page.url.pathname]).toEqual([200, undefined, '/consent'])
  expect(page.text).toContain(host)
  expect(page.forms[0]?.buttons.map(({ value }) => value)).toEqual(['allow', 'deny'])
}

/** A victim who uses one client: approved, remembered, signed in at the provider. */
async function newVictim(user: string): Promise<ScriptedClient> {
  const victim = newClient()
  await connects(world, user, victim)
  const again = await victim.browser.open(victim.authorizeUrl(pkce().challenge))
  // What the attack counts on: this browser is asked nothing any more, neither here nor at the provider.
  expect([again.redirect?.searchParams.has('code'), again.trail.some((url) => url.pathname === '/consent')]).toEqual([true, false])
  return victim
}

async function registerEvil(members: object = {}): Promise<ScriptedClient> {
  return newClient().register({ ...nativeClientMetadata, application_type: 'web', client_name: 'Test Client', redirect_uris: [evil], ...members })
}

describe('AZ-5 AZ-6: a client that an attacker registered, in the browser of a user who approved another', () => {
  it('is asked for, by name and host, and gets no code without a click', async () => {
    const victim = await newVictim('ann')
    const attacker = await registerEvil()
    const before = victim.browser.cookies.all().length
    const page = await opens(victim, attacker.authorizeUrl(pkce().challenge, { redirect_uri: evil }))
    expectQuestion(page, 'evil.example')
    const added = victim.browser.cookies.all().slice(before)
    expect(added.map(({ name }) => name.replace(/-[\w-]{16}$/, ''))).toEqual(['emcy-page'])
    await connects(world, 'ann')
  })

  it('gets an error and no code where it asks that nothing be asked (prompt=none)', async () => {
    const victim = await newVictim('bea')
    const attacker = await registerEvil({ application_type: undefined, redirect_uris: [evil, nativeRedirectUri] })
    const link = (members: Record<string, string> = {}) => attacker.authorizeUrl(pkce().challenge, { prompt: 'none', state: 's', ...members })
    // A stranger's site gets not even the error unasked (RFC 9700 §4.11.2).
    const page = await opens(victim, link({ redirect_uri: evil }))
    expect([page.status, page.redirect, page.trail.length]).toEqual([400, undefined, 1])
    const { error_description: _, ...answer } = Object.fromEntries(callbackOf(await victim.browser.open(link())))
    expect(answer).toEqual({ error: 'consent_required', state: 's', iss: world.issuer })
  })

  it("would have met no other question: the provider lets the user through. A denial there is the end of the attacker's request", async () => {
    const victim = await newVictim('cat')
    const page = await opens(victim, (await registerEvil()).authorizeUrl(pkce().challenge, { redirect_uri: evil }))
    const allowed = await victim.browser.stoppingAt(isApp).answer(page, { user: 'cat' })
    expect([allowed.redirect?.host, allowed.redirect?.searchParams.has('code')]).toEqual(['evil.example', true])
    expect(allowed.trail.some((url) => url.pathname.startsWith('/interaction'))).toBe(false)
    const second = await opens(victim, (await registerEvil()).authorizeUrl(pkce().challenge, { redirect_uri: evil }))
    const denied = callbackOf(await victim.browser.stoppingAt(isApp).answer(second, { user: 'cat', consent: 'deny' }))
    expect([denied.get('error'), denied.has('code'), denied.get('iss')]).toEqual(['access_denied', false, world.issuer])
  })

  it("is asked for although the attacker has approved it: approvals are the user's own", async () => {
    const attacker = await registerEvil()
    const link = () => attacker.authorizeUrl(pkce().challenge, { redirect_uri: evil })
    const own = await attacker.browser.stoppingAt(isApp).authorize(link(), { user: 'eve' })
    expect(callbackOf(own).has('code')).toBe(true)
    expect((await opens(attacker, link())).redirect?.searchParams.has('code')).toBe(true)
    expectQuestion(await opens(await newVictim('dan'), link()), 'evil.example')
  })

  it("is refused on a page of ours with the approved client's id: its redirect URI is not the attacker's to choose (AZ-1, AZ-3)", async () => {
    const victim = await newVictim('eli')
    const page = await opens(victim, victim.authorizeUrl(pkce().challenge, { redirect_uri: evil }))
    expect([page.status, page.redirect, page.headers.get('location')]).toEqual([400, undefined, null])
  })
})

describe('AZ-13: what a remembered approval is for', () => {
  const published = (name: string, members: object) => documents.publish(name, { client_name: 'Todo Helper', application_type: 'web', ...members })

  /** A user who has approved the good client's document, which is remembered from then on. */
  async function approved(
    user: string,
    name: string,
    members: object = {},
  ): Promise<{ victim: ScriptedClient; link: (members?: Record<string, string>) => URL }> {
    const victim = newClient(published(name, { redirect_uris: [good], ...members }))
    const link = (more: Record<string, string> = {}) => victim.authorizeUrl(pkce().challenge, { redirect_uri: good, scope: 'todos.read', ...more })
    expect(callbackOf(await victim.browser.stoppingAt(isApp).authorize(link(), { user })).has('code')).toBe(true)
    expect((await opens(victim, link())).redirect?.searchParams.has('code')).toBe(true)
    return { victim, link }
  }

  it('not for a document of the same name at another place', async () => {
    const { victim } = await approved('ann', 'helper.json')
    const attacker = newClient(published('helper-evil.json', { redirect_uris: [evil] }))
    expectQuestion(await opens(victim, attacker.authorizeUrl(pkce().challenge, { redirect_uri: evil })), 'evil.example')
    // Nor for one that lists the good client's redirect URI as well: the id is another.
    const mimic = newClient(published('helper-mimic.json', { redirect_uris: [good] }))
    expectQuestion(await opens(victim, mimic.authorizeUrl(pkce().challenge, { redirect_uri: good, scope: 'todos.read' })), 'app.example')
  })

  it('not for a redirect URI that the document does not list, whatever it is like', async () => {
    const { victim, link } = await approved('bea', 'listed.json')
    for (const uri of [evil, `${good}/`, `${good}?next=${evil}`, 'https://app.example.evil.example/callback']) {
      const page = await opens(victim, link({ redirect_uri: uri }))
      expect([uri, page.status, page.redirect]).toEqual([uri, 400, undefined])
    }
  })

  it('not for another host that the same document lists, nor for more scopes', async () => {
    const second = 'https://second.example/callback'
    const { victim, link } = await approved('cat', 'hosts.json', { redirect_uris: [good, second] })
    expectQuestion(await opens(victim, link({ redirect_uri: second })), 'second.example')
    const more = await opens(victim, link({ scope: 'todos.read todos.write' }))
    expectQuestion(more, 'app.example')
    expect(more.text).toContain('todos.write')
  })

  it('not once the document has changed: whoever took the host over has to ask (CR-18)', async () => {
    const { victim, link } = await approved('dan', 'taken.json')
    published('taken.json', { redirect_uris: [good, evil] })
    await world.advanceClock(6 * 60_000)
    expectQuestion(await opens(victim, link()), 'app.example')
    expectQuestion(await opens(victim, link({ redirect_uri: evil })), 'evil.example')
    published('taken.json', { redirect_uris: [good] })
    await world.advanceClock(6 * 60_000)
    expect((await opens(victim, link())).redirect?.searchParams.has('code')).toBe(true)
  })

  it('not for another user of the same browser: who comes back is asked, and before that nobody gets a code', async () => {
    const { victim, link } = await approved('eli', 'users.json')
    victim.browser.cookies.forget(/^_(session|interaction)/)
    const login = await opens(victim, link())
    expect(login.url.origin).toBe(world.authorizationServerUrl)
    const asked = await victim.browser.stoppingAt(isApp).answer(login, { user: 'fay' })
    expectConsentPage(asked, 'app.example')
    expect(asked.trail.filter((url) => url.origin !== world.authorizationServerUrl).map((url) => url.pathname)).toEqual(['/callback', '/consent'])
    expect(asked.text).toContain('fay')
  })
})
