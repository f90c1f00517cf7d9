import type { Deps } from '../deps.ts'
import type { Downstream } from './downstream.ts'
import { readGrant, readGrantTokens, saveGrant } from './grants.ts'

/*
 * The downstream token of a service: the gateway's own, by client credentials (EX-5). It is a grant like a user's, so that one lease renews it for all replicas; what stands in for
 * its refresh token is the right to ask anew.
 */
const askAnew = 'client_credentials'

/** The provider as the grant of a service sees it: to refresh is to ask anew for the same scopes. */
export function forService(downstream: Downstream, scopes: string[]): Downstream {
  return { ...downstream, refresh: (_askAnew, options) => downstream.ownToken(scopes, options), isSpent: async () => false }
}

/**
 * Sees to it that a service has its downstream token, before it is told that it may call.
 *
 * @param scopes at the provider
 * @throws DownstreamRefused when the provider gives the gateway no such token; ProviderUnavailable; StoreUnavailable
 */
export async function ensureServiceGrant(
  deps: Pick<Deps, 'store' | 'keys' | 'clock' | 'config'> & { downstream: Downstream },
  key: string,
  { clientId, scopes }: { clientId: string; scopes: string[] },
): Promise<void> {
  const { downstream } = deps
  const stored = await readGrant(deps, key)
  if (stored?.value.state === 'live' && readGrantTokens(deps, key, stored.value)) return
  const obtainedAt = deps.clock()
  const { accessToken, expiresIn, scopes: granted = scopes } = await downstream.ownToken(scopes)
  await saveGrant(deps, key, {
    accessToken,
    refreshToken: askAnew,
    expiresIn,
    obtainedAt,
    scopes: granted,
    // Nobody's: named so that the log tells whose calls it serves.
    identity: { issuer: downstream.provider.issuer, sub: `service ${clientId}`, claims: {} },
    provider: downstream.provider.id,
    owner: clientId,
    lifeSeconds: deps.config.tokens.accessTokenSeconds,
  })
}
