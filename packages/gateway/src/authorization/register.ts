import type { IncomingMessage, ServerResponse } from 'node:http'
import { registerClient } from '../clients/registration.ts'
import { deleteRegistration, readRegistration, updateRegistration } from '../clients/registration-management.ts'
import { endConnectionsOfClient } from '../ending/end-client.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { authorizationHeader } from '../http/authorization-header.ts'
import { readJsonObject } from '../http/body.ts'
import { parseParams } from '../http/params.ts'
import { sendEmpty, sendJson } from '../http/respond.ts'
import { queryOf } from '../http/route.ts'
import { sourceOf } from '../http/source.ts'
import { inBackground } from '../log/background.ts'
import type { FrontDeps } from './front-deps.ts'

/** POST /register (RFC 7591, CR-20). */
export async function register(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const registered = await registerClient(deps, await readMetadata(deps, req), sourceOf(req), authorizationHeader(req))
  log(deps, 'registered', String(registered.client_id), requestId)
  sendJson(res, 201, registered, { pragma: 'no-cache' })
}

/** GET /register?client_id=…: the registration as its holder may see it (RFC 7592 §2.1). */
export async function showRegistration(deps: FrontDeps, req: IncomingMessage, res: ServerResponse): Promise<void> {
  sendJson(res, 200, await readRegistration(deps, clientOf(req), authorizationHeader(req)), { pragma: 'no-cache' })
}

/** PUT /register?client_id=… (RFC 7592 §2.2). */
export async function changeRegistration(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const clientId = clientOf(req)
  const changed = await updateRegistration(deps, clientId, authorizationHeader(req), await readMetadata(deps, req))
  log(deps, 'registration changed', clientId, requestId)
  sendJson(res, 200, changed, { pragma: 'no-cache' })
}

/** DELETE /register?client_id=… (RFC 7592 §2.3). The client is gone when this is answered; its connections, which need a look through all, follow. */
export async function removeRegistration(deps: FrontDeps, req: IncomingMessage, res: ServerResponse, requestId: string): Promise<void> {
  const clientId = clientOf(req)
  const { authorized } = await deleteRegistration(deps, clientId, authorizationHeader(req))
  log(deps, 'registration deleted', clientId, requestId)
  if (authorized) inBackground(deps.log, 'ending the connections of a deleted client', endConnectionsOfClient(deps, clientId))
  sendEmpty(res, 204, { pragma: 'no-cache' })
}

function readMetadata({ config }: FrontDeps, req: IncomingMessage): Promise<Record<string, unknown>> {
  return readJsonObject(req, { maxBytes: config.limits.oauthBodyBytes, timeoutMs: config.limits.bodySeconds * 1000 })
}

function clientOf(req: IncomingMessage): string {
  const clientId = parseParams(queryOf(req)).get('client_id')
  if (clientId === undefined) throw new OAuthError('invalid_request', 'Use the registration_client_uri as it was given.')
  return clientId
}

function log(deps: FrontDeps, outcome: string, clientId: string, requestId: string): void {
  deps.log.write({ event: 'authorization.register', level: 'info', outcome, requestId, clientId })
}
