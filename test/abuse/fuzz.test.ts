import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { anyForm, anyHeaders, anyJson, anyText, encodedText } from '../harness/fuzz-inputs.ts'
import { type Kind, problemsOf } from '../harness/fuzz-judge.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { type RawAnswer, type RawRequest, sendRaw } from '../harness/raw-http.ts'
import { pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { recordsIn } from '../harness/store-records.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

/** A good request, in parts that can be changed one by one. */
interface Shape {
  kind: Kind
  method: string
  path: string
  query: [string, string][]
  headers: [string, string][]
  form?: [string, string][]
  json?: Record<string, unknown>
}

const seed = Number(process.env.FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31))
const runs = (count: number) => ({ seed, numRuns: Math.ceil(count * Number(process.env.FUZZ_FACTOR ?? 1)), endOnFailure: true })

let folder: string
let world: TodoWorld
let client: ScriptedClient
let token: string
let clientKeys: Awaited<ReturnType<typeof generateKeyPair>>
const secrets = ['secret-of-the-confidential-client', 'secret-of-the-resource-server']

beforeAll(async () => {
  console.info(`fuzz: FUZZ_SEED=${seed} runs this again`)
  folder = await mkdtemp(join(tmpdir(), 'emcy-fuzz-'))
  clientKeys = await generateKeyPair('ES256', { extractable: true })
  const signing = await generateKeyPair('ES256', { extractable: true })
  const jwks = { keys: [await exportJWK(clientKeys.publicKey)] }
  world = await startTodo({
    runtime: 'local',
    gateway: {
      store: `sqlite:${join(folder, 'gateway.db')}`,
      tokens: { signingKeys: [await exportJWK(signing.privateKey)] },
      enterprise: { issuers: { 'https://idp.example': { jwks } } },
      clients: {
        preregistered: [
          ...Object.values(preregistered),
          { clientId: 'resource-server', clientSecret: 'secret-of-the-resource-server', name: 'Resource server', introspect: true, service: true },
          { clientId: 'signer', redirectUris: [nativeRedirectUri], name: 'Signer', jwks },
        ],
        metadataDocuments: {},
        registration: { perSourcePerHour: 1_000_000, softwareStatements: { issuers: { 'https://vendor.example': { jwks } } } },
      },
    },
  })
  client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
  token = (await client.signIn('ann')).access_token
  secrets.push(world.workerSecret)
}, 60_000)
afterAll(async () => {
  await world?.close()
  await rm(folder, { recursive: true, force: true })
})

async function hold(kind: Kind, request: RawRequest): Promise<RawAnswer> {
  const answer = await sendRaw(world.issuer, request)
  const expected = { secrets, redirects: [`${world.issuer}/consent?`, `${world.issuer}/account`, `${nativeRedirectUri}?`, `${world.authorizationServerUrl}/`] }
  const problems = problemsOf(kind, request, answer, expected)
  if (problems.length > 0) {
    const asked = `${request.method} ${request.target.slice(0, 500)} ${JSON.stringify(request.headers).slice(0, 1_000)} ${request.body.toString().slice(0, 1_000)}`
    throw new Error(`${problems.join('; ')}: ${answer.status} ${answer.body.replace(/<style>.*<\/style>/s, '').slice(0, 500)} for ${asked}`)
  }
  return answer
}

