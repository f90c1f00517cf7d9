import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A provider that says whatever a test puts into its mouth, for what no honest one would send. */
export interface TalkingProvider {
  /** Its profile in `downstream`. */
  profile: object
  origin: string
  /** What it says of the user who signs in next, without a question. */
  user: { sub: string; name?: string }
  /** The access token it gives. */
  accessToken: string
  /** Parameters of its next answers at the callback, instead of a code. */
  refusal: Record<string, string> | undefined
  close(): Promise<void>
}

/** Starts one. */
export async function startTalkingProvider(scopes: string[]): Promise<TalkingProvider> {
  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', provider.origin)
    const json = (body: object) => res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(body))
    if (url.pathname === '/token')
      return json({ access_token: provider.accessToken, refresh_token: 'the-refresh-token-of-the-provider', token_type: 'bearer', expires_in: 3600 })
    if (url.pathname === '/userinfo') return json(provider.user)
    const back = new URL(url.searchParams.get('redirect_uri') ?? '')
    const answer = provider.refusal ?? { code: 'the-code-of-the-provider' }
    for (const [name, value] of Object.entries({ ...answer, state: url.searchParams.get('state') ?? '' })) back.searchParams.set(name, value)
    res.writeHead(303, { location: back.href }).end()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const endpoints = { authorization: `${origin}/authorize`, token: `${origin}/token`, userinfo: `${origin}/userinfo` }
  const provider: TalkingProvider = {
    profile: { issuer: origin, endpoints, identity: 'userinfo', clientId: 'emcy-gateway', clientSecret: 'the-secret-of-the-gateway-there', scopes },
    origin,
    user: { sub: 'ann' },
    accessToken: 'the-access-token-of-the-provider',
    refusal: undefined,
    async close() {
      server.closeAllConnections()
      await new Promise((closed) => server.close(closed))
    },
  }
  return provider
}
