import type { IncomingMessage } from 'node:http'
import { checkAccessToken, noteUse } from '../connections/access-token.ts'
import { checkProof, InvalidProof, useOnce } from '../dpop/proof.ts'
import { GatewayError, StoreUnavailable } from '../errors/errors.ts'
import { ownGrantKey } from '../grants/grant-key.ts'
import { readGrant } from '../grants/grants.ts'
import { hasSeveral } from '../http/authorization-header.ts'
import { cors } from '../http/cors.ts'
import type { Middleware } from '../http/middleware.ts'
import { subjectKey } from '../lib/subject-key.ts'
import type { Call } from './call.ts'
import { type Edge, notesOf } from './edge.ts'
import { readCallBody } from './read-call.ts'
import { step } from './step.ts'

const methods = ['POST', 'GET', 'DELETE', 'OPTIONS']

/**
 * Finds out who calls, from the `Authorization` header alone and before anything else is looked at: real clients probe with odd methods, bodies and versions and need the
 * 401 (clients.md line 11; BC-1, BC-2). A preflight carries no credentials and gets its answer here too.
 */
export function checkBearer(edge: Edge): Middleware {
  const { server } = edge
  const origins = allowedOrigins(edge)
  return step(edge, 'checkBearer', 'record', 'authorize', async (call, req, res) => {
    if (cors(req, res, { origin: origins, methods }) === 'preflight-answered') return 'done'
    const presented = presentedToken(req)
    try {
      await authorize(edge, call, req, presented)
    } catch (error) {
      // Only for a token that we issued is the store asked at all. The refusal then needs the request's id, whatever else is wrong with its body.
      if (error instanceof StoreUnavailable) await readCallBody(edge, call, req).catch(() => {})
      throw error
    }
    const { origin } = req.headers
    if (origin !== undefined && origins !== '*' && !origins.includes(origin))
      throw new GatewayError('origin_forbidden', { reason: `Origin of server ${server.id}` })
    return 'go-on'
  })
}

async function authorize(edge: Edge, call: Call, req: IncomingMessage, { scheme, token }: Presented): Promise<void> {
  const { deps, server } = edge
  const notes = notesOf(call)
  notes.dpop = scheme === 'DPoP'
  let proving: Promise<string> | undefined
  const checked = await checkAccessToken(deps, token, server.id, (connectionId) => {
    // Beside the reads, and only for a token that we issued: nobody else fills the store with the ids of proofs.
    proving = scheme === 'DPoP' ? prove(edge, req, token) : undefined
    // Looked at below, if the token is good.
    proving?.catch(() => {})
    if (server.provider === undefined || server.grants !== 'own') return
    const key = ownGrantKey(server.provider, connectionId)
    const read = readGrant(deps, key)
    // Looked at in attach-grant, if the call gets that far.
    read.catch(() => {})
    notes.grantRead = { key, read }
  })
  const jkt = await proving
  // A token that is bound to a key is worth nothing without it, whatever the scheme (RFC 9449 §7.2); and an unbound one gains nothing from a proof.
  notes.dpop ||= checked.jkt !== undefined
  if (checked.jkt !== jkt) throw new GatewayError('invalid_token', { reason: 'the token is bound to another key than was proved, or to none' })
  const { connection, scopes } = checked
  call.connection = connection
  call.scopes = scopes
  call.event.clientId = connection.clientId
  call.event.connectionId = connection.id
  if (connection.identity) call.event.subject = subjectKey(connection.identity)
  noteUse(deps, checked)
}

async function prove({ deps, server }: Edge, req: IncomingMessage, accessToken: string): Promise<string> {
  try {
    const proof = await checkProof(req.headers.dpop, { method: req.method ?? '', url: server.resource, accessToken }, deps.clock())
    await useOnce(deps, proof)
    return proof.jkt
  } catch (error) {
    if (error instanceof InvalidProof) throw new GatewayError('invalid_dpop_proof', { message: error.message, cause: error })
    throw error
  }
}

/** A token as it came. */
interface Presented {
  scheme: 'Bearer' | 'DPoP'
  token: string
}

/* A token elsewhere, in the query for example, does not count (BC-1). */
function presentedToken(req: IncomingMessage): Presented {
  const { authorization = '' } = req.headers
  if (hasSeveral(req)) throw new GatewayError('invalid_token', { reason: 'more than one Authorization header (RFC 9110 §5.3)' })
  const scheme = /^(bearer|dpop)(?: |$)/i.exec(authorization)?.[1]?.toLowerCase()
  if (scheme === undefined) throw new GatewayError('unauthorized')
  const token = /^\w+ +([\w.~+/-]+=*) *$/.exec(authorization)?.[1]
  if (token === undefined) throw new GatewayError('invalid_token', { reason: `no ${scheme} token (RFC 6750 §2.1, RFC 9449 §7.1)` })
  return { scheme: scheme === 'dpop' ? 'DPoP' : 'Bearer', token }
}

function allowedOrigins({ deps, server }: Edge): '*' | string[] {
  return server.origins.includes('*') ? '*' : [deps.config.origin, ...server.origins]
}
