import type { IncomingMessage, ServerResponse } from 'node:http'
import { subjectKey } from '../connections/connection.ts'
import { releaseGrant, releaseTokens } from '../ending/ending.ts'
import { DownstreamRefused } from '../grants/downstream.ts'
import { readState, saveReconnected } from '../grants/grants.ts'
import { parseParams } from '../http/params.ts'
import { queryOf } from '../http/route.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { rememberUser } from '../visitor/identity-cookie.ts'
import type { FrontDeps } from './front-deps.ts'
import { notices, sendNotice } from './notices.ts'
import { refusalOf } from './provider-refusal.ts'
import { againAt, logReconnect, type Target, targetOf } from './reconnect.ts'
import { type ReconnectOutcome, sendOutcome } from './reconnect-page.ts'
import { type Reconnection, type ReconnectionLeg, readReconnection, takeReconnection } from './reconnection.ts'
import { callbackUrl, isAtCallbackOf } from './start-downstream.ts'
import { clearTransactionCookie, readTransactionCookie } from './transaction-cookies.ts'

/** How it ended, and why, for the log. */
type Ended = [outcome: ReconnectOutcome, log: string, reason?: string | undefined]

/**
 * The browser is back from the provider with a sign-in that is to renew a dead grant. Only the browser that was sent there gets on, and only once; and only the user of
 * the connection renews its grant, whoever was given the link (EL-8). Anything else changes nothing.
 */
export async function finishReconnect(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string, state: string, id: string): Promise<void> {
  const { config } = deps
  if (req.headers.cookie === undefined) return sendNotice(res, config, notices.noCookies)
  const cookie = readTransactionCookie(deps, req, 'state', id)
  if (cookie === undefined || !sameFingerprint(fingerprint(cookie), fingerprint(state))) return sendNotice(res, config, notices.otherBrowser)
  const found = await readReconnection(deps, id)
  const isOurs = found !== undefined && sameFingerprint(fingerprint(found.leg.state), fingerprint(state))
  const target = isOurs ? await targetOf(deps, found.reconnection.connectionId) : undefined
  const isElsewhere = target !== undefined && !isAtCallbackOf(config, req, target.downstream.provider.id)
  if (!isOurs || isElsewhere || !(await takeReconnection(deps, id))) return sendNotice(res, config, notices.gone)
  clearTransactionCookie(deps, res, 'state', id)
  const { reconnection, leg } = found
  if (!target) return sendOutcome(res, config, 'over')
  const [outcome, log, reason] = await renew(deps, req, res, { reconnection, leg, target })
  logReconnect(deps, target.connection, log, requestId, reason)
  const again = outcome === 'otherAccount' || outcome === 'denied' ? againAt(deps, reconnection.link) : undefined
  sendOutcome(res, config, outcome, outcome === 'over' ? undefined : target.connection, again)
}

async function renew(
  deps: FrontDeps,
  req: IncomingMessage,
  res: ServerResponse,
  { reconnection, leg, target }: { reconnection: Reconnection; leg: ReconnectionLeg; target: Target },
): Promise<Ended> {
  const { connection, downstream, grantKey } = target
  const { provider } = downstream
  const query = queryOf(req)
  const refusal = refusalOf(parseParams(query), provider.issuer)
  if (refusal) return ['denied', refusal.code, refusal.reason]
  const redirectUri = callbackUrl(deps.config, provider.id)
  try {
    const tokens = await downstream.exchange({ callbackUrl: new URL(`${redirectUri}?${query}`), redirectUri, ...leg, scopes: reconnection.scopes })
    const identity = await downstream.identify(tokens)
    const user = await deps.config.identify?.(req)
    if (subjectKey(identity) !== subjectKey(connection.identity) || (user && user.sub !== identity.sub)) {
      await releaseTokens(deps, provider.id, identity, tokens.refreshToken)
      return ['otherAccount', 'another account']
    }
    const owner = deps.config.servers[connection.server]?.grants === 'shared' ? subjectKey(identity) : connection.id
    const lifeSeconds = deps.config.tokens.refreshTokenSeconds
    const saved = await saveReconnected(deps, grantKey, { ...tokens, identity, provider: provider.id, owner, lifeSeconds }, reconnection.deadVersion)
    // Revoked while the user was at the provider: then nothing of it may stay.
    if (!(await targetOf(deps, connection.id))) {
      await releaseGrant(deps, connection)
      return ['over', 'the connection has ended']
    }
    rememberUser(deps, req, res, provider.id, identity)
    clearTransactionCookie(deps, res, 'page', reconnection.link)
    // Whoever came second mostly finds that what they wanted is done.
    const isDone = saved === 'reconnected' || (await readState(deps, grantKey)).live
    return [isDone ? 'reconnected' : 'over', saved]
  } catch (error) {
    if (error instanceof DownstreamRefused) return ['denied', error.code, error.reason]
    throw error
  }
}
