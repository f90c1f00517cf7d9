import type { IncomingMessage, ServerResponse } from 'node:http'
import { subjectKey } from '../connections/connection.ts'
import { releaseTokens } from '../ending/ending.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { rememberUser } from '../visitor/identity-cookie.ts'
import { errorResponse } from './authorization-response.ts'
import { expectedUser, hostIdentity } from './expected-user.ts'
import { type Finished, finish, undoFinish } from './finish.ts'
import type { FrontDeps } from './front-deps.ts'
import { type Notice, notices } from './notices.ts'
import { decidePending, openSecrets, type Pending } from './pending.ts'
import { usePushed } from './pushed-requests.ts'
import { rememberApproval } from './remembered.ts'
import { startDownstream } from './start-downstream.ts'
import type { OpenTransaction } from './transaction.ts'

/**
 * Puts the user's decision into the transaction.
 *
 * @param decision `allow` with the scopes that the user left of the request's
 * @returns the transaction as it stands afterwards, whoever decided it; or what to say instead
 */
export async function decide(
  deps: FrontDeps,
  req: IncomingMessage,
  res: ServerResponse,
  transaction: OpenTransaction,
  decision: 'deny' | { allow: string[] },
  requestId: string,
): Promise<Pending | Notice> {
  const { pending } = transaction
  if (pending.phase === 'downstream' || pending.phase === 'answered') return pending
  const decided = decision === 'deny' ? await deny(deps, transaction) : await allow(deps, req, res, withScopes(transaction, decision.allow))
  if (decided && !('status' in decided)) logDecision(deps, decided, requestId)
  return decided ?? notices.gone
}

function withScopes(transaction: OpenTransaction, scopes: string[]): OpenTransaction {
  const { pending } = transaction
  return { ...transaction, pending: { ...pending, request: { ...pending.request, scopes } } }
}

type Decided = Promise<Pending | Notice | undefined>

async function deny(deps: FrontDeps, { pending, server }: OpenTransaction): Decided {
  const { request } = pending
  const goOn = errorResponse(deps.config, request, new OAuthError('access_denied', 'The user denied the request.'))
  const decided = await decidePending(deps, pending, { phase: 'answered', decision: 'deny', secrets: { goOn } })
  if (decided?.won && request.pushed !== undefined) await usePushed(deps, request.pushed, pending.id)
  const { signedIn } = openSecrets(deps, pending)
  if (decided?.won && signedIn) await releaseTokens(deps, server.provider as string, signedIn.identity, signedIn.tokens.refreshToken)
  return decided?.pending
}

async function allow(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, transaction: OpenTransaction): Decided {
  const { pending, client, server } = transaction
  const { signedIn } = openSecrets(deps, pending)
  if (pending.phase === 'confirm') {
    if (!signedIn) return notices.gone
    rememberUser(deps, req, res, server.provider as string, signedIn.identity)
    return allowAndFinish(deps, pending, { transaction: pending.id, client, server, request: pending.request, ...signedIn })
  }
  if (server.provider !== undefined) {
    const { leg, goOn } = await startDownstream(deps, pending.id, server.provider, pending.request)
    const decided = await decidePending(deps, pending, { phase: 'downstream', decision: 'allow', secrets: { leg, goOn }, scopes: pending.request.scopes })
    return decided?.pending
  }
  const user = await expectedUser(deps, req, server)
  // The page was answered for another session of the host app than it was shown to.
  if (user?.subject !== pending.expected?.subject) return notices.otherAccount
  const identity = user && hostIdentity(deps.config.issuer, user)
  return allowAndFinish(deps, pending, { transaction: pending.id, client, server, request: pending.request, identity, tokens: undefined })
}

/** Of two that allow at the same moment one code leaves; the other's connection ends before anyone has heard of it. */
async function allowAndFinish(deps: FrontDeps, pending: Pending, finished: Finished): Decided {
  const opened = await finish(deps, finished)
  const decided = await decidePending(deps, pending, { phase: 'answered', decision: 'allow', secrets: { goOn: opened.url }, scopes: pending.request.scopes })
  if (!decided?.won) await undoFinish(deps, opened)
  else if (finished.identity) await rememberApproval(deps, finished.client, finished.request, subjectKey(finished.identity))
  return decided?.pending
}

function logDecision(deps: FrontDeps, { request, decision }: Pending, requestId: string): void {
  deps.log.write({
    event: 'authorization.consent',
    level: 'info',
    outcome: decision ?? 'unknown',
    requestId,
    clientId: request.clientId,
    server: request.server,
    scopes: request.scopes,
  })
}
