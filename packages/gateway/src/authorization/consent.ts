import type { IncomingMessage, ServerResponse } from 'node:http'
import { readForm } from '../http/body.ts'
import { parseParams } from '../http/params.ts'
import { queryOf } from '../http/route.ts'
import { accountName } from '../visitor/account-name.ts'
import { formToken, isFormToken, isOwnForm } from '../visitor/form-guard.ts'
import { clientLogoUrl } from './client-logo.ts'
import { consentPage } from './consent-page.ts'
import { decide } from './decide.ts'
import { expectedUser } from './expected-user.ts'
import { sendFlowPage } from './flow-page.ts'
import type { FrontDeps } from './front-deps.ts'
import { notices, sendAnsweredAlready, sendGoOn, sendNotice } from './notices.ts'
import { openSecrets } from './pending.ts'
import { chosenScopes } from './scope-choice.ts'
import { openTransaction } from './transaction.ts'
import { setTransactionCookie } from './transaction-cookies.ts'

/** GET /consent: the question, or what became of it. Nothing is consumed. */
export async function showConsent(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const transaction = await openTransaction(deps, req, parseParams(queryOf(req)))
  if ('status' in transaction) return sendNotice(res, deps.config, transaction)
  const { name, pending, client, server, secret } = transaction
  const { goOn, signedIn } = openSecrets(deps, pending)
  if (goOn !== undefined) return sendAnsweredAlready(res, deps.config, pending, goOn)
  const user = signedIn?.identity ?? (await expectedUser(deps, req, server))
  const page = await consentPage(deps, requestId, {
    transaction: name,
    client,
    server,
    request: pending.request,
    account: user && accountName(user),
    confirms: signedIn !== undefined,
    logo: clientLogoUrl(deps, name, client),
    action: deps.config.issuer + deps.config.endpoints.consent,
    formToken: formToken(deps, 'consent', pending.id, secret),
  })
  sendFlowPage(res, 200, page)
}

/**
 * POST /consent: the decision. It needs the form token of this browser's page (AZ-8) and counts once; whoever repeats it is sent the same way again, so that a
 * double click breaks nothing.
 */
export async function answerConsent(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  if (!isOwnForm(req, deps.config.origin)) return sendNotice(res, deps.config, notices.foreignForm)
  const form = await readForm(req, { maxBytes: deps.config.limits.oauthBodyBytes, timeoutMs: deps.config.limits.bodySeconds * 1000 })
  const transaction = await openTransaction(deps, req, form)
  if ('status' in transaction) return sendNotice(res, deps.config, transaction)
  const { pending, secret } = transaction
  if (!isFormToken(deps, form.get('token'), 'consent', pending.id, secret)) return sendNotice(res, deps.config, notices.foreignForm)
  const decision = form.get('decision')
  if (decision !== 'allow' && decision !== 'deny') return sendNotice(res, deps.config, notices.unclear)
  const scopes = chosenScopes(deps.config, transaction, form)
  if (decision === 'allow' && scopes === undefined) return sendNotice(res, deps.config, notices.nothingChosen)
  const decided = await decide(deps, req, res, transaction, decision === 'deny' ? 'deny' : { allow: scopes ?? [] }, requestId)
  if ('status' in decided) return sendNotice(res, deps.config, decided)
  const { goOn, leg } = openSecrets(deps, decided)
  if (goOn === undefined) return sendNotice(res, deps.config, notices.gone)
  // Right before the browser leaves for the provider, and never earlier (AZ-10).
  if (leg) setTransactionCookie(deps, res, 'state', decided.id, leg.state)
  sendGoOn(res, deps.config, decided, goOn)
}