const endpoints: [path: string, kind: Kind][] = [
  ['/authorize', 'page'],
  ['/consent', 'page'],
  ['/callback', 'page'],
  ['/client-logo', 'page'],
  ['/account', 'page'],
  ['/token', 'client'],
  ['/register', 'client'],
  ['/revoke', 'client'],
  ['/introspect', 'client'],
  ['/par', 'client'],
  ['/mcp', 'mcp'],
  ['/jwks', 'document'],
  ['/.well-known/oauth-authorization-server', 'document'],
  ['/.well-known/openid-configuration', 'document'],
  ['/.well-known/oauth-protected-resource/mcp', 'document'],
]
const anyEndpoint = fc.constantFrom(...endpoints)
const anyMethod = fc.constantFrom('GET', 'POST', 'POST', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS', 'PATCH', 'QUERY', 'PROPFIND', 'TRACE')
const parameters = [
  ...[
    'response_type',
    'client_id',
    'redirect_uri',
    'scope',
    'state',
    'code_challenge',
    'code_challenge_method',
    'resource',
    'prompt',
    'login_hint',
    'response_mode',
  ],
  ...[
    'request',
    'request_uri',
    'dpop_jkt',
    'grant_type',
    'code',
    'code_verifier',
    'refresh_token',
    'client_secret',
    'client_assertion',
    'client_assertion_type',
  ],
  ...['assertion', 'token', 'token_type_hint', 'transaction', 'decision', 'connection', 'action', 'iss', 'error', 'error_description'],
]
const words = [
  ...[
    'code',
    'S256',
    'plain',
    'query',
    'form_post',
    'none',
    'login',
    'consent',
    'authorization_code',
    'refresh_token',
    'client_credentials',
    'allow',
    'deny',
    'forget',
  ],
  ...['public-client', 'confidential-client', 'resource-server', 'signer', 'todos.read', nativeRedirectUri, pkce().challenge, 'access_token'],
  ...['urn:ietf:params:oauth:grant-type:jwt-bearer', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', 'application/json'],
]
const metadataNames = [
  ...Object.keys(nativeClientMetadata),
  'jwks',
  'jwks_uri',
  'scope',
  'client_uri',
  'logo_uri',
  'software_statement',
  'client_id',
  'client_secret',
  'contacts',
]
const rpcNames = ['jsonrpc', 'id', 'method', 'params', 'result', 'error', '_meta']
const anyBody = fc.oneof(
  anyForm(parameters, words).map((body) => ['application/x-www-form-urlencoded', Buffer.from(body, 'latin1')] as const),
  anyJson([...metadataNames, ...rpcNames]).map((body) => ['application/json', Buffer.from(body)] as const),
  fc.uint8Array({ maxLength: 200 }).map((body) => ['application/x-www-form-urlencoded', Buffer.from(body)] as const),
  fc.uint8Array({ maxLength: 200 }).map((body) => ['application/json', Buffer.from(body)] as const),
)

/** Anything at all, at any endpoint by any method. */
const anything = fc
  .tuple(anyEndpoint, anyMethod, anyForm(parameters, words), anyBody, anyHeaders())
  .map(([[path, kind], method, query, [type, body], headers]) => {
    const hasBody = method === 'POST' || method === 'PUT' || method === 'PATCH'
    const typed: [string, string][] = headers.some(([name]) => name === 'content-type') || !hasBody ? headers : [['content-type', type], ...headers]
    const request = { method, target: `${path}${query === '' ? '' : `?${query}`}`, headers: typed, body: hasBody ? body : '' }
    return { kind, request }
  })

/** The good requests of this world. */
async function goodShapes(): Promise<Shape[]> {
  const { challenge, verifier } = pkce()
  const request: [string, string][] = [
    ...Object.entries({
      response_type: 'code',
      client_id: client.clientId,
      redirect_uri: nativeRedirectUri,
      code_challenge: challenge,
      code_challenge_method: 'S256',
    }),
    ...Object.entries({ resource: world.mcpUrl, state: 's'.repeat(22), scope: 'todos.read', prompt: 'consent' }),
  ]
  const page = await fetch(`${world.issuer}/authorize?${new URLSearchParams(request)}`, { redirect: 'manual' })
  const transaction = new URL(page.headers.get('location') ?? '').searchParams.get('transaction') ?? ''
  const cookie: [string, string] = [
    'cookie',
    page.headers
      .getSetCookie()
      .map((line) => line.split(';', 1)[0])
      .join('; '),
  ]
  const html = await (await fetch(page.headers.get('location') ?? '', { headers: Object.fromEntries([cookie]) })).text()
  const formToken = /name="token" value="([^"]+)"/.exec(html)?.[1] ?? ''
  const account: [string, string] = ['cookie', client.browser.cookies.header(new URL(`${world.issuer}/account`)) ?? '']
  const registered = (await (
    await fetch(`${world.issuer}/register`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(nativeClientMetadata) })
  ).json()) as Record<string, string>
  const managed: Pick<Shape, 'kind' | 'path' | 'query'> = { kind: 'client', path: '/register', query: [['client_id', registered.client_id as string]] }
  const rat: [string, string] = ['authorization', `Bearer ${registered.registration_access_token}`]
  const known = await new ScriptedClient(world.issuer, world.mcpUrl).register()
  const { code, verifier: ofCode } = await known.code('ben')
  const refresh = await new ScriptedClient(world.issuer, world.mcpUrl).register()
  const refreshToken = (await refresh.signIn('ben')).refresh_token
  const signed = (claims: object, typ?: string) =>
    new SignJWT({ jti: Math.random().toString(36), ...claims })
      .setProtectedHeader({ alg: 'ES256', ...(typ === undefined ? {} : { typ }) })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(clientKeys.privateKey)
  const assertion = await signed({ iss: 'signer', sub: 'signer', aud: world.issuer })
  const byAssertion: [string, string][] = [
    ['client_assertion_type', 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer'],
    ['client_assertion', assertion],
  ]
  const idJag = await signed({ iss: 'https://idp.example', sub: 'ann', aud: world.issuer, client_id: 'signer', scope: 'todos.read' }, 'oauth-id-jag+jwt')
  const post = (path: string, form: [string, string][], headers: [string, string][] = []): Shape => ({
    kind: 'client',
    method: 'POST',
    path,
    query: [],
    headers: [['content-type', 'application/x-www-form-urlencoded'], ...headers],
    form,
  })
  const basic: [string, string] = ['authorization', `Basic ${btoa('resource-server:secret-of-the-resource-server')}`]
  const mcp = (json: Record<string, unknown>, more: [string, string][] = []): Shape => ({
    kind: 'mcp',
    method: 'POST',
    path: '/mcp',
    query: [],
    headers: [['authorization', `Bearer ${token}`], ['content-type', 'application/json'], ['accept', 'application/json, text/event-stream'], ...more],
    json,
  })
  const modern: [string, string][] = [
    ['mcp-protocol-version', '2026-07-28'],
    ['mcp-method', 'tools/call'],
    ['mcp-name', 'list_todos'],
  ]
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'x', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  return [
    { kind: 'page', method: 'GET', path: '/authorize', query: request, headers: [account] },
    { kind: 'page', method: 'POST', path: '/authorize', query: [], form: request, headers: [['content-type', 'application/x-www-form-urlencoded']] },
    { kind: 'page', method: 'GET', path: '/consent', query: [['transaction', transaction]], headers: [cookie] },
    { kind: 'page', method: 'GET', path: '/client-logo', query: [['transaction', transaction]], headers: [cookie] },
    {
      ...{ kind: 'page', method: 'POST', path: '/consent', query: [] },
      headers: [['content-type', 'application/x-www-form-urlencoded'], cookie],
      form: Object.entries({ transaction, token: formToken, decision: 'allow', scope: 'todos.read' }),
    },
    {
      kind: 'page',
      method: 'GET',
      path: '/callback',
      query: Object.entries({ state: `${'A'.repeat(32)}.${'A'.repeat(43)}`, code: 'x', iss: world.authorizationServerUrl }),
      headers: [cookie],
    },
    { kind: 'page', method: 'GET', path: '/account', query: [], headers: [account] },
    {
      ...{ kind: 'page', method: 'POST', path: '/account', query: [] },
      headers: [['content-type', 'application/x-www-form-urlencoded'], account],
      form: Object.entries({ connection: 'x', token: formToken, action: 'disconnect' }),
    },
    post(
      '/token',
      Object.entries({
        grant_type: 'authorization_code',
        client_id: known.clientId,
        code,
        code_verifier: ofCode,
        redirect_uri: nativeRedirectUri,
        resource: world.mcpUrl,
      }),
    ),
    post(
      '/token',
      Object.entries({ grant_type: 'refresh_token', client_id: refresh.clientId, refresh_token: refreshToken, scope: 'todos.read', resource: world.mcpUrl }),
    ),
    post('/token', Object.entries({ grant_type: 'client_credentials', resource: world.mcpUrl, scope: 'todos.read' }), [basic]),
    post('/token', [...Object.entries({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion: idJag }), ...byAssertion]),
    post('/token', Object.entries({ grant_type: 'authorization_code', code: 'x', code_verifier: verifier }), [
      ['authorization', `Basic ${btoa('confidential-client:secret-of-the-confidential-client')}`],
    ]),
    post('/revoke', Object.entries({ token: `${token}x`, client_id: client.clientId, token_type_hint: 'access_token' })),
    post('/introspect', Object.entries({ token, token_type_hint: 'access_token' }), [basic]),
    post('/par', request),
    {
      kind: 'client',
      method: 'POST',
      path: '/register',
      query: [],
      headers: [['content-type', 'application/json']],
      json: { ...nativeClientMetadata, contacts: ['a@b.example'] },
    },
    { ...managed, method: 'GET', headers: [rat] },
    { ...managed, method: 'PUT', headers: [rat, ['content-type', 'application/json']], json: { client_id: registered.client_id, ...nativeClientMetadata } },
    { ...managed, method: 'DELETE', headers: [['authorization', `${rat[1]}x`]] },
    mcp({ jsonrpc: '2.0', id: 1, method: 'initialize', params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'x', version: '1' } } }),
    mcp({ jsonrpc: '2.0', id: 'a', method: 'tools/list', params: {} }),
    mcp({ jsonrpc: '2.0', id: 2, method: 'tools/call', params: { name: 'list_todos', arguments: {}, _meta: meta } }, modern),
    mcp({ jsonrpc: '2.0', method: 'notifications/initialized' }),
    { kind: 'mcp', method: 'DELETE', path: '/mcp', query: [], headers: [['authorization', `Bearer ${token}`]] },
  ]
}

