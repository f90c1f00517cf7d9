import type { Client } from '../clients/client.ts'
import { noteAuthorized } from '../clients/registered-client.ts'
import type { Identity, ServerConfig } from '../config.ts'
import { subjectKey } from '../connections/connection.ts'
import { endConnection, newConnectionId, openConnection } from '../connections/connections.ts'
import type { DownstreamTokens } from '../grants/downstream.ts'
import { ownGrantKey, sharedGrantKey } from '../grants/grant-key.ts'
import { deleteGrant, saveGrant } from '../grants/grants.ts'
import { codeResponse } from './authorization-response.ts'
import type { FrontDeps } from './front-deps.ts'
import type { PendingRequest } from './pending.ts'
import { requestIsOver, usePushed } from './pushed-requests.ts'

/** Who authorized what, when the last question is answered. */
export interface Finished {
  /** Id of the transaction. */
  transaction: string
  client: Client
  server: ServerConfig
  request: PendingRequest
  identity: Identity | undefined
  /** What the provider gave; undefined for a server without one. */
  tokens: DownstreamTokens | undefined
}

/** A connection that waits for its code to be redeemed. */
export interface Opened {
  connectionId: string
  grantKey: string | undefined
  ownGrant: boolean
  /** The client's redirect URI with the code. */
  url: string
}

/**
 * Ends an authorization well: the grant is sealed and saved first, then the connection with its code, so that no code ever leads to a connection without its
 * grant (AZ-15).
 *
 * @throws OAuthError `invalid_request_uri` when another transaction of the same pushed request came first
 */
export async function finish(deps: FrontDeps, finished: Finished): Promise<Opened> {
  const { transaction, client, server, request, identity, tokens } = finished
  if (request.pushed !== undefined && !(await usePushed(deps, request.pushed, transaction))) throw requestIsOver()
  await noteAuthorized(deps, client)
  const connectionId = newConnectionId(deps)
  const grantKey = tokens && identity && (await saveTokens(deps, server, connectionId, identity, tokens))
  const { code } = await openConnection(deps, {
    connectionId,
    identity,
    client,
    server,
    scopes: request.scopes,
    grantKey,
    provider: grantKey === undefined ? undefined : server.provider,
    code: { challenge: request.challenge, redirectUri: request.redirectUri, jkt: request.dpopJkt },
  })
  return { connectionId, grantKey, ownGrant: server.grants === 'own', url: codeResponse(deps.config, request, code) }
}

/** Undoes {@link finish} for a caller that came second: its code was given to nobody. */
export async function undoFinish(deps: FrontDeps, opened: Opened): Promise<void> {
  await endConnection(deps, opened.connectionId)
  if (opened.grantKey !== undefined && opened.ownGrant) await deleteGrant(deps, opened.grantKey)
}

async function saveTokens(
  deps: FrontDeps,
  server: ServerConfig,
  connectionId: string,
  identity: Identity,
  tokens: DownstreamTokens,
): Promise<string | undefined> {
  const provider = server.provider as string
  if (server.grants === 'none') return undefined
  const own = server.grants === 'own'
  const key = own ? ownGrantKey(provider, connectionId) : sharedGrantKey(provider, subjectKey(identity), server.id)
  await saveGrant(deps, key, {
    ...tokens,
    identity,
    provider,
    owner: own ? connectionId : subjectKey(identity),
    lifeSeconds: deps.config.tokens.refreshTokenSeconds,
  })
  return key
}
