import { createHash, randomBytes } from 'node:crypto'
import { createTestBrowser, type FormFiller, type TestForm } from './browser.ts'

/** Options of {@link connectForTest}. */
export interface ConnectOptions {
  /** The MCP URL, as a user would type it. */
  url: string
  /**
   * Answers the pages of one's own authorization server: a sign-in form gets its values here. Left out, and for the gateway's own consent page: every form is
   * sent as it stands, by the button that allows.
   */
  signIn?: FormFiller
  /** Scopes to ask for; the server's default when left out. */
  scope?: string
}

/** Tokens as the gateway issues them (RFC 6749 §5.1). */
export interface TestTokens {
  access_token: string
  token_type: string
  expires_in: number
  refresh_token: string
  scope: string
}

/** A client that is connected. */
export interface TestConnection {
  issuer: string
  clientId: string
  tokens: TestTokens
  /** Sends one JSON-RPC request with the present access token, and gives the answer's status and message. */
  call(method: string, params?: object): Promise<{ status: number; headers: Headers; message: { result?: unknown; error?: { code: number; message: string } } }>
  /** Refreshes; `tokens` are the new ones then. */
  refresh(): Promise<TestTokens>
  /** Revokes the connection (RFC 7009). */
  revoke(): Promise<void>
}

/** Nobody listens there: the browser stops at it. */
const redirectUri = 'http://127.0.0.1:1/callback'

/**
 * Connects to a gateway as an MCP client does, for tests of one's own set-up: 401, discovery, dynamic registration, consent, sign-in, code, tokens. Each answer is
 * held to what clients insist on (RFC 9728, RFC 8414, RFC 9207).
 *
 * @throws Error saying which leg failed and how
 */
export async function connectForTest({ url, signIn, scope }: ConnectOptions): Promise<TestConnection> {
  const resource = await discoverResource(url)
  const server = await discoverServer(resource.issuer)
  const registered = await postJson('registration', server.registration_endpoint, {
    client_name: 'connectForTest',
    redirect_uris: [redirectUri],
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
  })
  const clientId = String(registered.client_id)
  const verifier = randomBytes(32).toString('base64url')
  const state = randomBytes(16).toString('base64url')
  const authorize = new URL(server.authorization_endpoint ?? '')
  const parameters = {
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    state,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    resource: resource.resource,
    ...(scope === undefined ? {} : { scope }),
  }
  for (const [name, value] of Object.entries(parameters)) authorize.searchParams.set(name, value)
  const gatewayOrigin = new URL(resource.issuer).origin
  const fill: FormFiller = (form) => (form.page.origin === gatewayOrigin || !signIn ? allow(form) : signIn(form))
  const callback = (await createTestBrowser().walk(authorize, redirectUri, fill)).searchParams
  check('authorization', callback.get('error') === null, `${callback.get('error')}: ${callback.get('error_description')}`)
  check('authorization', callback.get('state') === state, 'the state is not the one that was sent')
  check('authorization', callback.get('iss') === resource.issuer, `iss is ${callback.get('iss')}, not ${resource.issuer}`)

  const token = (members: Record<string, string>) => postForm('token', server.token_endpoint, { client_id: clientId, resource: resource.resource, ...members })
  const code = callback.get('code') ?? ''
  let tokens = (await token({ grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri })) as unknown as TestTokens
  return {
    issuer: resource.issuer,
    clientId,
    get tokens() {
      return tokens
    },
    call: (method, params) => call(url, tokens.access_token, method, params),
    async refresh() {
      tokens = (await token({ grant_type: 'refresh_token', refresh_token: tokens.refresh_token })) as unknown as TestTokens
      return tokens
    },
    async revoke() {
      await postForm('revocation', server.revocation_endpoint, { client_id: clientId, token: tokens.refresh_token })
    },
  }
}

async function discoverResource(url: string): Promise<{ resource: string; issuer: string }> {
  const refused = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' })
  await refused.body?.cancel()
  check('challenge', refused.status === 401, `an MCP request without a token was answered with ${refused.status}, not with 401`)
  const metadataUrl = /resource_metadata="([^"]+)"/.exec(refused.headers.get('www-authenticate') ?? '')?.[1]
  check('challenge', metadataUrl !== undefined, 'the WWW-Authenticate header has no resource_metadata')
  const metadata = await getJson('resource metadata', metadataUrl as string)
  check('resource metadata', metadata.resource === url.replace(/\/$/, ''), `resource is ${metadata.resource}, not ${url}`)
  const issuer = (metadata.authorization_servers as string[] | undefined)?.[0]
  check('resource metadata', typeof issuer === 'string', 'authorization_servers is empty')
  return { resource: metadata.resource as string, issuer: issuer as string }
}

async function discoverServer(issuer: string): Promise<Record<string, string>> {
  const { origin, pathname } = new URL(issuer)
  const metadata = await getJson('server metadata', `${origin}/.well-known/oauth-authorization-server${pathname === '/' ? '' : pathname}`)
  check('server metadata', metadata.issuer === issuer, `issuer is ${metadata.issuer}, not ${issuer}`)
  for (const endpoint of ['authorization_endpoint', 'token_endpoint', 'registration_endpoint', 'revocation_endpoint']) {
    check('server metadata', typeof metadata[endpoint] === 'string', `there is no ${endpoint}`)
  }
  return metadata as Record<string, string>
}

function allow(form: TestForm): Record<string, string> {
  const button =
    form.buttons.find(({ value, label }) => /allow|approve|accept|continue/i.test(`${value} ${label}`) && !/deny|cancel/i.test(value)) ?? form.buttons[0]
  return button && button.name !== '' ? { [button.name]: button.value } : {}
}

async function call(url: string, token: string, method: string, params: object = {}): ReturnType<TestConnection['call']> {
  const headers = { 'content-type': 'application/json', accept: 'application/json, text/event-stream', authorization: `Bearer ${token}` }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }) })
  const text = await response.text()
  const json = response.headers.get('content-type')?.startsWith('text/event-stream') ? /^data: ?(\{.*)$/m.exec(text)?.[1] : text
  return { status: response.status, headers: response.headers, message: json?.startsWith('{') ? JSON.parse(json) : {} }
}

async function getJson(leg: string, url: string): Promise<Record<string, unknown>> {
  return readJson(leg, await fetch(url, { redirect: 'error' }))
}

async function postJson(leg: string, url: string | undefined, body: object): Promise<Record<string, unknown>> {
  return readJson(leg, await fetch(url ?? '', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }))
}

async function postForm(leg: string, url: string | undefined, members: Record<string, string>): Promise<Record<string, unknown>> {
  return readJson(leg, await fetch(url ?? '', { method: 'POST', body: new URLSearchParams(members) }))
}

async function readJson(leg: string, response: Response): Promise<Record<string, unknown>> {
  const text = await response.text()
  check(leg, response.ok, `answered with ${response.status}: ${text.slice(0, 500)}`)
  return text === '' ? {} : (JSON.parse(text) as Record<string, unknown>)
}

function check(leg: string, holds: boolean, words: string): void {
  if (!holds) throw new Error(`${leg}: ${words}`)
}
