import type { IncomingMessage, ServerResponse } from 'node:http'
import { registerClient } from '../clients/registration.ts'
import { readJsonObject } from '../http/body.ts'
import { sendJson } from '../http/respond.ts'
import type { FrontDeps } from './front-deps.ts'

/** POST /register (RFC 7591, CR-20). The source that the rate is counted for is the connection's own address: a header anyone can write is none. */
export async function register(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const { limits } = deps.config
  const body = await readJsonObject(req, { maxBytes: limits.oauthBodyBytes, timeoutMs: limits.bodySeconds * 1000 })
  const registered = await registerClient(deps, body, req.socket.remoteAddress ?? 'unknown', req.headers.authorization)
  deps.log.write({ event: 'authorization.register', level: 'info', outcome: 'registered', requestId, clientId: String(registered.client_id) })
  sendJson(res, 201, registered, { pragma: 'no-cache' })
}