const changes = ['remove', 'replace', 'twice', 'append', 'cut', 'empty'] as const

/** The request of a shape with one part of it changed. */
function changed(shape: Shape, part: number, change: (typeof changes)[number], text: string, json: unknown): RawRequest {
  const edit = (pairs: [string, string][], at: number, clean: (text: string) => string): [string, string][] => {
    const [name, value] = pairs[at] as [string, string]
    const forms = {
      remove: [],
      replace: [clean(text)],
      twice: [value, clean(text)],
      append: [value + clean(text)],
      cut: [value.slice(0, value.length / 2)],
      empty: [''],
    }
    return [...pairs.slice(0, at), ...forms[change].map((each): [string, string] => [name, each]), ...pairs.slice(at + 1)]
  }
  const members = Object.keys(shape.json ?? {})
  const counts = [shape.query.length, shape.form?.length ?? 0, members.length, shape.headers.length]
  const all = counts.flatMap((count, group) => Array.from({ length: count }, (_, index) => [group, index] as const))
  const [which, at] = all[part % all.length] ?? [-1, 0]
  const header = (value: string) => value.replace(/[^\t\x20-\x7e\x80-\xff]/g, '').slice(0, 4_000)
  const query = which === 0 ? edit(shape.query, at, (value) => value) : shape.query
  const form = which === 1 && shape.form ? edit(shape.form, at, (value) => value) : shape.form
  const headers = which === 3 ? edit(shape.headers, at, header) : shape.headers
  const object: Record<string, unknown> = { ...shape.json }
  if (which === 2) {
    const name = members[at] as string
    if (change === 'remove') delete object[name]
    else
      object[name] =
        change === 'replace' ? json : change === 'append' ? `${object[name]}${text}` : change === 'empty' ? '' : change === 'cut' ? null : [object[name], json]
  }
  const encoded = (pairs: [string, string][]) => pairs.map(([name, value]) => `${name}=${encodeURIComponent(value.toWellFormed())}`).join('&')
  const body = form ? encoded(form) : shape.json ? JSON.stringify(object) : ''
  return { method: shape.method, target: `${shape.path}${query.length > 0 ? `?${encoded(query)}` : ''}`, headers, body }
}

