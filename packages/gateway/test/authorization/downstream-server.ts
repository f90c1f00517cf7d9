import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import Provider, { type KoaContextWithOIDC } from 'oidc-provider'

/** The team's authorization server: a real oidc-provider. */
export interface DownstreamServer {
  issuer: string
  provider: Provider
  /** Requests that reached it, for "nothing went downstream". */
  requests: string[]
  close(): Promise<void>
}

/** Listens on a free loopback port. */
export async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Stops a server and every connection to it. */
export async function stop(server: Server): Promise<void> {
  server.closeAllConnections()
  await new Promise<void>((resolve) => server.close(() => resolve()))
}

/** Starts it: any user name logs in, refresh tokens rotate, everything asked is granted. */
export async function startDownstreamServer(redirectUri: string): Promise<DownstreamServer> {
  const server = createServer()
  const issuer = await listen(server)
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: 'gateway',
        client_secret: 'gateway-secret',
        redirect_uris: [redirectUri],
        grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
        response_types: ['code'],
      },
    ],
    scopes: ['openid', 'offline_access', 'todos.read', 'todos.write'],
    cookies: { keys: ['a cookie key of the test'] },
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, name: `${sub} (name)` }) }),
    features: { clientCredentials: { enabled: true }, devInteractions: { enabled: true }, revocation: { enabled: true }, userinfo: { enabled: true } },
    claims: { openid: ['sub', 'name'] },
    conformIdTokenClaims: false,
    loadExistingGrant: grantEverythingAsked,
    issueRefreshToken: () => true,
    rotateRefreshToken: true,
    ttl: { AccessToken: 300, Session: 3600, Grant: 3600, RefreshToken: 3600, Interaction: 600, IdToken: 600 },
  })
  const requests: string[] = []
  const answer = provider.callback()
  server.on('request', (req, res) => {
    requests.push(`${req.method} ${req.url?.split('?')[0]}`)
    void answer(req, res)
  })
  return { issuer, provider, requests, close: () => stop(server) }
}

async function grantEverythingAsked(ctx: KoaContextWithOIDC) {
  const { client, session, provider, params } = ctx.oidc
  if (!client || !session?.accountId) return undefined
  const grantId = session.grantIdFor(client.clientId)
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
  grant.addOIDCScope(String(params?.scope ?? ''))
  await grant.save()
  return grant
}
