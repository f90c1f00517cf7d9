import type { Identity } from '../config.ts'
import { type Connection, subjectKey } from '../connections/connection.ts'
import { connectionsOf, endConnection } from '../connections/connections.ts'
import type { Deps } from '../deps.ts'
import type { Downstream } from '../grants/downstream.ts'
import { deleteGrant, readGrant, readGrantTokens } from '../grants/grants.ts'
import { tellProvider } from './tell-provider.ts'

/** What ends with a connection: the providers are told by their key in `config.providers`. */
export type EndingDeps = Deps & { downstreams: Record<string, Downstream> }

/**
 * Ends a connection and what rests on it, in this order: the connection (from here on none of its tokens is accepted), its grant, and the provider's side of it.
 *
 * @returns the connection, or undefined when there was none any more
 * @throws StoreUnavailable
 */
export async function endWithGrant(deps: EndingDeps, connectionId: string): Promise<Connection | undefined> {
  const connection = await endConnection(deps, connectionId)
  if (connection) await releaseGrant(deps, connection)
  return connection
}

/**
 * Lets go of the grant of a connection that has ended: the record goes unless another connection shares it, and the provider is told only when no other connection
 * of this user rests on that provider, since providers end everything of a user and client at once (design: records).
 *
 * @throws StoreUnavailable
 */
export async function releaseGrant(deps: EndingDeps, connection: Connection): Promise<void> {
  const { grantKey, provider, identity } = connection
  if (grantKey === undefined || provider === undefined || !identity) return
  const others = (await connectionsOf(deps, subjectKey(identity))).filter((other) => other.id !== connection.id)
  const stored = await readGrant(deps, grantKey)
  if (!others.some((other) => other.grantKey === grantKey)) await deleteGrant(deps, grantKey)
  const tokens = stored && readGrantTokens(deps, grantKey, stored.value)
  if (tokens?.refreshToken !== undefined && !others.some((other) => other.provider === provider)) {
    await tellProvider(deps, { provider, refreshToken: tokens.refreshToken, connectionId: connection.id, subject: subjectKey(identity) })
  }
}

/** Lets go of tokens that a sign-in brought and no connection will hold. */
export async function releaseTokens(deps: EndingDeps, provider: string, identity: Identity, refreshToken: string | undefined): Promise<void> {
  if (refreshToken === undefined) return
  const others = await connectionsOf(deps, subjectKey(identity))
  if (!others.some((other) => other.provider === provider)) await tellProvider(deps, { provider, refreshToken, subject: subjectKey(identity) })
}
