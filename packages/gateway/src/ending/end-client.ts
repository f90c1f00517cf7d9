import { listConnections } from '../connections/connections.ts'
import { type EndingDeps, endWithGrant } from './ending.ts'

const page = 1000

/**
 * Ends every connection of a client that is gone, with their grants (RFC 7592 §2.3: its tokens SHOULD be invalidated at once).
 *
 * @returns how many
 * @throws StoreUnavailable
 */
export async function endConnectionsOfClient(deps: EndingDeps, clientId: string): Promise<number> {
  let ended = 0
  let cursor: string | undefined
  do {
    const { connections, next } = await listConnections(deps, { cursor, limit: page, wanted: (connection) => connection.clientId === clientId })
    for (const { id } of connections) if (await endWithGrant(deps, id)) ended++
    cursor = next
  } while (cursor !== undefined)
  return ended
}
