import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import * as oauth from 'oauth4webapi'
import { type AuthorizationServer, startAuthorizationServer } from '../../examples/todo/authorization-server.ts'
import { callbackOf, type Page } from '../harness/browser.ts'
import { atCallback, atLogin } from '../harness/legs.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { expectStopped, stops } from '../harness/stopped.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'
import { connects } from '../harness/victim.ts'

/* RFC 9207 and RFC 9700 §4.4: an answer of one authorization server is taken for another's, and a code is carried to the wrong token endpoint. */

let folder: string
let other: AuthorizationServer
/** A provider that the operator trusted and that was taken over: everything that is sent to its token endpoint is the attacker's. */
let hostile: Server
let caught: string[]
let world: TodoWorld

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'emcy-mix-up-'))
  caught = []
  hostile = createServer(async (req, res) => {
    let body = ''
    for await (const chunk of req) body += chunk
    caught.push(`${req.method} ${req.url} ${body}`)
    res.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}')
  })
  await once(hostile.listen(0, '127.0.0.1'), 'listening')
  const hostileUrl = `http://127.0.0.1:${(hostile.address() as AddressInfo).port}`
  const server = { workerSecret: 'x'.repeat(40), scopes: ['todos.read'] }
  world = await startTodo({
    runtime: 'local',
    providers: async (publicUrl) => {
      const client = { client_id: 'emcy-gateway', client_secret: 's'.repeat(40), redirect_uris: [`${publicUrl}/callback/other`] }
      other = await startAuthorizationServer({ port: 0, dataDir: folder, audience: 'https://other.example/api', clients: [client] })
      const scopes = ['todos.read']
      return {
        other: { issuer: other.issuer, clientId: client.client_id, clientSecret: client.client_secret, scopes },
        hostile: {
          issuer: hostileUrl,
          endpoints: { authorization: `${hostileUrl}/authorize`, token: `${hostileUrl}/token`, userinfo: `${hostileUrl}/userinfo` },
          identity: 'userinfo',
          clientId: 'emcy-gateway',
          clientSecret: 'h'.repeat(40),
          scopes,
        },
      }
    },
    servers: { other: { ...server, path: '/other', provider: 'other' }, hostile: { ...server, path: '/hostile', provider: 'hostile' } },
  })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await other?.close()
  hostile?.closeAllConnections()
  await new Promise((closed) => hostile?.close(closed))
  await rm(folder, { recursive: true, force: true })
})

const clientAt = (path = '/mcp') => new ScriptedClient(world.issuer, `${world.issuer}${path}`).register()

/** What a client is told: no code, and by whom it is told. */
function expectError(page: Page, error: string): void {
  const answer = callbackOf(page)
  expect([answer.get('error'), answer.has('code'), answer.get('iss')]).toEqual([error, false, world.issuer])
}

