import type { IncomingMessage, ServerResponse } from 'node:http'
import { type Connection, subjectKey } from '../connections/connection.ts'
import { readConnection } from '../connections/connections.ts'
import type { Downstream } from '../grants/downstream.ts'
import { canHold } from '../grants/grant-key.ts'
import { readState } from '../grants/grants.ts'
import { linkUrl, openLink, type ReconnectLink } from '../grants/reconnect-link.ts'
import { downstreamScopes } from '../grants/scope-map.ts'
import { readForm } from '../http/body.ts'
import { parseParams } from '../http/params.ts'
import { queryOf } from '../http/route.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import { goOnPage } from '../pages/message-page.ts'
import { say } from '../pages/words.ts'
import { accountName } from '../visitor/account-name.ts'
import { formToken, isFormToken, isOwnForm } from '../visitor/form-guard.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import { expectedUser } from './expected-user.ts'
import { sendFlowPage } from './flow-page.ts'
import type { FrontDeps } from './front-deps.ts'
import { notices, sendNotice } from './notices.ts'
import { newPendingId } from './pending.ts'
import { type ReconnectOutcome, reconnectPage, sendOutcome } from './reconnect-page.ts'
import { newState, saveReconnection } from './reconnection.ts'
import { callbackUrl } from './start-downstream.ts'
import { readTransactionCookie, setTransactionCookie } from './transaction-cookies.ts'

/** The connection behind a link, and the provider at which its user signs in again. */
export interface Target {
  connection: Connection & { identity: NonNullable<Connection['identity']> }
  grantKey: string
  downstream: Downstream
}

/** A link that can be used now. */
interface Visit extends Target {
  linkId: string
  link: ReconnectLink
}

/** GET: the page of a link that an app showed its user, since their grant is dead (EL-7). Nothing is consumed, and nothing is begun. */
export async function showReconnect(deps: FrontDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  const visit = await openVisit(deps, req, res, parseParams(queryOf(req)).get('link'))
  if (!visit) return
  const { linkId, connection } = visit
  const secret = ownSecret(readTransactionCookie(deps, req, 'page', linkId)) ?? deps.random(32)
  setTransactionCookie(deps, res, 'page', linkId, secret)
  const page = reconnectPage(deps.config, {
    linkId,
    connection,
    account: await ownAccount(deps, req, visit),
    action: deps.config.issuer + deps.config.endpoints.reconnect,
    formToken: formToken(deps, 'reconnect', linkId, secret),
  })
  sendFlowPage(res, 200, page)
}

/** A second tab goes on with the secret of the first, if it has the look of one: a cookie is whatever somebody put there, and this one is set again. */
function ownSecret(cookie: string | undefined): string | undefined {
  return cookie !== undefined && /^[\w-]{43}$/.test(cookie) ? cookie : undefined
}

/** POST: the user of this browser wants to sign in. State, nonce and PKCE verifier are made here and belong to this browser alone (AZ-10, AZ-11, EL-8). */
export async function startReconnect(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const { config } = deps
  if (!isOwnForm(req, config.origin)) return sendNotice(res, config, notices.foreignForm)
  const form = await readForm(req, { maxBytes: config.limits.oauthBodyBytes, timeoutMs: config.limits.bodySeconds * 1000 })
  const visit = await openVisit(deps, req, res, form.get('link'))
  if (!visit) return
  const { linkId, link, connection, downstream } = visit
  if (req.headers.cookie === undefined) return sendNotice(res, config, notices.noCookies)
  const secret = readTransactionCookie(deps, req, 'page', linkId)
  if (secret === undefined || !isFormToken(deps, form.get('token'), 'reconnect', linkId, secret)) return sendNotice(res, config, notices.foreignForm)
  const id = newPendingId(deps)
  const leg = { state: newState(deps, id), nonce: deps.random(32), verifier: downstream.newVerifier() }
  const scopes = await scopesOf(deps, visit)
  const url = await downstream.authorizationUrl({
    redirectUri: callbackUrl(config, downstream.provider.id),
    state: leg.state,
    nonce: leg.nonce,
    codeChallenge: downstream.challengeOf(leg.verifier),
    scopes,
    // Whoever is signed in at the provider would come back as the same one again.
    ...(form.get('account') === 'other' && { prompt: 'login' }),
  })
  await saveReconnection(deps, { id, link: linkId, connectionId: connection.id, deadVersion: link.version, scopes }, leg)
  setTransactionCookie(deps, res, 'state', id, leg.state)
  logReconnect(deps, connection, 'started', requestId, `asked by request ${link.requestId}`)
  const looks = looksOf(config)
  sendFlowPage(res, 200, goOnPage(looks, hostOf(config), { href: url.href, title: 'Continuing…', label: say(looks.texts, 'reconnect') }))
}

