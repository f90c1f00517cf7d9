import type { Identity, ServerConfig } from '../config.ts'
import { type AccessTokenResponse, type Issued, issueDirectly } from '../connections/connections.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { DownstreamRefused } from '../grants/downstream.ts'
import { sharedGrantKey } from '../grants/grant-key.ts'
import { readGrant, readGrantTokens } from '../grants/grants.ts'
import { checkIdentity, identityOf } from '../grants/identity.ts'
import type { Json } from '../lib/json.ts'
import { sameResource } from '../lib/resource.ts'
import { subjectKey } from '../lib/subject-key.ts'
import { directTarget } from './direct-target.ts'
import type { FrontDeps } from './front-deps.ts'
import { type Assertion, checkIdJag, takeIdJag } from './id-jag.ts'
import { scopesToGrant } from './scopes.ts'
import type { TokenRequest } from './token-request.ts'

/**
 * `grant_type=urn:ietf:params:oauth:grant-type:jwt-bearer` with an ID-JAG: enterprise-managed authorization (EX-6 to EX-12). The enterprise has decided in place of the consent page,
 * so whoever presents it has to be the client that it was made for, and prove it. No refresh token (EX-10).
 */
export async function tokenFromAssertion(deps: FrontDeps, request: TokenRequest): Promise<Issued<AccessTokenResponse>> {
  const { client, authenticated, params, jkt } = request
  if (!authenticated) throw new OAuthError('unauthorized_client', 'An assertion is taken only from a client that authenticates, by a secret or a key.')
  const given = params.get('assertion')
  if (given === undefined) throw new OAuthError('invalid_request', 'The parameter assertion is missing.')
  const assertion = await checkIdJag(deps, given, client.clientId, jkt)
  const server = targetOf(deps, assertion, request.resource)
  const scopes = scopesOf(deps, assertion, request, server)
  const identity = await identify(assertion)
  const grant = await storedGrant(deps, server, identity)
  await takeIdJag(deps, assertion)
  return issueDirectly(deps, { obtainedBy: 'id-jag', identity, client, server, scopes, jkt, ...grant })
}

/** EX-10: what the assertion is for; of several, the one that the request names. */
function targetOf(deps: FrontDeps, { resources }: Assertion, requested: string | undefined): ServerConfig {
  if (resources.length === 0) return directTarget(deps, requested)
  const servers = Object.values(deps.config.servers)
  const ours = resources.map((resource) => servers.find((server) => sameResource(resource, server.resource)))
  if (ours.includes(undefined)) throw new OAuthError('invalid_grant', 'The assertion is refused: its resource is not a server of this gateway.')
  if (requested === undefined && ours.length > 1)
    throw new OAuthError('invalid_target', 'The assertion names several resources; say by resource for which the token is.')
  const server = requested === undefined ? ours[0] : ours.find((candidate) => candidate?.resource === requested)
  if (!server) throw new OAuthError('invalid_target', 'The assertion is not for this resource.')
  return server
}

/** EX-10: what was asked for and the assertion allows. One that says nothing of scopes allows none: what the enterprise did not write down, it did not decide. */
function scopesOf({ config }: FrontDeps, assertion: Assertion, { client, params }: TokenRequest, server: ServerConfig): string[] {
  const allowed = (assertion.scope ?? '').split(' ')
  const scopes = scopesToGrant(config, client, server, params.get('scope')).filter((scope) => allowed.includes(scope))
  if (scopes.length === 0 && server.scopes.length > 0) throw new OAuthError('invalid_scope', 'The assertion allows none of the scopes that were asked for.')
  return scopes
}

/** Who the user is at the downstream provider (EX-11: by issuer and `sub`). */
async function identify({ issuer, claims }: Assertion): Promise<Identity> {
  const { resource: _resource, cnf: _cnf, ...about } = claims
  try {
    if (!issuer.identify) return identityOf(issuer, about)
    const identity = await issuer.identify(about as Record<string, Json>)
    if (identity) return checkIdentity(issuer, identity)
  } catch (error) {
    if (!(error instanceof DownstreamRefused)) throw error
    throw new OAuthError('invalid_grant', 'The assertion is refused: it names its user in no usable way.', { reason: error.reason, cause: error })
  }
  throw new OAuthError('invalid_grant', 'The assertion is refused: its user is not known here.')
}

/** EX-12: a grant that this user's own sign-in has left here, or none where the runtime needs none. */
async function storedGrant(deps: FrontDeps, server: ServerConfig, identity: Identity): Promise<{ grantKey: string | undefined; provider: string | undefined }> {
  const { provider } = server
  if (provider === undefined || server.grants === 'none') return { grantKey: undefined, provider: undefined }
  if (server.grants === 'own') {
    throw new OAuthError('invalid_target', 'This server works with a sign-in of its own for every connection; use the authorization endpoint.', {
      reason: `servers.${server.id}.grants is 'own', so no grant outlives its connection`,
    })
  }
  const grantKey = sharedGrantKey(provider, subjectKey(identity), server.id)
  const stored = await readGrant(deps, grantKey)
  if (stored?.value.state !== 'live' || !readGrantTokens(deps, grantKey, stored.value)) {
    throw new OAuthError('invalid_grant', 'This user has not signed in at the service behind this server yet; use the authorization endpoint once.', {
      reason: 'no live grant of this user',
    })
  }
  return { grantKey, provider }
}
