import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Client } from '../clients/client.ts'
import type { ServerConfig } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { fingerprint } from '../keys/fingerprint.ts'
import { errorResponse, type ResponseTarget } from './authorization-response.ts'
import { type ExpectedUser, expectedUser, hostIdentity } from './expected-user.ts'
import { finish } from './finish.ts'
import type { FrontDeps } from './front-deps.ts'
import { sendRefusal } from './notices.ts'
import { readAuthorizationParams } from './parameters.ts'
import { beginPending, newPendingId, type PendingRequest, savePending } from './pending.ts'
import { isApproved, withRefusedScopes } from './remembered.ts'
import { checkRequest, responseModeOf } from './request-checks.ts'
import { type ClientRequest, requestedRedirectUri, requestOfClient } from './requested-client.ts'
import { sendOn } from './send-on.ts'
import { startDownstream } from './start-downstream.ts'
import { setTransactionCookie } from './transaction-cookies.ts'
import { isTrustedTarget } from './trusted-target.ts'

/** An authorization request whose every check has passed, and who is expected to answer it. */
interface Begun {
  client: Client
  server: ServerConfig
  request: PendingRequest
  user: ExpectedUser | undefined
}

/**
 * GET and POST /authorize. Until client and redirect URI are known to be good, a failure is a page of ours (AZ-3: it is thrown from here); after that it goes to the
 * client by redirect, or by a link that the user may take, where nobody vouches for the client. Each request makes a transaction of its own, so fetching the same URL twice costs nothing (clients.md line 15).
 */
export async function authorize(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const asked = await requestOfClient(deps, await readAuthorizationParams(req, deps.config))
  const { client, given } = asked
  const target = { redirectUri: requestedRedirectUri(client, given), state: given.params.get('state'), responseMode: responseModeOf(given) }
  try {
    const begun = await begin(deps, req, asked, target)
    sendOn(res, deps.config, target, await nextStop(deps, res, begun, requestId))
  } catch (error) {
    logRefusal(deps, client, error, requestId)
    const goOn = errorResponse(deps.config, target, error, requestId)
    if (isTrustedTarget(deps.config, client, target.redirectUri)) sendOn(res, deps.config, target, goOn)
    else sendRefusal(res, deps.config, target, { error, goOn, requestId })
  }
}

async function begin(deps: FrontDeps, req: IncomingMessage, { client, given, pushed }: ClientRequest, target: ResponseTarget): Promise<Begun> {
  const { server, scopes, ...checked } = checkRequest(deps.config, client, given)
  if (pushed === undefined && (client.requirePushed || deps.config.clients.pushedRequests === 'required')) {
    throw new OAuthError('invalid_request', 'The request has to be pushed first, to the pushed_authorization_request_endpoint.')
  }
  const user = await expectedUser(deps, req, server)
  const offered = user ? await withRefusedScopes(deps, client, server, scopes, user.subject) : scopes
  const request: PendingRequest = { clientId: client.clientId, ...checked, ...target, server: server.id, scopes: offered, pushed }
  return { client, server, user, request }
}

/** The consent page; or the next leg at once, when this user approved the same before. */
async function nextStop(deps: FrontDeps, res: ServerResponse, begun: Begun, requestId: string): Promise<string> {
  const { client, request, user } = begun
  const asksAnew = request.prompt === 'consent' || request.prompt === 'login' || request.prompt === 'select_account'
  if (user && !asksAnew && (await isApproved(deps, client, request, user.subject))) {
    logStep(deps, begun, 'approved before', requestId)
    return withoutPage(deps, res, begun, user)
  }
  // OpenID Connect Core §3.1.2.6: nobody may be asked anything.
  if (request.prompt === 'none') {
    throw user ? new OAuthError('consent_required', 'The user has to allow this first.') : new OAuthError('login_required', 'The user has to sign in first.')
  }
  logStep(deps, begun, 'asks for consent', requestId)
  return toConsentPage(deps, res, begun)
}

function toConsentPage(deps: FrontDeps, res: ServerResponse, { request, user }: Begun): string {
  const id = newPendingId(deps)
  const secret = deps.random(32)
  setTransactionCookie(deps, res, 'page', id, secret)
  return consentUrl(deps, beginPending(deps, { id, request, browser: fingerprint(secret), expected: user }))
}

async function withoutPage(deps: FrontDeps, res: ServerResponse, { client, server, request }: Begun, user: ExpectedUser): Promise<string> {
  const id = newPendingId(deps)
  if (server.provider === undefined) {
    const identity = hostIdentity(deps.config.issuer, user)
    return (await finish(deps, { transaction: id, client, server, request, identity, tokens: undefined })).url
  }
  const { leg, goOn } = await startDownstream(deps, id, server.provider, request)
  await savePending(deps, { id, phase: 'downstream', request, browser: undefined, expected: user, decision: undefined }, { leg, goOn })
  setTransactionCookie(deps, res, 'state', id, leg.state)
  return goOn
}

/** Where a transaction's consent page stands. */
export function consentUrl(deps: Pick<FrontDeps, 'config'>, name: string): string {
  return `${deps.config.issuer}${deps.config.endpoints.consent}?transaction=${name}`
}

function logStep(deps: FrontDeps, { client, request, user }: Begun, outcome: string, requestId: string): void {
  deps.log.write({
    event: 'authorization.request',
    level: 'info',
    outcome,
    requestId,
    clientId: client.clientId,
    server: request.server,
    scopes: request.scopes,
    ...(user && { subject: user.subject }),
  })
}

function logRefusal(deps: FrontDeps, client: Client, error: unknown, requestId: string): void {
  const { code, reason, message } = error as { code?: string; reason?: string; message?: string }
  deps.log.write({
    event: 'authorization.request',
    level: error instanceof OAuthError ? 'info' : 'error',
    outcome: code ?? 'server_error',
    requestId,
    clientId: client.clientId,
    reason: reason ?? message ?? 'unknown',
  })
}
