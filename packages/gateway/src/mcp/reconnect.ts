import type { ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { readConnection } from '../connections/connections.ts'
import { GatewayError } from '../errors/errors.ts'
import { readState } from '../grants/grants.ts'
import { linkUrl, openLink, sealLink } from '../grants/reconnect-link.ts'
import { say } from '../pages/words.ts'
import type { Call } from './call.ts'
import { connectionOf, type Edge, notesOf } from './edge.ts'
import { ReconnectRequired } from './refuse.ts'
import { sealRequestState } from './request-state.ts'
import type { Asking } from './url-elicitation.ts'

/**
 * How long a retry waits for a user who is at the sign-in. Clients retry as soon as the user has agreed to open the link, and give up after ten rounds; the shortest time-out of a client
 * in the field is 30 s.
 */
const longestWaitMs = 15_000
const lookEveryMs = 500

/**
 * Makes what asks the user of a call to sign in again. Who is asked a second time for the same dead grant gets the link they have (EL-9).
 *
 * @returns what to throw
 */
export async function askToReconnect(edge: Edge, call: Call, asking: Asking, grantKey: string, reason: string): Promise<ReconnectRequired> {
  const { deps, server } = edge
  const { id: connectionId, clientName } = connectionOf(call)
  const { version } = await readState(deps, grantKey)
  const { reply } = notesOf(call)
  const shown = openLink(deps, reply?.linkId)
  const isGood = shown?.version === version && shown.connectionId === connectionId
  const linkId = reply?.linkId !== undefined && isGood ? reply.linkId : sealLink(deps, { connectionId, version, requestId: call.id })
  const message = say(deps.config.consent.texts, 'reconnectMessage', { client: clientName, server: server.displayName, gateway: deps.config.consent.name })
  const words = { message, reason }
  const url = linkUrl(deps.config, linkId)
  if (asking === 'error') return new ReconnectRequired(url, { by: 'error', elicitationId: call.id }, words)
  const requestState = asking === 'result' && call.body ? sealRequestState(deps, { connectionId, linkId }, call.body) : undefined
  return new ReconnectRequired(url, requestState === undefined ? { by: 'words' } : { by: 'result', requestState }, words)
}

/**
 * Waits, for a retry whose user agreed to open the link, until they have signed in; on any replica.
 *
 * @returns whether they have
 * @throws GatewayError `invalid_token` when the connection ended meanwhile; `too_many_streams` when as many of it wait, or stream, as may
 */
export async function hasReconnected(edge: Edge, call: Call, res: ServerResponse): Promise<boolean> {
  const { deps } = edge
  const { id, grantKey } = connectionOf(call)
  if (notesOf(call).reply?.action !== 'accept' || grantKey === undefined) return false
  // A call that waits holds as much as an open stream does.
  const leave = edge.streams.enter(id)
  try {
    const deadline = performance.now() + longestWaitMs
    while (performance.now() < deadline && !res.destroyed) {
      const { live } = await readState(deps, grantKey)
      // Its token was checked before the wait.
      if (!(await readConnection(deps, id))) throw new GatewayError('invalid_token', { reason: 'the connection ended while its user was asked to sign in' })
      if (live) return true
      await pause(lookEveryMs)
    }
    return false
  } finally {
    leave()
  }
}