describe('AZ-14 TK-15: iss stands on every answer to a client', () => {
  it('on a code', async () => {
    const client = await clientAt()
    const { page } = await client.code('ann')
    expect(callbackOf(page).getAll('iss')).toEqual([world.issuer])
  })

  it('on every error, by redirect and by form, to the character of the metadata', async () => {
    const { issuer } = (await (await fetch(`${world.issuer}/.well-known/oauth-authorization-server`)).json()) as { issuer: string }
    const wrong: [Record<string, string | undefined>, string][] = [
      [{ response_type: undefined }, 'invalid_request'],
      [{ response_type: 'token' }, 'unsupported_response_type'],
      [{ response_type: 'code id_token' }, 'unsupported_response_type'],
      [{ response_mode: 'fragment' }, 'invalid_request'],
      [{ code_challenge: undefined }, 'invalid_request'],
      [{ code_challenge_method: 'plain' }, 'invalid_request'],
      [{ scope: 'admin' }, 'invalid_scope'],
      [{ resource: 'https://elsewhere.example/mcp' }, 'invalid_target'],
      [{ request: 'eyJhbGciOiJub25lIn0.e30.' }, 'request_not_supported'],
      [{ request_uri: 'https://elsewhere.example/request' }, 'request_uri_not_supported'],
      [{ prompt: 'none' }, 'login_required'],
      [{ dpop_jkt: 'short' }, 'invalid_request'],
      [{ state: 's'.repeat(4097) }, 'invalid_request'],
    ]
    const client = await clientAt()
    for (const [members, error] of wrong) {
      const answer = callbackOf(await client.browser.open(client.authorizeUrl(pkce().challenge, members)))
      expect([members, answer.get('error'), answer.getAll('iss'), answer.has('code')]).toEqual([members, error, [issuer], false])
      const form = await client.browser.open(client.authorizeUrl(pkce().challenge, { response_mode: 'form_post', ...members }))
      if (members.response_mode !== undefined) continue
      const fields = new URLSearchParams(form.forms[0]?.fields)
      expect([members, fields.get('error'), fields.getAll('iss')]).toEqual([members, error, [issuer]])
    }
  })

  it('on a denial, and on what the provider refused', async () => {
    const client = await clientAt()
    expectError(await client.browser.authorize(client.authorizeUrl(pkce().challenge), { user: 'ann', consent: 'deny' }), 'access_denied')
    const answers: [string, string][] = [
      ['access_denied', 'access_denied'],
      ['login_required', 'login_required'],
      ['invalid_scope', 'server_error'],
      ['temporarily_unavailable', 'temporarily_unavailable'],
    ]
    for (const [said, error] of answers) {
      const { callback } = await atCallback(client, 'ann', { prompt: 'consent' })
      const refusal = new URLSearchParams({ error: said, state: callback.searchParams.get('state') ?? '', iss: world.authorizationServerUrl })
      expectError(await client.browser.open(`${callback.origin}${callback.pathname}?${refusal}`), error)
    }
  })
})

describe('AZ-14 TK-14 TK-15: a client that knows two authorization servers, one of them the attacker’s', () => {
  it.each(['allow', 'deny'] as const)('a strict one throws an answer of the gateway away that it waited for from the other (%s)', async (consent) => {
    const attackers: oauth.AuthorizationServer = { issuer: 'https://evil.example', token_endpoint: 'https://evil.example/token' }
    const ours: oauth.AuthorizationServer = { issuer: world.issuer, authorization_response_iss_parameter_supported: true }
    // The attacker's server gave the client an id of the gateway as its own, and sends the user on with the client's own state and challenge.
    const client = await clientAt()
    const state = oauth.generateRandomState()
    const page = await client.browser.authorize(client.authorizeUrl(pkce().challenge, { state }), { user: 'ann', consent })
    const answer = page.redirect as URL
    expect(answer.searchParams.has(consent === 'allow' ? 'code' : 'error')).toBe(true)
    expect(() => oauth.validateAuthResponse(attackers, { client_id: client.clientId }, answer, state)).toThrow(/"iss"/)
    const read = () => oauth.validateAuthResponse(ours, { client_id: client.clientId }, answer, state)
    if (consent === 'allow') expect(read().get('code')).toMatch(/^emcy_ac_/)
    else expect(read).toThrow(oauth.AuthorizationResponseError)
  })
})

