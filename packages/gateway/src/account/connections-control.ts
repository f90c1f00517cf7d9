import { type Connection, subjectKey } from '../connections/connection.ts'
import { connectionsOf } from '../connections/connections.ts'
import { type EndingDeps, endWithGrant } from '../ending/ending.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'

/** Whose connections: all of a user, or of these the ones of a client or a server; or one by its id. */
export type ConnectionFilter =
  | {
      /** The user as logs name them: `issuer|sub`. */
      subject: string
      clientId?: string
      /** Key in `options.servers`. */
      server?: string
    }
  | { connectionId: string }

/** What a connection is, without anything secret. Times are milliseconds since the epoch. */
export interface ConnectionInfo {
  connectionId: string
  /** `issuer|sub`; undefined where nobody signs in. */
  subject: string | undefined
  /** As the provider names the user. */
  userName: string | undefined
  clientId: string
  clientName: string
  clientTrust: Connection['clientTrust']
  server: string
  scopes: string[]
  createdAt: number
  /** Within an hour. */
  lastUsedAt: number
  expiresAt: number
}

/** The team's own hand on connections, for an admin page or a script. */
export interface ConnectionsControl {
  /**
   * @throws StoreUnavailable
   */
  list(filter: ConnectionFilter): Promise<ConnectionInfo[]>
  /**
   * Ends connections at once: none of their tokens is accepted any more, their grants are deleted, and the provider is told where nothing else of the user rests on it.
   *
   * @returns those that ended by this call
   * @throws StoreUnavailable some may have ended by then; calling again ends the rest
   */
  revoke(filter: ConnectionFilter): Promise<ConnectionInfo[]>
}

/** Creates {@link ConnectionsControl}. */
export function createConnectionsControl(deps: EndingDeps): ConnectionsControl {
  const find = async (filter: ConnectionFilter): Promise<Connection[]> => {
    if ('connectionId' in filter) {
      const stored = await readRecord<Connection>(deps.store, 'connection', recordKey('connection', filter.connectionId))
      return stored && deps.clock() < stored.value.expiresAt ? [stored.value] : []
    }
    const { subject, clientId, server } = filter
    const found = await connectionsOf(deps, subject)
    return found.filter((one) => (clientId === undefined || one.clientId === clientId) && (server === undefined || one.server === server))
  }
  return {
    list: async (filter) => (await find(filter)).map(infoOf),
    async revoke(filter) {
      const ended: ConnectionInfo[] = []
      for (const { id } of await find(filter)) {
        const connection = await endWithGrant(deps, id)
        if (!connection) continue
        const info = infoOf(connection)
        ended.push(info)
        const { subject, clientId, server } = info
        const who = subject === undefined ? {} : { subject }
        deps.log.write({ event: 'authorization.revoke', level: 'info', outcome: 'revoked by the team', ...who, clientId, server, connectionId: id })
      }
      return ended
    },
  }
}

function infoOf(connection: Connection): ConnectionInfo {
  const { id, identity, clientId, clientName, clientTrust, server, scopes, createdAt, lastUsedAt, expiresAt } = connection
  const subject = identity && subjectKey(identity)
  return { connectionId: id, subject, userName: identity?.name, clientId, clientName, clientTrust, server, scopes, createdAt, lastUsedAt, expiresAt }
}
