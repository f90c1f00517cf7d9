import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { bareRequest } from '../harness/bare-request.ts'
import { Browser, callbackOf } from '../harness/browser.ts'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { pkce, ScriptedClient } from '../harness/scripted-client.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

/* Open redirects (RFC 9700 §4.11): links of the gateway that lead to a page of the attacker's, so that people take it for a page of the gateway. */

const evil = 'https://evil.example/phish'

let documents: DocumentServer
let world: TodoWorld
beforeAll(async () => {
  documents = await startDocumentServer()
  const vouched = { clientId: 'vouched', redirectUris: ['https://vouched.example/cb'], name: 'Vouched' }
  const clients = { preregistered: [...Object.values(preregistered), vouched] }
  const metadataDocuments = { dangerouslyAllowPrivateAddresses: true }
  world = await startTodo({ runtime: 'local', caFile: documents.caFile, gateway: { clients: { ...clients, metadataDocuments } } })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await documents?.close()
})

const metadata = (...redirectUris: string[]) => ({ ...nativeClientMetadata, application_type: undefined, redirect_uris: redirectUris })
const newClient = (...redirectUris: string[]) => new ScriptedClient(world.issuer, world.mcpUrl).register(metadata(...redirectUris))

/** A browser that stops wherever it leaves the gateway and the provider behind it. */
const newBrowser = () => new Browser((url) => url.origin !== world.issuer && url.origin !== world.authorizationServerUrl)

describe('AZ-3 RFC 9700 §4.11.2: the gateway is no open redirect', () => {
  const wrong: [string, Record<string, string>, string][] = [
    ['a scope that nobody has', { scope: 'admin' }, 'invalid_scope'],
    ['another response type', { response_type: 'token' }, 'unsupported_response_type'],
    ['no challenge', { code_challenge: '' }, 'invalid_request'],
    ['a resource of others', { resource: 'https://elsewhere.example/' }, 'invalid_target'],
    ['prompt=none', { prompt: 'none' }, 'login_required'],
  ]

  it.each(wrong)('%s, of a client that a stranger registered: a page that says where the link leads, and no redirect', async (_what, members, error) => {
    const attacker = await newClient(evil)
    const page = await newBrowser().open(attacker.authorizeUrl(pkce().challenge, { redirect_uri: evil, state: 's', ...members }))
    expect([page.status, page.redirect, page.url.pathname]).toEqual([400, undefined, '/authorize'])
    expect(page.text).toContain('evil.example, a site that nobody here has checked')
    // Who wants to go back can, and the client learns what was wrong.
    const links = [...page.html.matchAll(/href="([^"]*)"/g)].map((match) => new URL((match[1] ?? '').replaceAll('&amp;', '&')))
    expect(links.map((link) => link.origin)).toEqual(['https://evil.example'])
    expect(Object.fromEntries(links[0]?.searchParams ?? [])).toEqual({ error, error_description: expect.any(String), state: 's', iss: world.issuer })
  })

  it('of a document that nobody vouches for: the same; and by form_post no form leads there', async () => {
    const attacker = new ScriptedClient(world.issuer, world.mcpUrl)
    attacker.clientId = documents.publish('phish.json', metadata(evil))
    const page = await newBrowser().open(attacker.authorizeUrl(pkce().challenge, { redirect_uri: evil, scope: 'admin' }))
    expect([page.status, page.redirect]).toEqual([400, undefined])
    const form = await newBrowser().open(attacker.authorizeUrl(pkce().challenge, { redirect_uri: evil, scope: 'admin', response_mode: 'form_post' }))
    expect([form.status, form.forms, form.html.includes('href=')]).toEqual([400, [], false])
  })

  it('a client that the team registered, and a program on the user’s own machine, get their error by redirect', async () => {
    const known = new ScriptedClient(world.issuer, world.mcpUrl)
    known.clientId = 'vouched'
    const there = await newBrowser().open(known.authorizeUrl(pkce().challenge, { redirect_uri: 'https://vouched.example/cb', scope: 'admin' }))
    expect(callbackOf(there).get('error')).toBe('invalid_scope')
    const here = await newBrowser().open(
      (await newClient(nativeRedirectUri)).authorizeUrl(pkce().challenge, { redirect_uri: nativeRedirectUri, scope: 'admin' }),
    )
    expect(callbackOf(here).get('error')).toBe('invalid_scope')
  })

  const names = ['redirect_uri', 'redirect', 'redirect_url', 'next', 'return_to', 'returnUrl', 'continue', 'url', 'goto', 'target', 'RelayState', 'error_uri']
  const bait = new URLSearchParams(names.map((name): [string, string] => [name, 'https://evil.example/']))
  it.each([
    'callback',
    'callback?state=x',
    'callback?error=access_denied',
    'consent',
    'consent?transaction=x',
    'account',
    'client-logo',
    'authorize',
    'reconnect',
    'nothing',
  ])('GET /%s with the parameters of open redirects leads nowhere', async (path) => {
    const response = await fetch(`${world.issuer}/${path}${path.includes('?') ? '&' : '?'}${bait}`, { redirect: 'manual' })
    expect([response.headers.get('location'), response.headers.get('refresh')]).toEqual([null, null])
    expect(response.status).toBeLessThan(500)
    expect(await response.text()).not.toContain('evil.example')
  })

  it.each([
    '//evil.example/account',
    '/\\evil.example/account',
    '/%2f%2fevil.example/account',
    '//evil.example/%2e%2e/callback',
    'http://evil.example/account',
  ])('the request target %s leads nowhere either', async (target) => {
    const { status, headers, text } = await bareRequest(world.issuer, target)
    expect([headers.location, text.includes('evil.example')]).toEqual([undefined, false])
    expect(status).toBeLessThan(500)
  })

  it('AS-11: whatever Host and X-Forwarded-Host say, redirects and forms stay at the public URL', async () => {
    const headers = { host: 'evil.example', 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'https', forwarded: 'host=evil.example;proto=https' }
    const { pathname, search } = (await newClient(nativeRedirectUri)).authorizeUrl(pkce().challenge)
    const toConsent = await bareRequest(world.issuer, pathname + search, { headers })
    const consent = new URL(String(toConsent.headers.location))
    expect([toConsent.status, consent.origin, consent.pathname]).toEqual([303, world.issuer, '/consent'])
    const cookie = [toConsent.headers['set-cookie']]
      .flat()
      .map((line) => line?.split(';')[0])
      .join('; ')
    const page = await bareRequest(world.issuer, consent.pathname + consent.search, { headers: { ...headers, cookie } })
    expect([page.status, page.text.includes('evil.example'), page.text.includes(`action="${world.issuer}/consent"`)]).toEqual([200, false, true])
    const account = await bareRequest(world.issuer, '/account', { headers })
    expect([account.status, account.text.includes('evil.example')]).toEqual([200, false])
  })
})