describe('AZ-17 TK-14: the answer of the provider', () => {
  const wrong: [string, (callback: URL) => void][] = [
    ['another iss', (callback) => callback.searchParams.set('iss', 'https://evil.example')],
    ['the iss of another provider of this gateway', (callback) => callback.searchParams.set('iss', other.issuer)],
    ['an iss with a slash behind', (callback) => callback.searchParams.set('iss', `${callback.searchParams.get('iss')}/`)],
    ['an iss in another case', (callback) => callback.searchParams.set('iss', (callback.searchParams.get('iss') ?? '').toUpperCase())],
    ['no iss, although the provider announces it', (callback) => callback.searchParams.delete('iss')],
    ['an empty iss', (callback) => callback.searchParams.set('iss', '')],
  ]
  it.each(wrong)('with %s gives no code, and its own code is asked of nobody', async (_, change) => {
    const client = await clientAt()
    const { callback } = await atCallback(client, 'bea')
    const asked = caught.length
    change(callback)
    expectError(await client.browser.open(callback), 'server_error')
    expect(caught).toHaveLength(asked)
    await connects(world, 'bea')
  })

  it('with two iss is refused whole, and the transaction is still there for the true answer', async () => {
    const client = await clientAt()
    const { callback } = await atCallback(client, 'cat')
    const twice = new URL(callback)
    twice.searchParams.append('iss', 'https://evil.example')
    expectStopped(await client.browser.open(twice), stops.badRequest)
    expect(callbackOf(await client.browser.open(callback)).has('code')).toBe(true)
  })

  it("an error under another's name is not passed on as the user's own answer", async () => {
    const client = await clientAt()
    const { callback } = await atCallback(client, 'dan')
    const forged = new URLSearchParams({ error: 'access_denied', state: callback.searchParams.get('state') ?? '', iss: 'https://evil.example' })
    expectError(await client.browser.open(`${callback.origin}${callback.pathname}?${forged}`), 'server_error')
  })
})

describe('AZ-17: two providers of one gateway (RFC 9700 §4.4)', () => {
  it('each has a redirect URI of its own, so that an answer says by its place whose it is', async () => {
    const places = await Promise.all(
      ['/mcp', '/other', '/hostile'].map(async (path) => {
        const client = await clientAt(path)
        const { page } = await client.browser
          .stoppingAt((url) => url.searchParams.has('redirect_uri'))
          .open(client.authorizeUrl(pkce().challenge))
          .then(async (consent) => ({
            page: await client.browser.stoppingAt((url) => url.searchParams.has('redirect_uri')).answer(consent, { user: 'ann' }),
          }))
        return page.redirect?.searchParams.get('redirect_uri')
      }),
    )
    expect(places).toEqual([`${world.issuer}/callback`, `${world.issuer}/callback/other`, `${world.issuer}/callback/hostile`])
  })

  it("a code of one in the other's transaction is refused, and stays good where it belongs", async () => {
    const [first, second] = [await clientAt(), await clientAt('/other')]
    const victim = first.browser
    const own = await atCallback(first, 'eli')
    Object.assign(second, { browser: victim })
    const theirs = await atCallback(second, 'eli')
    const mixed = new URL(theirs.callback)
    mixed.searchParams.set('code', own.callback.searchParams.get('code') ?? '')
    mixed.searchParams.set('iss', own.callback.searchParams.get('iss') ?? '')
    const grants: unknown[] = []
    other.provider.on('grant.error', (...refused) => void grants.push(refused))
    expectError(await victim.open(mixed), 'server_error')
    expect(grants).toEqual([])
    expect(callbackOf(await victim.open(own.callback)).has('code')).toBe(true)
  })

  it.each([true, false])(
    "a provider that was taken over, and leads its visitors on to another with its own state, never gets that one's code (iss sent: %s)",
    async (sendsIss) => {
      const [mine, theirs] = [await clientAt(), await clientAt('/hostile')]
      const victim = mine.browser
      Object.assign(theirs, { browser: victim.stoppingAt((url) => url.origin === hostileOrigin()) })
      const { page } = await atLogin(theirs)
      const state = page.redirect?.searchParams.get('state') ?? ''
      expect(state).not.toBe('')
      // The honest provider's answer, which the victim gave it, with the hostile provider's state.
      const { callback } = await atCallback(mine, 'fay')
      const honest = new URL(callback)
      honest.searchParams.set('state', state)
      if (!sendsIss) honest.searchParams.delete('iss')
      const before = caught.length
      expectStopped(await victim.open(honest), stops.gone)
      expect(caught).toHaveLength(before)
      // And the honest answer is worth what it was.
      expect(callbackOf(await victim.open(callback)).has('code')).toBe(true)
    },
  )

  const hostileOrigin = () => `http://127.0.0.1:${(hostile.address() as AddressInfo).port}`
})
