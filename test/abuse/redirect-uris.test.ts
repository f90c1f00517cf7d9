import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { Browser, callbackOf } from '../harness/browser.ts'
import { type DocumentServer, startDocumentServer } from '../harness/document-server.ts'
import { nativeClientMetadata } from '../harness/oauth-provider.ts'
import { pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

/*
 * Redirect URI tricks (RFC 9700 §4.1): redirect URIs that are nearly the client's, at every endpoint that takes one: registration, documents, PAR, authorize, token.
 */

const web = 'https://app.example/callback'
const [v4, v6, localhost] = ['http://127.0.0.1:7999/callback', 'http://[::1]:7999/callback', 'http://localhost:7999/callback'] as const

let documents: DocumentServer
let world: TodoWorld
let victim: ScriptedClient
beforeAll(async () => {
  documents = await startDocumentServer()
  world = await startTodo({ runtime: 'local', caFile: documents.caFile })
  victim = await client(web, v4, v6, localhost)
}, 60_000)
afterAll(async () => {
  await world?.close()
  await documents?.close()
})

const metadata = (...redirectUris: string[]) => ({ ...nativeClientMetadata, application_type: undefined, redirect_uris: redirectUris })
const client = (...redirectUris: string[]) => new ScriptedClient(world.issuer, world.mcpUrl).register(metadata(...redirectUris))
const register = async (uri: string) => {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(`${world.issuer}/register`, { method: 'POST', headers, body: JSON.stringify(metadata(uri)) })
  return [response.status, ((await response.json()) as { error?: string }).error]
}
const list = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }

/** A browser that stops wherever it leaves the gateway and the provider behind it. */
const newBrowser = () => new Browser((url) => url.origin !== world.issuer && url.origin !== world.authorizationServerUrl)

/** Spellings that are near to a registered redirect URI and are not it. */
const near: [string, string][] = [
  ['a path below', `${web}/evil`],
  ['a slash behind', `${web}/`],
  ['two slashes in it', 'https://app.example//callback'],
  ['path traversal', `${web}/../evil`],
  ['path traversal that leads back to it', 'https://app.example/x/../callback'],
  ['encoded path traversal', `${web}/%2e%2e/evil`],
  ['an encoded slash', 'https://app.example/%2fcallback'],
  ['an encoded letter', 'https://app.example/c%61llback'],
  ['a path parameter', `${web};jsessionid=1`],
  ['a query', `${web}?next=https://evil.example`],
  ['an empty query', `${web}?`],
  ['a fragment', `${web}#evil`],
  ['an empty fragment', `${web}#`],
  ['another scheme', 'http://app.example/callback'],
  ['the scheme in capitals', 'HTTPS://app.example/callback'],
  ['the host in capitals', 'https://APP.example/callback'],
  ['the path in capitals', 'https://app.example/Callback'],
  ['another port', 'https://app.example:8443/callback'],
  ['the default port, written out', 'https://app.example:443/callback'],
  ['a subdomain', 'https://evil.app.example/callback'],
  ['a longer host', 'https://app.example.evil.example/callback'],
  ['a host that ends like it', 'https://evilapp.example/callback'],
  ['a dot behind the host', 'https://app.example./callback'],
  ['user information that looks like it', 'https://app.example@evil.example/callback'],
  ['user information and a colon', 'https://app.example:443@evil.example/callback'],
  ['empty user information', 'https://@app.example/callback'],
  ['a backslash for the at sign', 'https://evil.example\\@app.example/callback'],
  ['a backslash for the slash', 'https://app.example\\callback'],
  ['a lookalike letter', 'https://аpp.example/callback'],
  ['a lookalike in punycode', 'https://xn--pp-7kc.example/callback'],
  ['a full-width dot', 'https://app．example/callback'],
  ['no scheme', '//app.example/callback'],
  ['a path alone', '/callback'],
  ['a space in front', ` ${web}`],
  ['a space behind', `${web} `],
  ['a tab in it', 'https://app.exam\tple/callback'],
  ['a line break behind', `${web}\r\nSet-Cookie: x=y`],
  ['a null behind', `${web}\0`],
  ['two in one', `${web} https://evil.example/`],
  ['a script', 'javascript:alert(document.domain)//app.example/callback'],
  ['data', 'data:text/html,<script>alert(1)</script>'],
  ['a file', 'file:///etc/passwd'],
  ['a scheme of an app', 'app.example:/callback'],
  ['loopback with another path', 'http://127.0.0.1:7999/evil'],
  ['loopback with a query', `${v4}?evil`],
  ['another loopback address', 'http://127.0.0.2:7999/callback'],
  ['loopback with https', 'https://127.0.0.1:7999/callback'],
  ['a host that begins like loopback', 'http://127.0.0.1.evil.example:7999/callback'],
  ['a host that begins like localhost', 'http://localhost.evil.example:7999/callback'],
  ['a port that is user information', 'http://127.0.0.1:7999@evil.example/callback'],
  ['loopback in one number', 'http://2130706433:7999/callback'],
  ['loopback in hexadecimal', 'http://0x7f.0.0.1:7999/callback'],
  ['loopback in short', 'http://127.1:7999/callback'],
  ['an unspecified address', 'http://0.0.0.0:7999/callback'],
  ['IPv6 loopback written out', 'http://[0:0:0:0:0:0:0:1]:7999/callback'],
  ['IPv4 in IPv6', 'http://[::ffff:127.0.0.1]:7999/callback'],
  ['an IPv6 zone', 'http://[::1%25lo]:7999/callback'],
  ['localhost with a dot', 'http://localhost.:7999/callback'],
  ['a port beyond all', 'http://127.0.0.1:70000/callback'],
  ['a port in words', 'http://127.0.0.1:http/callback'],
]