describe('whatever is sent', () => {
  it('CR-21: strangers get their endpoint’s own answers, and leave nothing behind but the clients that they registered', async () => {
    const file = join(folder, 'gateway.db')
    const before = recordsIn(file)
    let registered = 0
    await fc.assert(
      fc.asyncProperty(anything, async ({ kind, request }) => {
        const answer = await hold(kind, request)
        if (request.target.startsWith('/register') && answer.status === 201) registered++
      }),
      runs(3_000),
    )
    const asked = new URLSearchParams({
      response_type: 'code',
      client_id: client.clientId,
      redirect_uri: nativeRedirectUri,
      code_challenge: pkce().challenge,
      code_challenge_method: 'S256',
    })
    for (let index = 0; index < 50; index++) {
      const authorize = await hold('page', { method: 'GET', target: `/authorize?${asked}`, headers: [], body: '' })
      const pushed = await hold('client', {
        method: 'POST',
        target: '/par',
        headers: [['content-type', 'application/x-www-form-urlencoded']],
        body: asked.toString(),
      })
      expect([authorize.status, pushed.status]).toEqual([303, 201])
    }
    const after = recordsIn(file)
    for (const prefix of new Set([...Object.keys(before), ...Object.keys(after)])) {
      const grown = (after[prefix] ?? 0) - (before[prefix] ?? 0)
      // Counters of a rate: one a source, one for all fetches and one a host that was named.
      const most = prefix === 'client' ? registered : prefix === 'client-count' ? 1 : prefix === 'spend' ? 8 : 0
      expect([prefix, grown <= most]).toEqual([prefix, true])
    }
  }, 120_000)

  it('good requests with one part changed', async () => {
    const shapes = await goodShapes()
    const one = fc.tuple(fc.constantFrom(...shapes), fc.nat(1_000), fc.constantFrom(...changes), anyText(words), fc.jsonValue({ maxDepth: 3 }))
    await fc.assert(
      fc.asyncProperty(one, async ([shape, part, change, text, json]) => void (await hold(shape.kind, changed(shape, part, change, text, json)))),
      runs(4_000),
    )
  }, 120_000)

  it('with a good access token: any body, method and header at the MCP path', async () => {
    const message = fc.record(
      {
        jsonrpc: fc.oneof(fc.constant('2.0'), fc.jsonValue()),
        id: fc.oneof(fc.integer(), anyText(), fc.jsonValue({ maxDepth: 1 })),
        method: fc.oneof(
          fc.constantFrom('tools/call', 'tools/list', 'initialize', 'ping', 'resources/read', 'server/discover', 'tasks/get', 'notifications/cancelled'),
          anyText(),
        ),
        params: fc.oneof(fc.jsonValue({ maxDepth: 4 }), fc.record({ name: anyText(['list_todos', 'add_todo']), arguments: fc.jsonValue() }), fc.constant({})),
      },
      { requiredKeys: [] },
    )
    const body = fc.oneof(
      { weight: 4, arbitrary: message.map((each) => Buffer.from(JSON.stringify(each))) },
      fc.array(message, { maxLength: 4 }).map((each) => Buffer.from(JSON.stringify(each))),
      anyJson(rpcNames).map((each) => Buffer.from(each)),
      fc.uint8Array({ maxLength: 100 }).map((each) => Buffer.from(each)),
    )
    const headers = anyHeaders(['tools/call', 'list_todos']).map((each) => each.filter(([name]) => name !== 'authorization'))
    await fc.assert(
      fc.asyncProperty(fc.constantFrom('POST', 'POST', 'POST', 'DELETE', 'PUT', 'HEAD'), body, headers, async (method, bytes, more) => {
        const own: [string, string][] = [
          ['authorization', `Bearer ${token}`],
          ['content-type', 'application/json'],
          ['accept', 'application/json, text/event-stream'],
        ]
        const given = new Set(more.map(([name]) => name))
        await hold('mcp', { method, target: '/mcp', headers: [...own.filter(([name]) => !given.has(name)), ...more], body: method === 'HEAD' ? '' : bytes })
      }),
      runs(2_500),
    )
  }, 120_000)

  it('any access token, cookie, transaction and state of a stranger', async () => {
    const presented = fc.oneof(
      anyText(),
      encodedText(),
      anyText().map((text) => token.replace(/[^.]+$/, text)),
      anyText().map((text) => token.slice(0, 20) + text),
    )
    await fc.assert(
      fc.asyncProperty(presented, fc.constantFrom('Bearer', 'DPoP', 'bearer', 'Basic', ''), async (text, scheme) => {
        const value = text.replace(/[^\t\x20-\x7e\x80-\xff]/g, '').slice(0, 8_000)
        const called = await hold('mcp', { method: 'POST', target: '/mcp', headers: [['authorization', `${scheme} ${value}`]], body: '{}' })
        expect(called.status).toBe(401)
        for (const path of ['/consent?transaction=', '/client-logo?transaction=', '/callback?state=']) {
          const page = await hold('page', {
            method: 'GET',
            target: path + encodeURIComponent(text.toWellFormed()),
            headers: [['cookie', `emcy-page-${value}=${value}; x=y`]],
            body: '',
          })
          expect([400, 403, 404, 410, 431]).toContain(page.status)
        }
      }),
      runs(500),
    )
  }, 120_000)
})

describe('after all this', () => {
  it('the gateway is the same process, has met nothing that it did not expect, and a client works from the start to a tool', async () => {
    const failed = world.events().filter(({ level, outcome, error }) => level === 'error' || outcome === 'server_error' || error === 'internal_error')
    expect(failed).toEqual([])
    const fresh = new ScriptedClient(world.issuer, world.mcpUrl)
    const { access_token } = await fresh.signIn('cleo')
    const called = await rpc(world.mcpUrl, access_token, { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } })
    expect([called.status, (called.message?.result as { isError?: boolean } | undefined)?.isError ?? false]).toEqual([200, false])
    expect((await rpc(world.mcpUrl, token, { jsonrpc: '2.0', id: 1, method: 'ping' })).status).toBe(200)
    const stopped = await Promise.race([world.gateway.exited, Promise.resolve('lives')])
    expect(stopped).toBe('lives')
  }, 60_000)
})
