import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startApi } from '../../examples/todo/api.ts'
import { type AuthorizationServer, startAuthorizationServer } from '../../examples/todo/authorization-server.ts'
import { Browser, callbackOf } from '../harness/browser.ts'

const redirectUri = 'http://127.0.0.1:7998/callback'
const credentials = `Basic ${Buffer.from('tests:a-secret-of-the-tests-only').toString('base64')}`

/** What the token endpoint of the Todo team answered. */
export interface TokenAnswer {
  access_token: string
  refresh_token: string
  id_token: string
  expires_in: number
  scope: string
  error?: string
}

/** The Todo team's own servers, with the means to log in there as the gateway does. */
export interface Team {
  as: AuthorizationServer
  api: { url: string }
  audience: string
  dataDir: string
  /** Logs a user in, in a browser of their own unless one is given, and redeems the code. */
  logIn(user: string, options?: { scope?: string; browser?: Browser }): Promise<TokenAnswer>
  refresh(refreshToken: string): Promise<TokenAnswer>
  close(): Promise<void>
}

/** Starts authorization server and API on free ports; without `dataDir` in a new folder that `close` removes. */
export async function startTeam(options: { dataDir?: string; port?: number; accessTokenSeconds?: number; audience?: string } = {}): Promise<Team> {
  const dataDir = options.dataDir ?? (await mkdtemp(join(tmpdir(), 'todo-team-')))
  const audience = options.audience ?? 'https://api.todo.example'
  const { accessTokenSeconds } = options
  const client = {
    client_id: 'tests',
    client_secret: 'a-secret-of-the-tests-only',
    redirect_uris: [redirectUri],
    grant_types: ['authorization_code', 'refresh_token'],
  }
  const as = await startAuthorizationServer({
    port: options.port ?? 0,
    dataDir,
    audience,
    clients: [client],
    ...(accessTokenSeconds === undefined ? {} : { accessTokenSeconds }),
  })
  const api = await startApi({ port: 0, dataDir, issuer: as.issuer, audience })
  const token = async (params: Record<string, string>) => {
    const response = await fetch(`${as.issuer}/token`, { method: 'POST', headers: { authorization: credentials }, body: new URLSearchParams(params) })
    return (await response.json()) as TokenAnswer
  }
  return {
    as,
    api,
    audience,
    dataDir,
    refresh: (refreshToken) => token({ grant_type: 'refresh_token', refresh_token: refreshToken }),
    logIn: async (user, { scope = 'openid todos.read todos.write', browser = new Browser(redirectUri) } = {}) => {
      const verifier = randomBytes(32).toString('base64url')
      const url = new URL(`${as.issuer}/auth`)
      const challenge = createHash('sha256').update(verifier).digest('base64url')
      const params = {
        client_id: 'tests',
        response_type: 'code',
        redirect_uri: redirectUri,
        scope,
        state: 'state',
        code_challenge: challenge,
        code_challenge_method: 'S256',
      }
      for (const [name, value] of Object.entries(params)) url.searchParams.set(name, value)
      const code = callbackOf(await browser.authorize(url, { user })).get('code') ?? ''
      return token({ grant_type: 'authorization_code', code, code_verifier: verifier, redirect_uri: redirectUri })
    },
    close: async () => {
      await api.close()
      await as.close()
      if (options.dataDir === undefined) await rm(dataDir, { recursive: true })
    },
  }
}

/** A browser that knows where the tests' client is. */
export const newBrowser = () => new Browser(redirectUri)

/** Claims of a JWT, unchecked. */
export function claimsOf(jwt: string): Record<string, unknown> {
  return JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
}
