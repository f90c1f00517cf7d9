import type { IncomingMessage, ServerResponse } from 'node:http'
import { forgetApproval } from '../clients/approvals.ts'
import type { Config } from '../config.ts'
import { type Connection, subjectKey } from '../connections/connection.ts'
import { connectionsOf } from '../connections/connections.ts'
import { type EndingDeps, endWithGrant } from '../ending/ending.ts'
import { GatewayError } from '../errors/errors.ts'
import { readForm } from '../http/body.ts'
import type { Middleware } from '../http/middleware.ts'
import type { Params } from '../http/params.ts'
import { sendMethodNotAllowed, sendPage, sendRedirect } from '../http/respond.ts'
import { pathMatches } from '../http/route.ts'
import { toOAuthAnswer } from '../http/send-error.ts'
import { messagePage } from '../pages/message-page.ts'
import { isFormToken, isOwnForm } from '../visitor/form-guard.ts'
import { forgetUsers } from '../visitor/identity-cookie.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import { accountPage } from './account-page.ts'
import { type AccountUser, accountUser } from './account-user.ts'

/**
 * The page on which users see what is connected for them and end it. One path, GET and POST; what is not that path goes to `next`.
 *
 * @param deps with the providers by their key in `config.providers`
 */
export function createAccount(deps: EndingDeps): Middleware {
  const { config } = deps
  return function account(req, res, next) {
    if (!pathMatches(req, config.basePath, config.endpoints.account)) return next()
    if (req.method !== 'GET' && req.method !== 'HEAD' && req.method !== 'POST') return sendMethodNotAllowed(res, ['GET', 'HEAD', 'POST'])
    const requestId = deps.random(12)
    const handle = req.method === 'POST' ? change : show
    handle(deps, req, res, requestId).catch((error: unknown) => sendFailure(deps, res, error, requestId))
  }
}

async function show(deps: EndingDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const user = await accountUser(deps, req)
  if (!user) return sendMessage(res, deps.config, 200, nobody)
  const found = await Promise.all(user.subjects.map((subject) => connectionsOf(deps, subject)))
  // A connection whose code is not redeemed yet is nothing to a user.
  const connections = found.flat().filter((connection) => connection.code === undefined)
  sendPage(res, 200, accountPage(deps, user, connections))
}

/** Ends one connection of this user, or forgets the user in this browser. The form token is bound to user and connection (AZ-8). */
async function change(deps: EndingDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const { config } = deps
  if (!isOwnForm(req, config.origin)) return sendMessage(res, config, 403, foreign)
  const form = await readForm(req, { maxBytes: config.limits.oauthBodyBytes, timeoutMs: config.limits.bodySeconds * 1000 })
  const user = await accountUser(deps, req)
  const id = form.get('connection') ?? ''
  if (!user || !isFormToken(deps, form.get('token'), 'account', user.key, id)) return sendMessage(res, config, 403, foreign)
  if (form.get('action') === 'forget') forgetUsers(deps, res)
  else await disconnect(deps, user, form, requestId)
  sendRedirect(res, config.issuer + config.endpoints.account)
}

async function disconnect(deps: EndingDeps, user: AccountUser, form: Params, requestId: string): Promise<void> {
  const connection = await ownConnection(deps, user, form.get('connection'))
  // Gone already: the page that comes next shows that.
  if (!connection?.identity) return
  const subject = subjectKey(connection.identity)
  const { id, clientId, server } = connection
  // Otherwise the app would be back without a question.
  await forgetApproval(deps, { subject, clientId, serverId: server })
  await endWithGrant(deps, id)
  deps.log.write({ event: 'authorization.account', level: 'info', outcome: 'disconnected', requestId, subject, clientId, connectionId: id, server })
}

async function ownConnection(deps: EndingDeps, user: AccountUser, id: string | undefined): Promise<Connection | undefined> {
  const found = await Promise.all(user.subjects.map((subject) => connectionsOf(deps, subject)))
  return found.flat().find((connection) => connection.id === id)
}

const nobody = {
  title: 'Nobody is signed in here',
  text: ['This page shows the apps that you connected with this browser. Connect an app first, and sign in when it asks you to.'],
}

const foreign = { title: 'Nothing was changed', text: ['That form did not come from a page of this site, or it is too old. Open the page again.'] }

function sendMessage(res: ServerResponse, config: Config, status: number, message: { title: string; text: string[]; reference?: string }): void {
  sendPage(res, status, messagePage(looksOf(config), hostOf(config), message))
}

function sendFailure(deps: EndingDeps, res: ServerResponse, error: unknown, requestId: string): void {
  const { status, error: outcome, reason, headers } = toOAuthAnswer(error, requestId)
  deps.log.write({ event: 'authorization.account', level: status < 500 ? 'info' : 'error', outcome, requestId, ...(reason === undefined ? {} : { reason }) })
  if (res.headersSent) return void res.destroy()
  const unavailable = error instanceof GatewayError && status === 503
  const message = {
    title: unavailable ? 'Not available right now' : 'Something failed',
    text: [unavailable ? error.message : 'Your connections are as they were, or the one you chose has ended. Open the page again.'],
    reference: requestId,
  }
  sendPage(res, status, messagePage(looksOf(deps.config), hostOf(deps.config), message), { headers })
}