describe('AZ-1 AZ-2 AZ-3: nearly the redirect URI of a client', () => {
  it.each(near)('at authorize, %s ends on a page of ours that does not name it', async (_what, uri) => {
    const response = await fetch(victim.authorizeUrl(pkce().challenge, { redirect_uri: uri }), { redirect: 'manual' })
    expect([response.status, response.headers.get('location'), response.headers.get('refresh')]).toEqual([400, null, null])
    const html = await response.text()
    expect([html.includes('evil'), html.includes('http-equiv="refresh"'), /<a\s/.test(html)]).toEqual([false, false, false])
  })

  it.each(near)('at PAR, %s gets no request_uri', async (_what, uri) => {
    const { searchParams } = victim.authorizeUrl(pkce().challenge, { redirect_uri: uri })
    const response = await fetch(`${world.issuer}/par`, { method: 'POST', body: searchParams })
    expect([response.status, ((await response.json()) as { error: string }).error]).toEqual([400, 'invalid_request'])
  })

  it('at token, none of them redeems a code (TK-3), and the right one does afterwards', async () => {
    const { verifier, challenge } = pkce()
    const page = await newBrowser().authorize(victim.authorizeUrl(challenge, { redirect_uri: web }), { user: 'ann' })
    expect(page.redirect?.href.startsWith(`${web}?code=`)).toBe(true)
    const code = callbackOf(page).get('code') ?? ''
    const others = [...near, ['its own of loopback', v4] as const]
    const answers = await Promise.all(others.map(([, uri]) => victim.redeem<{ error: string }>(code, verifier, { redirect_uri: uri })))
    // A null byte makes the form itself unreadable.
    expect(answers.map(({ status, body }) => [status, body.error])).toEqual(
      others.map(([, uri]) => [400, uri.includes('\0') ? 'invalid_request' : 'invalid_grant']),
    )
    const redeemed = await victim.redeem(code, verifier, { redirect_uri: web })
    expect((await rpc(world.mcpUrl, redeemed.body.access_token, list)).message?.result).toBeDefined()
  })

  it('AZ-4: two of them, also with one spelled in percent signs, are an error everywhere', async () => {
    const url = victim.authorizeUrl(pkce().challenge, { redirect_uri: web })
    for (const second of [
      `redirect_uri=${encodeURIComponent(web)}`,
      'redirect_uri=https://evil.example/',
      '%72edirect_uri=https://evil.example/',
      'redirect_uri=',
    ]) {
      const atAuthorize = await fetch(`${url}&${second}`, { redirect: 'manual' })
      expect([second, atAuthorize.status, atAuthorize.headers.get('location')]).toEqual([second, 400, null])
      for (const [path, form] of [
        ['/par', url.search.slice(1)],
        ['/token', `grant_type=authorization_code&client_id=${victim.clientId}&code=x&code_verifier=y&redirect_uri=${encodeURIComponent(web)}`],
      ]) {
        const headers = { 'content-type': 'application/x-www-form-urlencoded' }
        const answer = await fetch(`${world.issuer}${path}`, { method: 'POST', headers, body: `${form}&${second}` })
        expect([path, second, answer.status, await answer.json()]).toEqual([path, second, 400, expect.objectContaining({ error: 'invalid_request' })])
      }
    }
  })

  it('RFC 9101 §5: one beside a pushed request counts for nothing', async () => {
    const { verifier, challenge } = pkce()
    const pushed = await fetch(`${world.issuer}/par`, { method: 'POST', body: victim.authorizeUrl(challenge, { redirect_uri: web }).searchParams })
    const { request_uri } = (await pushed.json()) as { request_uri: string }
    const url = victim.authorizeUrl(pkce().challenge, { redirect_uri: 'https://evil.example/callback', request_uri })
    const page = await newBrowser().authorize(url, { user: 'ann' })
    expect(page.redirect?.href.startsWith(`${web}?`)).toBe(true)
    expect((await victim.redeem(callbackOf(page).get('code') ?? '', verifier, { redirect_uri: web })).status).toBe(200)
  })

  it('a client of others with a request_uri of this one gets a page', async () => {
    const pushed = await fetch(`${world.issuer}/par`, { method: 'POST', body: victim.authorizeUrl(pkce().challenge, { redirect_uri: web }).searchParams })
    const { request_uri } = (await pushed.json()) as { request_uri: string }
    const attacker = await client('https://evil.example/callback')
    const url = attacker.authorizeUrl(pkce().challenge, { redirect_uri: 'https://evil.example/callback', request_uri })
    const response = await fetch(url, { redirect: 'manual' })
    expect([response.status, response.headers.get('location')]).toEqual([410, null])
  })
})

