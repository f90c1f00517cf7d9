import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { SignJWT } from 'jose'
import { Browser, clientRedirect, type Page } from './browser.ts'
import { type Answer, challenge, clientsConfig, codeOf, startWorld, verifier, type World } from './world.ts'

let world: World
const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
beforeAll(async () => {
  const clients = clientsConfig()
  const jwks = { keys: [pair.publicKey.export({ format: 'jwk' }) as never] }
  clients.preregistered.push({ clientId: 'signer', name: 'Signer', redirectUris: [clientRedirect], jwks })
  world = await startWorld({ config: { clients } })
})
afterAll(() => world.close())

type Members = Record<string, string | undefined>

const request = (members: Members = {}): Members => ({
  response_type: 'code',
  client_id: 'cli',
  redirect_uri: clientRedirect,
  code_challenge: challenge,
  code_challenge_method: 'S256',
  state: 'pushed state',
  ...members,
})
const push = (members: Members = {}, headers: Record<string, string> = {}) => world.post('/par', request(members), headers)
const uriOf = (answer: Answer): string => {
  if (answer.status !== 201) throw new Error(`${answer.status} ${answer.text}`)
  return String(answer.body.request_uri)
}

/** The authorize URL of a pushed request. */
function authorizeUrl(requestUri: string, members: Record<string, string> = {}): URL {
  const url = new URL(`${world.issuer}/authorize`)
  for (const [name, value] of Object.entries({ client_id: 'cli', request_uri: requestUri, ...members })) url.searchParams.set(name, value)
  return url
}

const redeem = (page: Page, members: Members = {}) => world.token({ grant_type: 'authorization_code', code: codeOf(page), code_verifier: verifier, ...members })

