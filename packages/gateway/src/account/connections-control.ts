import { type Connection, subjectKey } from '../connections/connection.ts'
import { connectionsOf, listConnections } from '../connections/connections.ts'
import { type EndingDeps, endWithGrant } from '../ending/ending.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'

/** Whose connections: those of a user, a client, a server, or of these together; or one by its id. */
export type ConnectionFilter =
  | {
      /** The user as logs name them: `issuer|sub`. */
      subject?: string | undefined
      clientId?: string | undefined
      /** Key in `options.servers`. */
      server?: string | undefined
      connectionId?: never
    }
  | { connectionId: string; subject?: never; clientId?: never; server?: never }

/** Which page of a list. */
export interface ConnectionPaging {
  /** `next` of the page before; left out: the first page. */
  cursor?: string | undefined
  /** Most connections of a page, 1 to 1000; 100 when left out. */
  limit?: number | undefined
}

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

/** A page of a list. */
export interface ConnectionInfos {
  connections: ConnectionInfo[]
  /** The `cursor` of the next page; undefined: this was the last. */
  next: string | undefined
}

/** The team's own hand on connections, for an admin page or a script. */
export interface ConnectionsControl {
  /**
   * Lists connections by page: those of one user in the order they were made, others in no meaningful order. What is there from the first page to the last comes exactly once. A
   * page may have fewer than `limit`, even none, and still a `next`.
   *
   * @throws RangeError for a cursor that is none, or a limit out of bounds
   * @throws StoreUnavailable
   */
  list(which?: ConnectionFilter & ConnectionPaging): Promise<ConnectionInfos>
  /**
   * Ends connections at once: none of their tokens is accepted any more, their grants are deleted, and the provider is told where nothing else of the user rests on it.
   * Without a user it looks through all connections.
   *
   * @returns those that ended by this call
   * @throws RangeError when the filter names nothing: nobody ends everything by mistake
   * @throws StoreUnavailable some may have ended by then; calling again ends the rest
   */
  revoke(filter: ConnectionFilter): Promise<ConnectionInfo[]>
}

interface Page {
  connections: Connection[]
  next: string | undefined
}

const usualPage = 100
const largestPage = 1000

/** Creates {@link ConnectionsControl}. */
export function createConnectionsControl(deps: EndingDeps): ConnectionsControl {
  const find = async (filter: ConnectionFilter, { cursor, limit = usualPage }: ConnectionPaging): Promise<Page> => {
    const { connectionId, subject, clientId, server } = filter
    if (connectionId !== undefined) return { connections: await one(deps, connectionId), next: undefined }
    const wanted = (each: Connection) => (clientId === undefined || each.clientId === clientId) && (server === undefined || each.server === server)
    if (subject === undefined) return listConnections(deps, { cursor, limit, wanted })
    return pageOf((await connectionsOf(deps, subject)).filter(wanted), cursor, limit)
  }
  const end = async (id: string): Promise<ConnectionInfo | undefined> => {
    const connection = await endWithGrant(deps, id)
    if (!connection) return undefined
    const info = infoOf(connection)
    const { subject, clientId, server } = info
    const who = subject === undefined ? {} : { subject }
    deps.log.write({ event: 'authorization.revoke', level: 'info', outcome: 'revoked by the team', ...who, clientId, server, connectionId: id })
    return info
  }
  return {
    async list(which = {}) {
      const { cursor, limit, ...filter } = which
      const { connections, next } = await find(filter as ConnectionFilter, { cursor, limit })
      return { connections: connections.map(infoOf), next }
    },
    async revoke(filter) {
      if (Object.values(filter).every((value) => value === undefined)) throw new RangeError('revoke needs a subject, clientId, server or connectionId')
      const ended: ConnectionInfo[] = []
      let cursor: string | undefined
      do {
        const page = await find(filter, { cursor, limit: largestPage })
        for (const { id } of page.connections) {
          const info = await end(id)
          if (info) ended.push(info)
        }
        cursor = page.next
      } while (cursor !== undefined)
      return ended
    },
  }
}

async function one(deps: EndingDeps, connectionId: string): Promise<Connection[]> {
  const stored = await readRecord<Connection>(deps.store, 'connection', recordKey('connection', connectionId))
  return stored && deps.clock() < stored.value.expiresAt ? [stored.value] : []
}

/** A page of a user's connections. The cursor is a place in time and not a count, so that an end between two pages skips none. */
function pageOf(connections: Connection[], cursor: string | undefined, limit: number): Page {
  if (!Number.isSafeInteger(limit) || limit < 1 || limit > largestPage) throw new RangeError(`limit must be a number from 1 to ${largestPage}`)
  const [, time = '', id = ''] = /^@(\d{1,16})\.([\w-]{1,60})$/.exec(cursor ?? '@0.0') ?? []
  if (time === '') throw new RangeError('cursor must be the next of an earlier page')
  const isAfter = (each: Connection) => each.createdAt > Number(time) || (each.createdAt === Number(time) && each.id > id)
  const rest = connections.filter(isAfter).sort((a, b) => a.createdAt - b.createdAt || (a.id < b.id ? -1 : 1))
  const page = rest.slice(0, limit)
  const last = rest.length > limit ? page.at(-1) : undefined
  return { connections: page, next: last && `@${last.createdAt}.${last.id}` }
}

function infoOf(connection: Connection): ConnectionInfo {
  const { id, identity, clientId, clientName, clientTrust, server, scopes, createdAt, lastUsedAt, expiresAt } = connection
  const subject = identity && subjectKey(identity)
  return { connectionId: id, subject, userName: identity?.name, clientId, clientName, clientTrust, server, scopes, createdAt, lastUsedAt, expiresAt }
}