describe('AZ-2 RFC 8252 §7.3: the port is free on loopback, and nothing else', () => {
  it.each([
    [v4, 'http://127.0.0.1:50123/callback'],
    [v4, 'http://127.0.0.1/callback'],
    [v6, 'http://[::1]:50123/callback'],
    [localhost, 'http://localhost:50123/callback'],
  ])('registered %s, asked %s: the code goes there, and is redeemed with that one only', async (registered, asked) => {
    const { verifier, challenge } = pkce()
    const page = await newBrowser().authorize(victim.authorizeUrl(challenge, { redirect_uri: asked }), { user: 'ann' })
    expect(page.redirect?.href.startsWith(`${asked}?code=`)).toBe(true)
    const code = callbackOf(page).get('code') ?? ''
    const other = await victim.redeem<{ error: string }>(code, verifier, { redirect_uri: registered })
    expect([other.status, other.body.error]).toEqual([400, 'invalid_grant'])
    expect((await victim.redeem(code, verifier, { redirect_uri: asked })).status).toBe(200)
  })

  it('one family of addresses does not stand for the other', async () => {
    const only4 = await client(v4)
    for (const uri of [v6, localhost]) {
      const response = await fetch(only4.authorizeUrl(pkce().challenge, { redirect_uri: uri }), { redirect: 'manual' })
      expect([uri, response.status]).toEqual([uri, 400])
    }
  })
})

/** What nobody may register, whoever else's it looks like. */
const never = near.filter(([, uri]) => !/^https:\/\/[a-z0-9.:-]+(\/[^#@\\]*)?$/i.test(uri) && !isLoopback(uri))
function isLoopback(uri: string): boolean {
  const url = URL.parse(uri)
  return url?.protocol === 'http:' && /^(127\.[\d.]+|\[::1\]|localhost)$/.test(url.hostname) && !uri.includes('@')
}

describe('CR-22: what nobody may register', () => {
  it('is what the lists above hold, but for other sites and other spellings of loopback', () => {
    expect(never.length).toBeGreaterThan(25)
  })

  it.each(never)('%s, dynamically', async (_what, uri) => {
    expect(await register(uri)).toEqual([400, 'invalid_redirect_uri'])
  })

  it('CR-8: in a document it counts for nothing, and a document of these alone is refused', async () => {
    const mixed = new ScriptedClient(world.issuer, world.mcpUrl)
    mixed.clientId = documents.publish('mixed.json', metadata(web, ...never.map(([, uri]) => uri).slice(0, 25)))
    for (const [what, uri] of never.slice(0, 25)) {
      const response = await fetch(mixed.authorizeUrl(pkce().challenge, { redirect_uri: uri }), { redirect: 'manual' })
      expect([what, response.status, response.headers.get('location')]).toEqual([what, 400, null])
    }
    const page = await newBrowser().open(mixed.authorizeUrl(pkce().challenge, { redirect_uri: web }))
    expect([page.status, page.url.pathname]).toEqual([200, '/consent'])
    for (const uri of ['javascript:alert(1)', 'data:text/html,x', 'http://evil.example/', 'https://app.example@evil.example/']) {
      const alone = new ScriptedClient(world.issuer, world.mcpUrl)
      alone.clientId = documents.publish(`alone-${encodeURIComponent(uri)}.json`.replaceAll('%', ''), metadata(uri))
      const response = await fetch(alone.authorizeUrl(pkce().challenge, { redirect_uri: uri }), { redirect: 'manual' })
      expect([uri, response.status, response.headers.get('location')]).toEqual([uri, 400, null])
    }
  })

  it('AZ-12: a lookalike that is a site of its own stands on the consent page in punycode, not in the letters that deceive', async () => {
    const uri = 'https://xn--pp-7kc.example/callback'
    const lookalike = await client(uri)
    const page = await newBrowser().open(lookalike.authorizeUrl(pkce().challenge, { redirect_uri: uri }))
    expect(page.status).toBe(200)
    expect(page.text).toContain('xn--pp-7kc.example')
    expect(page.text).not.toContain('аpp.example')
  })
})
