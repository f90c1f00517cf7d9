import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import { GatewayError } from '../errors/errors.ts'
import type { RuntimeRequest, RuntimeResponse } from '../runtime/contract.ts'
import { runtimeHeaders } from '../runtime/headers.ts'
import { failWithoutGrant, giveUpGrant, replaceToken } from './attach-grant.ts'
import type { Call } from './call.ts'
import { askForScopes } from './check-policy.ts'
import { connectionOf, type Edge, heldScopes, notesOf } from './edge.ts'
import { ReconnectRequired } from './refuse.ts'

/**
 * Sends a call to the runtime under the worker contract and gives the head of its answer. A 401 means that the downstream token was refused: another is fetched once and the
 * call sent again, as nothing was streamed yet. A 403 that names scopes becomes our own (worker contract, rule 5).
 *
 * @param signal aborted when the client leaves
 * @throws GatewayError `runtime_…`, `grant_dead`, `reconnect_required`, `insufficient_scope`; ProviderUnavailable
 */
export async function askRuntime(edge: Edge, call: Call, req: IncomingMessage, signal: AbortSignal): Promise<RuntimeResponse> {
  try {
    return await ask(edge, call, req, signal)
  } catch (error) {
    throw error instanceof ReconnectRequired ? await failWithoutGrant(edge, call, error) : error
  }
}

async function ask(edge: Edge, call: Call, req: IncomingMessage, signal: AbortSignal): Promise<RuntimeResponse> {
  let response = await send(edge, call, req, signal)
  for (let turn = 1; response.status === 401 && call.downstreamToken !== undefined && !refusesUs(response); turn++) {
    response.body.destroy()
    // What another had fetched before may be over too, as a clock that is behind or a process that stood still cannot tell: only a token fetched since the refusal says something of the grant.
    if (turn > 2 || (turn === 2 && notesOf(call).grantIsFresh)) throw await giveUpGrant(edge, call)
    await replaceToken(edge, call)
    response = await send(edge, call, req, signal)
  }
  if (response.status === 401) {
    response.body.destroy()
    const { withoutGrant } = notesOf(call)
    if (withoutGrant && !refusesUs(response)) throw withoutGrant
    // Passed on, it would send every client into an authorization that cannot help.
    throw new GatewayError('runtime_invalid', { reason: 'the runtime answered 401 for another reason than the user token: does it know the worker secret?' })
  }
  const needed = response.status === 403 ? scopesOf(response.headers['www-authenticate']).filter((scope) => edge.server.scopes.includes(scope)) : []
  const held = heldScopes(edge, call)
  if (needed.some((scope) => !held.includes(scope))) {
    response.body.destroy()
    throw await askForScopes(edge, call, needed, 'the runtime')
  }
  return response
}

async function send(edge: Edge, call: Call, req: IncomingMessage, signal: AbortSignal): Promise<RuntimeResponse> {
  const notes = notesOf(call)
  const request = requestOf(edge, call, req, signal)
  // Only a runtime that could not be connected to says that nothing was executed.
  notes.reachedRuntime = true
  try {
    return await edge.leg.send(request)
  } catch (error) {
    if (error instanceof GatewayError && error.code === 'runtime_unreachable') notes.reachedRuntime = false
    throw error
  }
}

function requestOf(edge: Edge, call: Call, req: IncomingMessage, signal: AbortSignal): RuntimeRequest {
  const { config } = edge.deps
  const { server } = edge
  const { identity, clientId } = connectionOf(call)
  const { session } = notesOf(call)
  const values = {
    workerSecret: server.workerSecrets[0] ?? '',
    accessToken: call.downstreamToken,
    subject: identity?.sub,
    clientId,
    scopes: heldScopes(edge, call),
    requestId: call.id,
  }
  const headers = runtimeHeaders(inboundOf(req), server.headers, values, config.origin)
  if (session) headers['mcp-session-id'] = session.id
  const body = call.body?.raw
  if (body) headers['content-length'] = String(body.length)
  return { method: req.method ?? 'POST', headers, body, signal, responseStartMs: config.limits.responseStartSeconds * 1000, affinity: session?.affinity }
}

/*
 * A worker secret that the runtime does not know says nothing about users: no grant may die of it. Runtimes built with `workerContract` name the scheme; of another runtime's 401
 * it cannot be told.
 */
function refusesUs({ headers }: RuntimeResponse): boolean {
  return /^emcy-worker-secret\b/i.test(headers['www-authenticate'] ?? '')
}

/* The session id that a client sees is ours; the runtime gets its own, or none (TR-44). */
function inboundOf(req: IncomingMessage): IncomingHttpHeaders {
  const { 'mcp-session-id': _shown, ...others } = req.headers
  return others
}

/* RFC 6750 §3.1, RFC 6749 §3.3. */
function scopesOf(challenge: string | string[] | undefined): string[] {
  const text = [challenge ?? []].flat().join(', ')
  if (!/\berror\s*=\s*"?insufficient_scope\b/i.test(text)) return []
  return (/\bscope\s*=\s*"([^"]*)"/i.exec(text)?.[1] ?? '').split(' ').filter((scope) => scope !== '')
}
