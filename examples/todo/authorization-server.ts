import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import express from 'express'
import Provider, { type ClientMetadata, type KoaContextWithOIDC } from 'oidc-provider'
import { openDataFolder, readOrCreate } from './data-folder.ts'
import { listen, type Running } from './listen.ts'
import { loginRoutes } from './login-page.ts'
import { sqliteAdapter } from './oidc-sqlite-adapter.ts'
import { runAsProcess } from './process.ts'

/** Settings of the Todo team's authorization server. */
export interface AuthorizationServerOptions {
  /** 0: the kernel chooses. */
  port: number
  /** Where its keys and its database are. */
  dataDir: string
  /** Identifier of the Todo API: the audience of every access token. */
  audience: string
  /** Clients, each with its `redirect_uris`; all are first-party, so nobody is asked for a consent here. */
  clients: ClientMetadata[]
  /** Life of an access token; five minutes when left out. */
  accessTokenSeconds?: number
}

/** The running server. `provider` emits oidc-provider's events, for example `refresh_token.consumed` at each rotation. */
export interface AuthorizationServer extends Running {
  issuer: string
  provider: Provider
}

const SCOPES = 'todos.read todos.write'
const DAY = 24 * 60 * 60

/**
 * Starts a real OAuth authorization server with OpenID Connect: JWT access tokens for the Todo API, refresh tokens that rotate at every use and whose
 * reuse ends the whole grant.
 */
export async function startAuthorizationServer(options: AuthorizationServerOptions): Promise<AuthorizationServer> {
  const dataDir = openDataFolder(options.dataDir)
  const jwks = JSON.parse(readOrCreate(dataDir, 'authorization-server-jwks.json', createJwks))
  const cookieKey = readOrCreate(dataDir, 'authorization-server-cookie-key', () => randomBytes(32).toString('base64url'))
  const storage = sqliteAdapter(join(dataDir, 'authorization-server.db'))
  const { server, url: issuer, close } = await listen(options.port)

  const provider = new Provider(issuer, {
    adapter: storage.adapter,
    jwks,
    cookies: { keys: [cookieKey] },
    clients: options.clients,
    findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub, name: sub }) }),
    claims: { openid: ['sub'], profile: ['name'] },
    features: {
      devInteractions: { enabled: false },
      introspection: { enabled: true },
      revocation: { enabled: true },
      userinfo: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // A client that names no resource means the API: there is no other.
        defaultResource: () => options.audience,
        useGrantedResource: () => true,
        getResourceServerInfo: () => ({
          scope: SCOPES,
          audience: options.audience,
          accessTokenFormat: 'jwt' as const,
        }),
      },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant: grantEverythingAsked,
    // Every client that may refresh gets a refresh token, also without offline_access, and keeps it when the browser's session ends.
    issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token'),
    expiresWithSession: () => false,
    rotateRefreshToken: true,
    ttl: { AccessToken: options.accessTokenSeconds ?? 300, Session: 14 * DAY, Grant: 90 * DAY, RefreshToken: 90 * DAY, Interaction: 3600, IdToken: 3600 },
  })

  const app = express()
  app.disable('x-powered-by')
  app.use(loginRoutes(provider))
  app.use(provider.callback())
  server.on('request', app)
  return {
    url: issuer,
    issuer,
    provider,
    close: async () => {
      await close()
      storage.close()
    },
  }
}

/** Gives a first-party client what it asks for, so that the user meets one consent page: the gateway's. */
async function grantEverythingAsked(ctx: KoaContextWithOIDC) {
  const { client, session, provider, params } = ctx.oidc
  if (!client || !session?.accountId) return undefined
  const grantId = session.grantIdFor(client.clientId)
  const grant = (grantId && (await provider.Grant.find(grantId))) || new provider.Grant({ clientId: client.clientId, accountId: session.accountId })
  const scopes = String(params?.scope ?? '')
  grant.addOIDCScope(scopes)
  for (const resource of Object.keys(ctx.oidc.resourceServers ?? {})) grant.addResourceScope(resource, scopes)
  await grant.save()
  return grant
}

/** The key that signs tokens: RS256, which every OpenID client takes without being told. */
function createJwks(): string {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const key = { ...privateKey.export({ format: 'jwk' }), kid: randomBytes(8).toString('hex'), alg: 'RS256', use: 'sig' }
  return JSON.stringify({ keys: [key] })
}

if (import.meta.main) {
  await runAsProcess((setting) => {
    const gateway = {
      client_id: setting('GATEWAY_CLIENT_ID'),
      client_secret: setting('GATEWAY_CLIENT_SECRET'),
      client_name: 'Emcy Gateway',
      redirect_uris: [`${setting('GATEWAY_URL')}/callback`],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code' as const],
    }
    return startAuthorizationServer({ port: Number(setting('PORT')), dataDir: setting('DATA_DIR'), audience: setting('API_URL'), clients: [gateway] })
  })
}
