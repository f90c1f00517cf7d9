import type { IncomingMessage } from 'node:http'
import { callbackPath } from '../grants/callback-path.ts'
import { downstreamScopes } from '../grants/scope-map.ts'
import { pathMatches } from '../http/route.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import type { FrontDeps } from './front-deps.ts'
import type { PendingRequest } from './pending.ts'

/** The leg to the provider: what the callback will be held against, and where the browser goes. */
export interface DownstreamLeg {
  leg: { state: string; nonce: string; verifier: string }
  goOn: string
}

/** Where the provider sends the browser back to: what the team registered there. */
export function callbackUrl(config: Pick<FrontDeps['config'], 'issuer' | 'endpoints' | 'providers'>, providerId: string): string {
  return config.issuer + callbackPath(config, providerId)
}

/** Whether a request came to the place of one provider: an answer at the place of another is that one's, whatever its state says (RFC 9700 §4.4.2). */
export function isAtCallbackOf(config: Pick<FrontDeps['config'], 'basePath' | 'endpoints' | 'providers'>, req: IncomingMessage, providerId: string): boolean {
  return pathMatches(req, config.basePath, callbackPath(config, providerId))
}

/**
 * Makes the leg to the provider. Called only once consent was given, or found remembered: state, nonce and PKCE verifier do not exist before (AZ-5, AZ-10). The state
 * names the transaction, so that the callback finds it, and holds 256 random bits.
 *
 * @throws ProviderUnavailable when the provider's metadata cannot be had
 */
export async function startDownstream(deps: FrontDeps, pendingId: string, providerId: string, request: PendingRequest): Promise<DownstreamLeg> {
  const provider = deps.config.providers[providerId]
  const downstream = deps.downstreams[providerId]
  if (!provider || !downstream) throw new Error(`There is no provider ${providerId}.`)
  const leg = { state: `${pendingId}.${deps.random(32)}`, nonce: deps.random(32), verifier: downstream.newVerifier() }
  const url = await downstream.authorizationUrl({
    redirectUri: callbackUrl(deps.config, providerId),
    state: leg.state,
    nonce: leg.nonce,
    codeChallenge: await downstream.challengeOf(leg.verifier),
    scopes: downstreamScopes(provider, withIncluded(deps.config.scopeHierarchy, request.scopes)),
    loginHint: request.loginHint,
    // `consent` is asked of us, not of the provider.
    ...(request.prompt === undefined || request.prompt === 'consent' ? {} : { prompt: request.prompt }),
  })
  return { leg, goOn: url.href }
}

/** The transaction that a state names; undefined for anything we did not make. */
export function transactionOf(state: string): string | undefined {
  return /^([\w-]{32})\.[\w-]{43}$/.exec(state)?.[1]
}
