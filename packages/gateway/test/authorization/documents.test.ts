import { generateKeyPairSync } from 'node:crypto'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { SignJWT } from 'jose'
import { createGuardedFetch } from '../../src/http/guarded-fetch.ts'
import { type DocumentHost, documentHost } from '../clients/document-host.ts'
import { Browser } from './browser.ts'
import { clientsConfig, codeOf, startWorld, verifier, type World, type WorldOptions } from './world.ts'

const redirect = 'https://app.example/done'
const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(200, 7)])
const newBrowser = () => new Browser(redirect)

const documents = { allow: [] as string[], ask: [] as string[], deny: [] as string[], dangerouslyAllowPrivateAddresses: true }
const start = (members: Partial<typeof documents> = {}, more: WorldOptions = {}) =>
  startWorld({ fetches: true, ...more, config: { clients: clientsConfig({ metadataDocuments: { ...documents, ...members } }), ...more.config } })

let host: DocumentHost
beforeAll(async () => {
  host = await documentHost()
})
afterAll(() => host.close())
afterEach(() => {
  host.answers.clear()
  host.asked.length = 0
})

const publish = (members: Record<string, unknown> = {}) => host.publish('/client.json', { redirect_uris: [redirect], client_name: 'Hosted app', ...members })

describe('a client by its metadata document, through the browser', () => {
  let world: World
  beforeEach(async () => {
    world = await start()
  })
  afterEach(() => world.close())

  const authorize = (browser: Browser, client_id: string) => browser.open(world.authorizeUrl({ client_id, redirect_uri: redirect, scope: 'todos.read' }))

  it('CR-6 CR-8 AZ-12: from the document to tokens; the page names its host, and the document is fetched once', async () => {
    const id = publish()
    const browser = newBrowser()
    const page = await authorize(browser, id)
    expect(page.text).toContain('Hosted app')
    expect(page.text).toContain(`Published at ${new URL(host.origin).host}`)
    expect(page.text).toContain('app.example')
    const done = await browser.login(await browser.submit(page, 'allow'), 'ann')
    expect((await world.token({ grant_type: 'authorization_code', code: codeOf(done), code_verifier: verifier, client_id: id })).status).toBe(200)
    expect(host.asked).toEqual(['/client.json'])
  })

  it('CR-10: ChatGPT allows its key and none: both get tokens', async () => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const id = publish({
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_methods_supported: ['none', 'private_key_jwt'],
      jwks: { keys: [pair.publicKey.export({ format: 'jwk' })] },
    })
    const client_assertion = await new SignJWT({})
      .setProtectedHeader({ alg: 'ES256' })
      .setIssuer(id)
      .setSubject(id)
      .setAudience(world.issuer)
      .setJti('1')
      .setExpirationTime('1m')
      .sign(pair.privateKey)
    const byKey = { client_assertion, client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_id: undefined }
    for (const members of [byKey, { client_id: id }]) {
      const browser = newBrowser()
      const done = await browser.authorize(world.authorizeUrl({ client_id: id, redirect_uri: redirect }), 'ann')
      const answer = await world.token({ grant_type: 'authorization_code', code: codeOf(done), code_verifier: verifier, ...members })
      expect(answer.status).toBe(200)
    }
  })

  it.each<[string, Record<string, unknown>]>([
    ['name', { client_name: 'Another app' }],
    ['redirect URIs', { redirect_uris: [redirect, 'https://app.example/second'] }],
    ['keys', { jwks: { keys: [{ kty: 'EC', crv: 'P-256', x: 'x', y: 'y' }] } }],
    ['way to prove itself', { token_endpoint_auth_method: 'private_key_jwt', jwks_uri: 'https://app.example/jwks' }],
    ['logo', { logo_uri: 'https://app.example/logo.png' }],
  ])('CR-18 AZ-13: what was approved is asked again when its %s changed, and not before', async (_, members) => {
    const id = publish()
    const browser = newBrowser()
    await browser.login(await browser.submit(await authorize(browser, id), 'allow'), 'ann')
    expect(codeOf(await authorize(browser, id))).toMatch(/^emcy_ac_/)
    publish(members)
    world.advance(3600)
    expect((await authorize(browser, id)).url.pathname).toBe('/consent')
    // And once answered, remembered anew.
    expect(codeOf(await browser.submit(await authorize(browser, id), 'allow'))).toMatch(/^emcy_ac_/)
    expect(codeOf(await authorize(browser, id))).toMatch(/^emcy_ac_/)
  })

  it('CR-12: what is wrong with a document is said on a page of ours, with whom to turn to; nothing goes to the client', async () => {
    const cases: [() => string, number, string][] = [
      [() => publish({ client_id: 'https://another.example/' }), 400, 'its client_id is not its own URL'],
      [() => publish({ client_name: undefined }), 400, 'it has no client_name'],
      [() => publish({ client_secret: 'x' }), 400, 'it holds a client_secret'],
      [() => `${host.origin}/nothing.json`, 400, 'it was answered with status 404'],
      [() => `${host.origin}/a/../client.json`, 400, 'it has a dot segment'],
      [() => publish({ redirect_uris: ['https://elsewhere.example/'] }), 400, 'redirect_uri is not one'],
    ]
    for (const [id, status, words] of cases) {
      const page = await authorize(newBrowser(), id())
      expect([page.status, page.toClient, page.text.includes(words)]).toEqual([status, undefined, true])
      expect(page.text).toContain('Start again from your app')
    }
  })

  it('a host that is down is said to be down, and when to try again', async () => {
    const id = publish()
    host.answers.set('/client.json', { status: 503, body: {} })
    const page = await authorize(newBrowser(), id)
    expect([page.status, page.headers.get('retry-after')]).toEqual([503, '60'])
    expect(page.text).toContain('Try again in a minute')
  })

  it('AZ-12: warns of a document whose redirects are all on loopback', async () => {
    const id = publish({ redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'] })
    const page = await newBrowser().open(world.authorizeUrl({ client_id: id, redirect_uri: 'http://localhost:5000/callback' }))
    expect(page.text).toContain('any program can use its name')
  })
})

describe('CR-17 the domain policy, on the page', () => {
  const at = async (members: Partial<typeof documents>) => {
    const world = await start(members)
    const page = await newBrowser().open(world.authorizeUrl({ client_id: publish(), redirect_uri: redirect }))
    await world.close()
    return page
  }
  const warning = 'which nobody here has checked'

  it('ask: a host that is in no list comes with a warning, one that is allowed without', async () => {
    expect((await at({ ask: ['*'] })).text).toContain(warning)
    expect((await at({ ask: ['*'], allow: ['127.0.0.1'] })).text).not.toContain(warning)
    expect((await at({})).text).not.toContain(warning)
    expect((await at({ ask: ['127.0.0.1'], allow: ['claude.ai'] })).text).toContain(warning)
  })

  it('deny, or none of those that are allowed: a page that says whom to ask, and nothing is fetched', async () => {
    for (const members of [{ deny: ['127.0.0.1'], ask: ['*'] }, { allow: ['claude.ai'] }]) {
      host.asked.length = 0
      const page = await at(members)
      expect([page.status, page.toClient, host.asked]).toEqual([400, undefined, []])
      expect(page.text).toContain('Clients of 127.0.0.1 are not admitted here. Ask whoever runs this site')
    }
  })
})

describe('CR-16 logos', () => {
  let world: World
  beforeEach(async () => {
    world = await start()
  })
  afterEach(() => world.close())

  /** The consent page of a client with this logo, and what its image answers. */
  async function logoOf(body: Buffer | string, headers: Record<string, string> = {}, status = 200) {
    host.raw.set('/logo', { status, headers, body: Buffer.from(body) })
    const browser = newBrowser()
    const page = await browser.open(world.authorizeUrl({ client_id: publish({ logo_uri: `${host.origin}/logo` }), redirect_uri: redirect }))
    const src = /<img src="([^"]*client-logo[^"]*)"/.exec(page.html)?.[1]
    if (src === undefined) throw new Error(`no logo on ${page.html}`)
    const load = (cookie = browser.cookies.header(new URL(src))) => fetch(src, { headers: cookie === undefined ? {} : { cookie } })
    return { browser, page, src, load, image: await load() }
  }

  it('CR-13 CR-16: is fetched once, by us, and served from here as nothing but an image', async () => {
    const { page, image, load } = await logoOf(png, { 'content-type': 'image/png' })
    expect(page.html).not.toContain(`${host.origin}/logo`)
    expect(image.status).toBe(200)
    expect(Buffer.from(await image.arrayBuffer())).toEqual(png)
    expect(Object.fromEntries(image.headers)).toMatchObject({
      'content-type': 'image/png',
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none'; sandbox",
      'cross-origin-resource-policy': 'same-origin',
    })
    await Promise.all([load(), load(), logoOf(png)])
    expect(host.asked.filter((path) => path === '/logo')).toHaveLength(1)
  })

  it.each<[string, Buffer | string, Record<string, string>, number]>([
    ['SVG, which can hold scripts', '<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', { 'content-type': 'image/svg+xml' }, 200],
    ['SVG that calls itself PNG', '<svg xmlns="http://www.w3.org/2000/svg"/>', { 'content-type': 'image/png' }, 200],
    ['HTML', '<html><script>alert(1)</script></html>', { 'content-type': 'image/png' }, 200],
    ['nothing', '', {}, 200],
    ['more than 100 KiB', Buffer.concat([png, Buffer.alloc(110_000)]), {}, 200],
    ['an error', png, {}, 500],
    ['a redirect', png, { location: 'http://127.0.0.1:1/' }, 302],
  ])('CR-13 CR-16 refuses %s, and does not ask again at each look', async (_, body, headers, status) => {
    const { image, load } = await logoOf(body, headers, status)
    expect([image.status, await image.text()]).toEqual([404, ''])
    expect((await load()).status).toBe(404)
    expect(host.asked.filter((path) => path === '/logo')).toHaveLength(1)
  })

  it('CR-13: never from a private address, where only documents on public ones are let in', async () => {
    host.raw.set('/logo', { status: 200, headers: {}, body: png })
    const browser = newBrowser()
    const page = await browser.open(world.authorizeUrl({ client_id: publish({ logo_uri: `${host.origin}/logo` }), redirect_uri: redirect }))
    const src = /<img src="([^"]*client-logo[^"]*)"/.exec(page.html)?.[1] ?? ''
    world.deps.guardedFetch = createGuardedFetch({ allowPrivateAddresses: false })
    const image = await fetch(src, { headers: { cookie: browser.cookies.header(new URL(src)) ?? '' } })
    expect([image.status, host.asked]).toEqual([404, ['/client.json']])
  })

  it('is for the browser at that page alone', async () => {
    const { src, load } = await logoOf(png)
    expect((await fetch(src)).status).toBe(404)
    expect((await load('emcy-page-x=y')).status).toBe(404)
    expect((await fetch(`${world.issuer}/client-logo`)).status).toBe(404)
  })

  it('no logo of a client that registered itself: it could be any', async () => {
    const registered = await fetch(`${world.issuer}/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: [redirect], client_name: 'Claude', logo_uri: `${host.origin}/logo` }),
    })
    const { client_id } = (await registered.json()) as { client_id: string }
    const page = await newBrowser().open(world.authorizeUrl({ client_id, redirect_uri: redirect }))
    expect(page.url.pathname).toBe('/consent')
    expect(page.html).not.toContain('<img')
    expect(host.asked).toEqual([])
  })
})
