import type { IncomingMessage } from 'node:http'
import { checkAccessToken, noteUse } from '../connections/access-token.ts'
import { GatewayError, StoreUnavailable } from '../errors/errors.ts'
import { ownGrantKey } from '../grants/grant-key.ts'
import { readGrant } from '../grants/grants.ts'
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
    const token = bearerToken(req)
    try {
      await authorize(edge, call, token)
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

async function authorize(edge: Edge, call: Call, token: string): Promise<void> {
  const { deps, server } = edge
  const notes = notesOf(call)
  const checked = await checkAccessToken(deps, token, server.id, (connectionId) => {
    if (server.provider === undefined || server.grants !== 'own') return
    const key = ownGrantKey(server.provider, connectionId)
    const read = readGrant(deps, key)
    // Looked at in attach-grant, if the call gets that far.
    read.catch(() => {})
    notes.grantRead = { key, read }
  })
  const { connection, scopes } = checked
  call.connection = connection
  call.scopes = scopes
  call.event.clientId = connection.clientId
  call.event.connectionId = connection.id
  if (connection.identity) call.event.subject = subjectKey(connection.identity)
  noteUse(deps, checked)
}

/* A token elsewhere, in the query for example, does not count (BC-1). */
function bearerToken(req: IncomingMessage): string {
  const { authorization } = req.headers
  if (authorization === undefined || !/^bearer(?: |$)/i.test(authorization)) throw new GatewayError('unauthorized')
  const token = /^bearer +([\w.~+/-]+=*) *$/i.exec(authorization)?.[1]
  if (token === undefined) throw new GatewayError('invalid_token', { reason: 'not a bearer token (RFC 6750 §2.1)' })
  return token
}

function allowedOrigins({ deps, server }: Edge): '*' | string[] {
  return server.origins.includes('*') ? '*' : [deps.config.origin, ...server.origins]
}
