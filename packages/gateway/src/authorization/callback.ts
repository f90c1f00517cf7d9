import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Client } from '../clients/client.ts'
import { findClient } from '../clients/find-client.ts'
import type { Identity, ServerConfig } from '../config.ts'
import { subjectKey } from '../connections/connection.ts'
import { releaseTokens } from '../ending/ending.ts'
import { GatewayError } from '../errors/errors.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { DownstreamRefused, type DownstreamTokens } from '../grants/downstream.ts'
import { downstreamScopes } from '../grants/scope-map.ts'
import { parseParams } from '../http/params.ts'
import { sendRedirect } from '../http/respond.ts'
import { queryOf } from '../http/route.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import { rememberUser } from '../visitor/identity-cookie.ts'
import { errorResponse } from './authorization-response.ts'
import { consentUrl } from './authorize.ts'
import { type ExpectedUser, expectedUser } from './expected-user.ts'
import { finish } from './finish.ts'
import { finishReconnect } from './finish-reconnect.ts'
import type { FrontDeps } from './front-deps.ts'
import { loginInstead } from './login-instead.ts'
import { notices, sendNotice } from './notices.ts'
import { findPending, newPendingId, openSecrets, type Pending, savePending, takePending } from './pending.ts'
import { refusalOf } from './provider-refusal.ts'
import { reconnectionOf } from './reconnection.ts'
import { rememberApproval } from './remembered.ts'
import { sendOn } from './send-on.ts'
import { callbackUrl, isAtCallbackOf, transactionOf } from './start-downstream.ts'
import { clearTransactionCookie, readTransactionCookie, setTransactionCookie } from './transaction-cookies.ts'

/** A sign-in that the provider has confirmed. */
interface SignedIn {
  pending: Pending
  client: Client
  server: ServerConfig
  tokens: DownstreamTokens
  identity: Identity
}

/**
 * GET /callback: the browser is back from the provider. Only the browser that was sent there gets on, and only once; anyone else sees a page and changes nothing
 * (AZ-11). After that every failure goes to the client by redirect.
 */
export async function callback(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const state = stateOf(queryOf(req))
  const reconnection = reconnectionOf(state)
  if (state !== undefined && reconnection !== undefined) return finishReconnect(deps, req, res, requestId, state, reconnection)
  const pending = await ownTransaction(deps, req, state)
  if ('status' in pending) return sendNotice(res, deps.config, pending)
  if (!(await takePending(deps, pending.id))) return sendNotice(res, deps.config, notices.gone)
  for (const kind of ['page', 'state'] as const) clearTransactionCookie(deps, res, kind, pending.id)
  try {
    const otherWay = await loginInstead(deps, res, pending, parseParams(queryOf(req)))
    if (otherWay !== undefined) {
      logCallback(deps, pending, 'no select_account: asks for a login', requestId)
      return sendRedirect(res, otherWay)
    }
    const signedIn = await signIn(deps, req, pending)
    const user = await expectedUser(deps, req, signedIn.server)
    if (isAnother(signedIn, user)) {
      if (user?.source === 'host' && deps.config.onMismatch === 'block') {
        logCallback(deps, pending, 'another account', requestId)
        await releaseTokens(deps, signedIn.server.provider as string, signedIn.identity, signedIn.tokens.refreshToken)
        return sendNotice(res, deps.config, notices.otherAccount)
      }
      logCallback(deps, pending, 'another account: asks again', requestId)
      return sendRedirect(res, await askAgain(deps, res, signedIn))
    }
    const url = await complete(deps, signedIn, requestId)
    rememberUser(deps, req, res, signedIn.server.provider as string, signedIn.identity)
    sendOn(res, deps.config, pending.request, url)
  } catch (error) {
    logFailure(deps, pending, error, requestId)
    sendOn(res, deps.config, pending.request, errorResponse(deps.config, pending.request, error, requestId))
  }
}

