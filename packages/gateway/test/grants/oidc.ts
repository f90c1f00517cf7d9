import { generateKeyPairSync } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type ClientMetadata } from 'oidc-provider'

/** A real authorization server on a free port: refresh tokens rotate at each use, and a second use of one ends the whole grant. */
export interface Oidc {
  issuer: string
  provider: Provider
  /** Grant type of each request at the token endpoint, in order. */
  tokenRequests: string[]
  /** Most token requests that were under way at one time. */
  mostAtOnce: number
  /** Runs before each token request is served; answers true when it has dealt with it. */
  intercept: ((req: IncomingMessage, res: ServerResponse) => boolean | Promise<boolean>) | undefined
  /** Goes through the login as a browser does; where the client is sent in the end. */
  login(url: URL): Promise<URL>
  close(): Promise<void>
}

export const callback = 'https://mcp.example.com/callback'

const bySignature = {
  client_id: 'signer',
  redirect_uris: [callback],
  grant_types: ['authorization_code', 'refresh_token'],
  token_endpoint_auth_method: 'private_key_jwt' as const,
}

/**
 * Accounts sign in by being named in `login_hint`.
 *
 * @param signer public key of a further client, `signer`, that authenticates by private_key_jwt
 */
export async function startOidc(clients: ClientMetadata[], signer?: object): Promise<Oidc> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const provider = new Provider(issuer, {
    clients: signer ? [...clients, { ...bySignature, jwks_uri: `${issuer}/signer-jwks` }] : clients,
    jwks: { keys: [{ ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256' }] },
    cookies: { keys: ['a cookie key for tests'] },
    scopes: ['openid', 'profile', 'offline_access', 'todos.read', 'todos.write'],
    claims: { openid: ['sub'], profile: ['name'] },
    conformIdTokenClaims: false,
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, name: sub.toUpperCase() }) }),
    features: { devInteractions: { enabled: false }, introspection: { enabled: true }, revocation: { enabled: true } },
    interactions: { url: (_ctx, { uid }) => `/interaction/${uid}` },
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    loadExistingGrant: async (ctx) => {
      const { client, session } = ctx.oidc
      const grant = new ctx.oidc.provider.Grant({ clientId: client?.clientId as string, accountId: session?.accountId as string })
      grant.addOIDCScope('openid profile offline_access todos.read todos.write')
      await grant.save()
      return grant
    },
    ttl: { AccessToken: 300, Interaction: 600, Session: 600, Grant: 3600, RefreshToken: 3600, IdToken: 600 },
  })
  const serve = provider.callback()
  let atOnce = 0
  const oidc: Oidc = {
    issuer,
    provider,
    tokenRequests: [],
    mostAtOnce: 0,
    intercept: undefined,
    login: (url) => login(url),
    close: () => new Promise((resolve) => server.close(() => resolve()).closeAllConnections()),
  }
  provider.on('grant.success', (ctx) => oidc.tokenRequests.push(String(ctx.oidc.params?.grant_type)))
  provider.on('grant.error', (ctx) => oidc.tokenRequests.push(String(ctx.oidc.params?.grant_type)))
  server.on('request', async (req, res) => {
    if (req.url === '/signer-jwks') return res.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [signer] }))
    if (req.url?.startsWith('/interaction/')) {
      const { params } = await provider.interactionDetails(req, res)
      return provider.interactionFinished(req, res, { login: { accountId: String(params.login_hint) } })
    }
    if (req.url !== '/token') return serve(req, res)
    atOnce++
    oidc.mostAtOnce = Math.max(oidc.mostAtOnce, atOnce)
    res.on('close', () => atOnce--)
    if (!(await oidc.intercept?.(req, res))) serve(req, res)
  })
  return oidc
}

async function login(start: URL): Promise<URL> {
  const cookies = new Map<string, string>()
  for (let url = start, hops = 0; hops < 10; hops++) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join('; ')
    const response = await fetch(url, { redirect: 'manual', headers: { cookie } })
    for (const line of response.headers.getSetCookie()) cookies.set(...(line.replace(/;.*/, '').split('=', 2) as [string, string]))
    const location = response.headers.get('location')
    if (location === null) throw new Error(`no redirect from ${url}: ${response.status} ${await response.text()}`)
    url = new URL(location, url)
    if (url.href.startsWith(callback)) return url
  }
  throw new Error('too many redirects')
}
