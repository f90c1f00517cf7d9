// The Todo team's authorization server (oidc-provider: refresh tokens rotate, and the second use of one ends its whole family), with a count of what it saw.
import { type AuthorizationServer, startAuthorizationServer } from '../../examples/todo/authorization-server.ts'
import { runAsProcess } from '../../examples/todo/process.ts'

/** What the provider saw, by user: each user of these tests has one grant there. */
export interface ProviderCounts {
  /** Refreshes that it granted. */
  refreshes: Record<string, number>
  /** Refresh tokens that were presented a second time, each of which ended its family. */
  reuses: { user: string; at: number }[]
  /** Whatever else it refused at its token endpoint. */
  refusals: string[]
}

function count(server: AuthorizationServer): ProviderCounts {
  const counts: ProviderCounts = { refreshes: {}, reuses: [], refusals: [] }
  server.provider.on('grant.success', ({ oidc }) => {
    const user = oidc.entities.Account?.accountId ?? ''
    if (oidc.params?.grant_type === 'refresh_token') counts.refreshes[user] = (counts.refreshes[user] ?? 0) + 1
  })
  server.provider.on('grant.error', ({ oidc }, error) => {
    const detail = String((error as { error_detail?: string }).error_detail ?? error)
    if (detail === 'refresh token already used') counts.reuses.push({ user: oidc.entities.Account?.accountId ?? '', at: Date.now() })
    else counts.refusals.push(detail)
  })
  return counts
}

await runAsProcess(async (setting) => {
  const server = await startAuthorizationServer({
    port: Number(setting('PORT')),
    dataDir: setting('DATA_DIR'),
    audience: setting('AUDIENCE'),
    accessTokenSeconds: Number(setting('ACCESS_TOKEN_SECONDS')),
    clients: [
      {
        client_id: setting('GATEWAY_CLIENT_ID'),
        client_secret: setting('GATEWAY_CLIENT_SECRET'),
        redirect_uris: [`${setting('GATEWAY_URL')}/callback`],
        grant_types: ['authorization_code', 'refresh_token'],
        response_types: ['code'],
      },
    ],
  })
  const counts = count(server)
  process.on('message', (message: { ask?: string }) => {
    if (message.ask === 'counts') process.send?.({ counts })
  })
  return server
})
