import { endConnection } from '../connections/connections.ts'
import { GatewayError, ProviderUnavailable } from '../errors/errors.ts'
import type { Downstream } from '../grants/downstream.ts'
import { canHold } from '../grants/grant-key.ts'
import { changeGrant, deleteGrant } from '../grants/grants.ts'
import { serviceScopes } from '../grants/scope-map.ts'
import { forService } from '../grants/service-grant.ts'
import { usableToken } from '../grants/usable-grant.ts'
import type { Middleware } from '../http/middleware.ts'
import { neverRefused } from '../lib/never-refused.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import { subjectKey } from '../lib/subject-key.ts'
import { inBackground } from '../log/background.ts'
import type { Call } from './call.ts'
import { connectionOf, type Edge, notesOf } from './edge.ts'
import { askToReconnect, hasReconnected } from './reconnect.ts'
import { ReconnectRequired } from './refuse.ts'
import { step } from './step.ts'

/** Finds a downstream access token that is good for this call. A server without grants, or a connection without a user, gets none, but for a service whose server gives it one of its own: nobody else's is ever borrowed (EX-5). */
export function attachGrant(edge: Edge): Middleware {
  return step(edge, 'attachGrant', 'reserveBudget', 'grant', async (call, _req, res) => {
    if (!needsGrant(edge, call)) return 'go-on'
    try {
      await takeToken(edge, call).catch(async (error: unknown) => {
        if (!(error instanceof ReconnectRequired) || !(await hasReconnected(edge, call, res))) throw error
        // What was read of the grant before the wait is old.
        delete notesOf(call).grantRead
        await takeToken(edge, call)
      })
    } catch (error) {
      // Methods that are never refused go without a token while the provider is down or the user away: their answers rarely depend on it, and clients do not survive a refusal.
      if (!(error instanceof ProviderUnavailable || error instanceof ReconnectRequired) || !isNeverRefused(call)) throw error
      if (error instanceof ReconnectRequired) notesOf(call).withoutGrant = error
    }
    return 'go-on'
  })
}

/**
 * A token in place of the one that the runtime refused: refreshed once, whoever asks. Whether that happened only now is in the notes.
 *
 * @throws GatewayError `grant_dead`, whereupon the connection has ended, or `reconnect_required`; ProviderUnavailable
 */
export async function replaceToken(edge: Edge, call: Call): Promise<void> {
  const refused = call.downstreamToken
  delete call.downstreamToken
  delete notesOf(call).grantRead
  await takeToken(edge, call, refused)
}

/**
 * Gives up a grant of which the runtime refused the fresh token too: nothing but a new authorization helps (worker contract, rule 5).
 *
 * @returns what to throw
 */
export async function giveUpGrant(edge: Edge, call: Call): Promise<GatewayError> {
  const { grantKey } = connectionOf(call)
  const version = notesOf(call).grantVersion
  if (grantKey !== undefined) {
    const isOver = await changeGrant(edge.deps, grantKey, (grant) => {
      if (grant?.state !== 'live') return { do: 'keep', answer: true }
      if (grant.version !== version) return { do: 'keep', answer: false }
      return {
        do: 'write',
        next: { ...grant, state: 'needs-reconnect' },
        ttlMs: Math.max(1, Math.ceil(grant.expiresAt - edge.deps.clock())),
        answer: true,
      }
    })
    // Nobody has refused the token that there is by now.
    if (!isOver) return new ProviderUnavailable('the runtime refused an access token that another has replaced meanwhile')
  }
  return onDeadGrant(edge, call, 'the runtime refused a fresh access token too')
}

/**
 * What becomes of a call whose grant is dead: its user is asked to sign in again where its client can show them a link, and nothing ends (EL-1, EL-3); otherwise the connection ends (TK-17).
 *
 * @returns what to throw
 */
async function onDeadGrant(edge: Edge, call: Call, reason: string): Promise<GatewayError> {
  const { asking, reply } = notesOf(call)
  const { identity, grantKey } = connectionOf(call)
  if (asking === undefined || !identity || grantKey === undefined) return endDeadConnection(edge, call, reason)
  if (reply && reply.action !== 'accept') return new GatewayError('reconnect_declined', { reason: `${reason}; the user's answer: ${reply.action}` })
  return askToReconnect(edge, call, asking, grantKey, reason)
}

/**
 * What to throw when the runtime cannot do without the token of a dead grant. A session cannot begin by asking its user for something, so an `initialize` ends the connection instead, and the
 * client authorizes anew.
 */
export async function failWithoutGrant(edge: Edge, call: Call, failure: GatewayError): Promise<GatewayError> {
  return notesOf(call).owed[0]?.method === 'initialize' ? endDeadConnection(edge, call, failure.reason ?? '') : failure
}

/* Its refresh token gets `invalid_grant` from now on, without which some clients never ask their user again (refusals.md). */
async function endDeadConnection(edge: Edge, call: Call, reason: string): Promise<GatewayError> {
  const { id, grantKey } = connectionOf(call)
  await endConnection(edge.deps, id)
  if (grantKey !== undefined && edge.server.grants === 'own') inBackground(edge.deps.log, 'deleting a dead grant', deleteGrant(edge.deps, grantKey))
  return new GatewayError('grant_dead', { reason })
}

async function takeToken(edge: Edge, call: Call, refused?: string): Promise<void> {
  const { deps, server } = edge
  const { grantKey, provider, id, obtainedBy } = connectionOf(call)
  // The server has come to need grants since the service got its token.
  if (grantKey === undefined && obtainedBy === 'client_credentials') throw await endDeadConnection(edge, call, 'the server has no grant for services')
  const downstream = downstreamOf(edge, call, provider)
  if (grantKey === undefined || !downstream)
    throw new GatewayError('internal_error', { reason: `connection ${id} has no grant that server ${server.id} could use` })
  const { identity, ...holder } = connectionOf(call)
  if (!canHold({ ...holder, subject: identity && subjectKey(identity) }, downstream.provider.id, grantKey))
    throw new GatewayError('internal_error', { reason: `connection ${id} names a grant that is not its own` })
  const notes = notesOf(call)
  try {
    const stored = notes.grantRead?.key === grantKey ? await notes.grantRead.read : undefined
    const usable = await usableToken({ ...deps, downstream }, grantKey, stored, { refused })
    call.downstreamToken = usable.accessToken
    notes.grantVersion = usable.version
    notes.grantIsFresh = usable.isFresh
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'grant_dead') throw await onDeadGrant(edge, call, error.reason ?? 'the provider says so')
    throw error
  }
}

function downstreamOf({ deps }: Edge, call: Call, provider: string | undefined): Downstream | undefined {
  const downstream = provider === undefined ? undefined : deps.downstreams[provider]
  const { obtainedBy, scopes } = connectionOf(call)
  if (!downstream || obtainedBy !== 'client_credentials') return downstream
  return forService(downstream, serviceScopes(downstream.provider, withIncluded(deps.config.scopeHierarchy, scopes)))
}

function needsGrant(edge: Edge, call: Call): boolean {
  const { identity, obtainedBy } = connectionOf(call)
  return edge.server.provider !== undefined && edge.server.grants !== 'none' && (identity !== undefined || obtainedBy === 'client_credentials')
}

function isNeverRefused(call: Call): boolean {
  const messages = call.body?.messages
  return messages === undefined || messages.every(({ method }) => method === undefined || neverRefused(method))
}