describe('RFC 9126 pushed authorization requests', () => {
  it('§2.2: a request_uri that lives for two minutes, uncached; with it the browser gets to a code', async () => {
    const answer = await push({ scope: 'todos.read' })
    expect(answer.body).toEqual({ request_uri: expect.stringMatching(/^urn:ietf:params:oauth:request_uri:[\w-]{300,}$/), expires_in: 120 })
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const page = await new Browser().authorize(authorizeUrl(uriOf(answer)), 'ann')
    expect(page.toClient?.searchParams.get('state')).toBe('pushed state')
    expect((await redeem(page)).body).toMatchObject({ scope: 'todos.read' })
  })

  it('RFC 9101 §5: what stands beside the request_uri counts for nothing', async () => {
    const uri = uriOf(await push({ scope: 'todos.read' }))
    const page = await new Browser().open(authorizeUrl(uri, { scope: 'todos.write', state: 'other', redirect_uri: 'https://evil.example', prompt: 'none' }))
    expect(page.url.pathname).toBe('/consent')
    expect(page.text).not.toContain('todos.write')
  })

  it('§4, clients.md line 15: opened twice and reloaded it works; of all that began with it one gets a code (§7.3)', async () => {
    const uri = uriOf(await push())
    await fetch(authorizeUrl(uri), { redirect: 'manual' })
    const [first, second] = [new Browser(), new Browser()]
    const pages = [await first.open(authorizeUrl(uri)), await second.open(authorizeUrl(uri))]
    const done = await first.login(await first.submit(pages[0] as Page, 'allow'), 'ann')
    expect((await redeem(done)).status).toBe(200)
    const late = await second.login(await second.submit(pages[1] as Page, 'allow'), 'ben')
    expect(late.toClient?.searchParams.get('error')).toBe('invalid_request_uri')
    const again = await new Browser().open(authorizeUrl(uri))
    expect([again.status, again.toClient]).toEqual([410, undefined])
    expect(again.text).toContain('Start again from your app')
  })

  it('a denial uses it up too', async () => {
    const uri = uriOf(await push())
    const browser = new Browser()
    const denied = await browser.submit(await browser.open(authorizeUrl(uri)), 'deny')
    expect(denied.toClient?.searchParams.get('error')).toBe('access_denied')
    expect((await browser.open(authorizeUrl(uri))).status).toBe(410)
  })

  it('§2.2: it is of its client alone, ends with its time, and nobody guesses one', async () => {
    const uri = uriOf(await push())
    expect((await new Browser().open(authorizeUrl(uri, { client_id: 'reader' }))).status).toBe(410)
    expect((await new Browser().open(authorizeUrl(`${uri.slice(0, -1)}_`))).status).toBe(410)
    expect((await new Browser().open(authorizeUrl(uri))).url.pathname).toBe('/consent')
    world.advance(121)
    const over = await new Browser().open(authorizeUrl(uri))
    expect([over.status, over.toClient]).toEqual([410, undefined])
  })

  it('a transaction that began in time is finished, however long the user thinks', async () => {
    const uri = uriOf(await push())
    const browser = new Browser()
    const page = await browser.open(authorizeUrl(uri))
    world.advance(500)
    const login = await browser.submit(page, 'allow')
    world.advance(500)
    expect((await redeem(await browser.login(login, 'ann'))).status).toBe(200)
  })

  it('§2: the client proves itself as at the token endpoint', async () => {
    const redirect = { redirect_uri: 'https://app.example/secret' }
    expect((await push({ client_id: 'secret', ...redirect })).body).toMatchObject({ error: 'invalid_client' })
    expect((await push({ client_id: 'secret', client_secret: 'wrong', ...redirect })).status).toBe(401)
    const secret = 'correct horse battery staple'
    expect((await push({ client_id: 'secret', client_secret: secret, ...redirect })).status).toBe(201)
    const basic = `Basic ${Buffer.from(`secret:${encodeURIComponent(secret)}`).toString('base64')}`
    expect((await push({ client_id: 'secret', ...redirect }, { authorization: basic })).status).toBe(201)
    for (const audience of [world.issuer, `${world.issuer}/par`, `${world.issuer}/token`]) {
      const client_assertion = await new SignJWT({})
        .setProtectedHeader({ alg: 'ES256' })
        .setIssuer('signer')
        .setSubject('signer')
        .setAudience(audience)
        .setJti(audience)
        // The clock of the gateway is ahead of the machine's by now.
        .setExpirationTime(Math.floor(world.deps.clock() / 1000) + 60)
        .sign(pair.privateKey)
      const client_assertion_type = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'
      expect((await push({ client_id: 'signer', client_assertion, client_assertion_type })).status).toBe(201)
    }
  })

  it('stores nothing before someone has decided, whoever pushes, and keeps only what /authorize looks at', async () => {
    const { store } = world.deps
    const written: string[] = []
    world.deps.store = new Proxy(store, {
      get(target, name) {
        const value = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (key: string, ...rest: unknown[]) => {
          if (name !== 'get') written.push(key)
          return value.call(target, key, ...rest)
        }
      },
    })
    try {
      const lean = uriOf(await push())
      const stuffed = uriOf(await push({ anything: 'x'.repeat(10_000) }))
      expect(stuffed).toHaveLength(lean.length)
      expect((await push({ scope: 'x'.repeat(10_000) })).body).toMatchObject({ error: 'invalid_scope' })
      expect((await push({ scope: `todos.read ${'x'.repeat(10_000)}` })).body).toMatchObject({ error: 'invalid_request' })
      const browser = new Browser()
      const page = await browser.open(authorizeUrl(stuffed))
      expect(page.url.pathname).toBe('/consent')
      expect(written).toEqual([])
      await browser.submit(page, 'deny')
      expect(written).not.toEqual([])
    } finally {
      world.deps.store = store
    }
  })

  it.each([
    ['a redirect URI of others', { redirect_uri: 'https://evil.example/cb' }, 'invalid_request'],
    ['no challenge', { code_challenge: undefined }, 'invalid_request'],
    ['a request_uri in it', { request_uri: 'urn:ietf:params:oauth:request_uri:x' }, 'invalid_request'],
    ['another resource', { resource: 'https://elsewhere.example' }, 'invalid_target'],
    ['unknown scopes', { scope: 'none.such' }, 'invalid_scope'],
    ['another response type', { response_type: 'token' }, 'unsupported_response_type'],
    ['a request object', { request: 'e30.e30.' }, 'request_not_supported'],
  ])('§2.3: %s is told to the client at once', async (_, members, error) => {
    const answer = await push(members)
    expect([answer.status, answer.body.error]).toEqual([400, error])
    expect(answer.headers.get('content-type')).toBe('application/json')
  })

  it('§2.3: a wrong media type, a body too large, a repeated parameter', async () => {
    const json = await fetch(`${world.issuer}/par`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
    expect(json.status).toBe(400)
    expect((await push({ state: 'x'.repeat(70_000) })).status).toBe(413)
    const twice = await fetch(`${world.issuer}/par`, {
      method: 'POST',
      body: new URLSearchParams([
        ['client_id', 'cli'],
        ['client_id', 'cli'],
      ]),
    })
    expect(twice.status).toBe(400)
  })

  it('§6: a client that has to push is refused without, by redirect', async () => {
    const plain = await new Browser().open(world.authorizeUrl({ client_id: 'pusher' }))
    expect(Object.fromEntries(plain.toClient?.searchParams ?? [])).toMatchObject({
      error: 'invalid_request',
      error_description: expect.stringContaining('pushed'),
    })
    const page = await new Browser().open(authorizeUrl(uriOf(await push({ client_id: 'pusher' })), { client_id: 'pusher' }))
    expect(page.url.pathname).toBe('/consent')
  })

  it('§5: required of all, or off', async () => {
    const strict = await startWorld({ config: { clients: clientsConfig({ pushedRequests: 'required' }) } })
    const refused = await new Browser().open(strict.authorizeUrl())
    expect(refused.toClient?.searchParams.get('error')).toBe('invalid_request')
    await strict.close()
    const off = await startWorld({ config: { clients: clientsConfig({ pushedRequests: 'off' }) } })
    expect((await off.post('/par', request())).status).toBe(404)
    const page = await new Browser().open(off.authorizeUrl({ request_uri: 'urn:ietf:params:oauth:request_uri:x' }))
    expect(page.toClient?.searchParams.get('error')).toBe('request_uri_not_supported')
    await off.close()
  })

  it('a storage outage tells nobody that a pushed request is unused', async () => {
    const uri = uriOf(await push())
    world.outage(true)
    const page = await new Browser().open(authorizeUrl(uri))
    world.outage(false)
    expect([page.status, page.toClient]).toEqual([503, undefined])
    expect((await new Browser().open(authorizeUrl(uri))).url.pathname).toBe('/consent')
  })
})
