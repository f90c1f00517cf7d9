import { readApproval, saveApproval } from '../clients/approvals.ts'
import type { Client } from '../clients/client.ts'
import { isLoopbackRedirectUri } from '../clients/redirect-uri.ts'
import { readRefusedScopes, takeRefusedScopes } from '../clients/step-up.ts'
import type { ServerConfig } from '../config.ts'
import type { FrontDeps } from './front-deps.ts'
import type { PendingRequest } from './pending.ts'
import { offeredTo } from './scopes.ts'

/** Whether this user approved just this before, so that no page needs to ask (AZ-6, AZ-13). */
export async function isApproved(deps: FrontDeps, client: Client, request: PendingRequest, subject: string): Promise<boolean> {
  if (!deps.config.consent.remember || !isAssured(client, request.redirectUri)) return false
  return readApproval(deps, { subject, client, serverId: request.server, redirectUri: request.redirectUri, scopes: request.scopes })
}

/** Remembers what a user allowed; the scopes that were refused to this client before have been answered with it. */
export async function rememberApproval(deps: FrontDeps, client: Client, request: PendingRequest, subject: string): Promise<void> {
  await takeRefusedScopes(deps, { subject, clientId: client.clientId, serverId: request.server })
  if (!deps.config.consent.remember) return
  await saveApproval(deps, { subject, client, serverId: request.server, redirectUri: request.redirectUri, scopes: request.scopes })
}

/**
 * The scopes of a request and those that an operation of this user's client was refused for not long ago: some clients ask again with the scopes they had
 * (refusals.md). Only what the server offers this client.
 */
export async function withRefusedScopes(deps: FrontDeps, client: Client, server: ServerConfig, scopes: string[], subject: string): Promise<string[]> {
  const refused = await readRefusedScopes(deps, { subject, clientId: client.clientId, serverId: server.id })
  return offeredTo(deps.config, client, server).filter((scope) => scopes.includes(scope) || refused.includes(scope))
}

/**
 * Whether a request that names this client can be taken to come from it. Anyone may use a well-known client id with a redirect to loopback, where any program can
 * listen, so consent is asked each time then (RFC 8252 §8.6, AZ-12). A client id that was registered for one installation is known to that one alone.
 */
function isAssured(client: Client, redirectUri: string): boolean {
  return !isLoopbackRedirectUri(redirectUri) || client.trust === 'dynamic' || !client.authMethods.includes('none')
}
