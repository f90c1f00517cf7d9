import type { IncomingMessage } from 'node:http'
import type { Client } from '../clients/client.ts'
import { findClient } from '../clients/find-client.ts'
import { checkRedirectUri } from '../clients/redirect-uri.ts'
import type { ServerConfig } from '../config.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { Params } from '../http/params.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import type { FrontDeps } from './front-deps.ts'
import { type Notice, notices } from './notices.ts'
import { findPending, type Pending } from './pending.ts'
import { readTransactionCookie } from './transaction-cookies.ts'

/** A transaction as the browser that began it may see it. */
export interface OpenTransaction {
  /** What names it in our URLs and forms. */
  name: string
  pending: Pending
  client: Client
  server: ServerConfig
  /** The browser's own secret. */
  secret: string
}

/** The transaction that a request names, if this browser began it. */
export async function openTransaction(deps: FrontDeps, req: IncomingMessage, params: Params): Promise<OpenTransaction | Notice> {
  const name = params.get('transaction')
  const pending = await findPending(deps, name)
  if (!pending || name === undefined) return notices.gone
  const secret = readTransactionCookie(deps, req, 'page', pending.id)
  if (req.headers.cookie === undefined) return notices.noCookies
  if (secret === undefined || pending.browser === undefined || !sameFingerprint(fingerprint(secret), pending.browser)) return notices.otherBrowser
  const server = deps.config.servers[pending.request.server]
  if (!server) return notices.gone
  const client = await findClient(deps, pending.request.clientId)
  // The client may have changed while the page was open.
  if (!checkRedirectUri(client, pending.request.redirectUri)) {
    throw new OAuthError('invalid_request', 'The redirect_uri is not one that this client registered.')
  }
  return { name, pending, client, server, secret }
}