/** The transaction of a callback, if its state is the one that this very browser was sent away with. */
async function ownTransaction(
  deps: FrontDeps,
  req: IncomingMessage,
  state: string | undefined,
): Promise<Pending | (typeof notices)['gone' | 'noCookies' | 'otherBrowser']> {
  const id = state === undefined ? undefined : transactionOf(state)
  if (state === undefined || id === undefined) return notices.gone
  if (req.headers.cookie === undefined) return notices.noCookies
  const cookie = readTransactionCookie(deps, req, 'state', id)
  if (cookie === undefined || !sameFingerprint(fingerprint(cookie), fingerprint(state))) return notices.otherBrowser
  const pending = await findPending(deps, id)
  const provider = pending && deps.config.servers[pending.request.server]?.provider
  if (pending?.phase !== 'downstream' || provider === undefined || !isAtCallbackOf(deps.config, req, provider)) return notices.gone
  const { leg } = openSecrets(deps, pending)
  return leg && sameFingerprint(fingerprint(leg.state), fingerprint(state)) ? pending : notices.gone
}

function stateOf(query: string): string | undefined {
  return parseParams(query).get('state')
}

/** Exchanges the provider's code and learns who the user is (AZ-17: state, nonce, PKCE and iss are checked by the exchange). */
async function signIn(deps: FrontDeps, req: IncomingMessage, pending: Pending): Promise<SignedIn> {
  const server = deps.config.servers[pending.request.server]
  const downstream = deps.downstreams[server?.provider ?? '']
  const { leg } = openSecrets(deps, pending)
  if (!server || !downstream || !leg) throw new GatewayError('internal_error', { reason: 'the provider of a transaction is gone' })
  const query = queryOf(req)
  const refusal = refusalOf(parseParams(query), downstream.provider.issuer)
  if (refusal) throw refusal
  const client = await findClient(deps, pending.request.clientId)
  const redirectUri = callbackUrl(deps.config, downstream.provider.id)
  try {
    const scopes = downstreamScopes(downstream.provider, withIncluded(deps.config.scopeHierarchy, pending.request.scopes))
    const tokens = await downstream.exchange({ callbackUrl: new URL(`${redirectUri}?${query}`), redirectUri, ...leg, scopes })
    return { pending, client, server, tokens, identity: await downstream.identify(tokens) }
  } catch (error) {
    if (!(error instanceof DownstreamRefused)) throw error
    throw new OAuthError('server_error', 'The authorization server behind this gateway refused.', { reason: error.reason, cause: error })
  }
}

/** Whether someone else came back than was named at the start, or is named now. */
function isAnother({ pending, identity }: SignedIn, user: ExpectedUser | undefined): boolean {
  const { expected } = pending
  if (expected?.source === 'cookie' && expected.subject !== subjectKey(identity)) return true
  // The host app knows its user's `sub`, and nothing of the issuer's name that an identity function may give.
  return [expected, user].some((each) => each?.source === 'host' && each.sub !== identity.sub)
}

/** Consent was given, or remembered, for another account than this one: the question is asked anew, now that it is known for whom (AZ-6). */
async function askAgain(deps: FrontDeps, res: ServerResponse, { pending, tokens, identity }: SignedIn): Promise<string> {
  const { request, expected } = pending
  if (request.prompt === 'none') throw new OAuthError('consent_required', 'Another user is signed in.')
  const id = newPendingId(deps)
  const secret = deps.random(32)
  await savePending(deps, { id, phase: 'confirm', request, browser: fingerprint(secret), expected, decision: undefined }, { signedIn: { tokens, identity } })
  setTransactionCookie(deps, res, 'page', id, secret)
  return consentUrl(deps, id)
}

async function complete(deps: FrontDeps, { pending, client, server, tokens, identity }: SignedIn, requestId: string): Promise<string> {
  const { request } = pending
  await rememberApproval(deps, client, request, subjectKey(identity))
  const { url, connectionId } = await finish(deps, { transaction: pending.id, client, server, request, identity, tokens })
  logCallback(deps, pending, 'connected', requestId, { subject: subjectKey(identity), connectionId })
  return url
}

function logCallback(deps: FrontDeps, { request }: Pending, outcome: string, requestId: string, more: { subject?: string; connectionId?: string } = {}): void {
  const { clientId, server, scopes } = request
  deps.log.write({ event: 'authorization.callback', level: 'info', outcome, requestId, clientId, server, scopes, ...more })
}

function logFailure(deps: FrontDeps, { request }: Pending, error: unknown, requestId: string): void {
  const { code, reason, message } = error as { code?: string; reason?: string; message?: string }
  deps.log.write({
    event: 'authorization.callback',
    level: error instanceof OAuthError ? 'info' : 'error',
    outcome: code ?? 'server_error',
    requestId,
    clientId: request.clientId,
    server: request.server,
    reason: reason ?? message ?? 'unknown',
  })
}