/** The connection of an id with what is needed to renew its grant; undefined when it has ended, or has no grant of a user. */
export async function targetOf(deps: FrontDeps, connectionId: string): Promise<Target | undefined> {
  const connection = await readConnection(deps, connectionId)
  const { identity, grantKey, provider } = connection ?? {}
  const downstream = provider === undefined ? undefined : deps.downstreams[provider]
  if (!connection || !identity || grantKey === undefined || !downstream || !deps.config.servers[connection.server]) return undefined
  if (!canHold({ ...connection, subject: subjectKey(identity) }, downstream.provider.id, grantKey)) return undefined
  return { connection: { ...connection, identity }, grantKey, downstream }
}

/** Writes what became of a link. */
export function logReconnect(deps: FrontDeps, connection: Connection, outcome: string, requestId: string, reason?: string): void {
  const { id: connectionId, clientId, server, identity } = connection
  const more = { ...(identity && { subject: subjectKey(identity) }), ...(reason !== undefined && { reason }) }
  deps.log.write({ event: 'authorization.reconnect', level: 'info', outcome, requestId, clientId, server, connectionId, ...more })
}

/** What a link leads to; where it leads nowhere, the page that says so is sent. */
async function openVisit(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, linkId: string | undefined): Promise<Visit | undefined> {
  const end = (outcome: ReconnectOutcome, connection?: Connection): undefined => sendOutcome(res, deps.config, outcome, connection) as undefined
  const link = openLink(deps, linkId)
  const target = link && (await targetOf(deps, link.connectionId))
  if (linkId === undefined || !link || !target) return end('over')
  const { connection, grantKey } = target
  // The host app knows who is in front of the page (EL-8); whoever it does not know proves it at the provider.
  const user = await deps.config.identify?.(req)
  if (user && user.sub !== connection.identity.sub) return end('foreign', connection)
  const { live, version } = await readState(deps, grantKey)
  if (live) return end('reconnected', connection)
  return version === link.version ? { linkId, link, ...target } : end('over')
}

/** The name of the connection's account, if this browser is known to be its user's. */
async function ownAccount(deps: FrontDeps, req: IncomingMessage, { connection }: Target): Promise<string | undefined> {
  const server = deps.config.servers[connection.server]
  const user = server && (await expectedUser(deps, req, server))
  const { identity } = connection
  const isSame = user?.source === 'host' ? user.sub === identity.sub : user?.subject === subjectKey(identity)
  return isSame ? accountName(identity) : undefined
}

/** No wider than what there was: the connection's scopes, and for a shared grant what it had for the user's other connections. */
async function scopesOf({ config, store, keys }: FrontDeps, { connection, downstream, grantKey }: Target): Promise<string[]> {
  const { provider } = downstream
  const wanted = downstreamScopes(provider, withIncluded(config.scopeHierarchy, connection.scopes))
  if (config.servers[connection.server]?.grants !== 'shared') return wanted
  const askable = [...provider.scopes, ...Object.values(provider.scopeMap).flat()]
  const { scopes } = await readState({ store, keys }, grantKey)
  return [...new Set([...wanted, ...scopes.filter((scope) => askable.includes(scope))])]
}

/** Where a link can be tried again. */
export function againAt(deps: FrontDeps, linkId: string): string | undefined {
  return openLink(deps, linkId) && linkUrl(deps.config, linkId)
}
