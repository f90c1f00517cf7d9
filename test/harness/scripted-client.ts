import { createHash, randomBytes } from 'node:crypto'
import { Browser, callbackOf, type Page } from './browser.ts'
import { nativeClientMetadata, nativeRedirectUri } from './oauth-provider.ts'

/** Tokens as the gateway issued them. */
export interface Issued {
  access_token: string
  token_type: string
  expires_in: number
  refresh_token: string
  scope: string
}

/** An OAuth answer, whole. */
export interface Answer<T = Record<string, unknown>> {
  status: number
  headers: Headers
  body: T
}

/** A PKCE pair. */
export function pkce(): { verifier: string; challenge: string } {
  const verifier = randomBytes(48).toString('base64url')
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** An OAuth client written out request by request, for what no SDK would send: wrong verifiers, codes used twice, foreign clients. */
export class ScriptedClient {
  readonly issuer: string
  readonly resource: string
  readonly browser = new Browser(nativeRedirectUri)
  clientId = ''
  /** Every code, verifier and token that passed through here: what must show up nowhere else. */
  readonly secrets: string[] = []

  /**
   * @param issuer the gateway's public URL
   * @param resource the MCP server's resource identifier
   */
  constructor(issuer: string, resource: string) {
    this.issuer = issuer
    this.resource = resource
  }

  /** Registers dynamically (RFC 7591). */
  async register(metadata: object = nativeClientMetadata): Promise<this> {
    const response = await fetch(`${this.issuer}/register`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(metadata) })
    const body = (await response.json()) as { client_id?: string }
    if (body.client_id === undefined) throw new Error(`registration failed: ${response.status} ${JSON.stringify(body)}`)
    this.clientId = body.client_id
    return this
  }

  /** The authorize URL; members override or, when undefined, remove parameters. */
  authorizeUrl(challenge: string, members: Record<string, string | undefined> = {}): URL {
    const url = new URL(`${this.issuer}/authorize`)
    const parameters = {
      response_type: 'code',
      client_id: this.clientId,
      redirect_uri: nativeRedirectUri,
      code_challenge: challenge,
      code_challenge_method: 'S256',
      resource: this.resource,
      state: randomBytes(16).toString('base64url'),
      ...members,
    }
    for (const [name, value] of Object.entries(parameters)) if (value !== undefined) url.searchParams.set(name, value)
    return url
  }

  /** Goes through the pages as a user would and gives the code. */
  async code(user: string, members: Record<string, string | undefined> = {}): Promise<{ code: string; verifier: string; page: Page }> {
    const { verifier, challenge } = pkce()
    const page = await this.browser.authorize(this.authorizeUrl(challenge, members), { user })
    const callback = callbackOf(page)
    const code = callback.get('code')
    if (code === null) throw new Error(`no code: ${callback}`)
    this.secrets.push(code, verifier)
    return { code, verifier, page }
  }

  /** One request to the token endpoint; members that are undefined are left out. */
  async token<T = Issued>(members: Record<string, string | undefined>, headers: Record<string, string> = {}): Promise<Answer<T>> {
    const answer = await this.post<T>('/token', { client_id: this.clientId, ...members }, headers)
    const { access_token, refresh_token } = answer.body as Partial<Issued>
    this.secrets.push(...[access_token, refresh_token].filter((token) => token !== undefined))
    return answer
  }

  /** Redeems a code. */
  redeem<T = Issued>(code: string, verifier: string, members: Record<string, string | undefined> = {}): Promise<Answer<T>> {
    return this.token<T>({
      grant_type: 'authorization_code',
      code,
      code_verifier: verifier,
      redirect_uri: nativeRedirectUri,
      resource: this.resource,
      ...members,
    })
  }

  /** Refreshes. */
  refresh<T = Issued>(refreshToken: string, members: Record<string, string | undefined> = {}): Promise<Answer<T>> {
    return this.token<T>({ grant_type: 'refresh_token', refresh_token: refreshToken, resource: this.resource, ...members })
  }

  /** Revokes (RFC 7009). */
  revoke(token: string, members: Record<string, string | undefined> = {}): Promise<Answer<unknown>> {
    return this.post('/revoke', { token, client_id: this.clientId, ...members })
  }

  /** Registers if need be, signs the user in, redeems the code. */
  async signIn(user: string, members: Record<string, string | undefined> = {}): Promise<Issued> {
    if (this.clientId === '') await this.register()
    const { code, verifier } = await this.code(user, members)
    const { status, body } = await this.redeem(code, verifier)
    if (status !== 200) throw new Error(`token request failed: ${status} ${JSON.stringify(body)}`)
    return body
  }

  private async post<T>(path: string, members: Record<string, string | undefined>, headers: Record<string, string> = {}): Promise<Answer<T>> {
    const body = new URLSearchParams(Object.entries(members).filter((entry): entry is [string, string] => entry[1] !== undefined))
    const response = await fetch(`${this.issuer}${path}`, { method: 'POST', body, headers })
    const text = await response.text()
    return { status: response.status, headers: response.headers, body: (text === '' ? {} : JSON.parse(text)) as T }
  }
}

/** One JSON-RPC request on an MCP endpoint, as bare as it goes. */
export async function rpc(
  url: string,
  token: string | undefined,
  message: object | string,
  headers: Record<string, string> = {},
): Promise<{ status: number; headers: Headers; text: string; message: Record<string, unknown> | undefined }> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
      ...headers,
    },
    body: typeof message === 'string' ? message : JSON.stringify(message),
  })
  const text = await response.text()
  const data = response.headers.get('content-type')?.startsWith('text/event-stream') ? /^data: ?(\{.*)$/m.exec(text)?.[1] : text
  return { status: response.status, headers: response.headers, text, message: data?.startsWith('{') ? JSON.parse(data) : undefined }
}
