import type { Deps } from '../deps.ts'
import { GatewayError } from '../errors/errors.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { clockSkewMs } from '../lib/clock-skew.ts'
import { inBackground } from '../log/background.ts'
import { readRecord, type Stored } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import { changeConnection } from './change-connection.ts'
import type { Connection } from './connection.ts'
import { use } from './connection-machine.ts'
import { readToken } from './token-format.ts'

type CheckDeps = Pick<Deps, 'store' | 'keys' | 'clock' | 'config'>

/** An access token that was found good. */
export interface CheckedToken {
  connection: Connection
  stored: Stored<Connection>
  /** The token's scopes: the connection's, or fewer. */
  scopes: string[]
  tokenHash: string
  generation: number
  /** Thumbprint of the key that it is bound to (RFC 9449). */
  jkt: string | undefined
}

/**
 * Checks the access token of a request (BC-2, BC-3): ours, of a connection that still stands, live, and issued for this server.
 *
 * @param beside called in the same tick as the one read of the store, with the connection's id, so that the caller can read the grant beside it
 * @throws GatewayError `invalid_token`
 * @throws StoreUnavailable an outage is never an invalid token
 */
export async function checkAccessToken(deps: CheckDeps, token: string, serverId: string, beside?: (connectionId: string) => void): Promise<CheckedToken> {
  const parts = readToken(deps.keys, token)
  if (parts?.kind !== 'at') throw invalid('not an access token of this gateway')
  beside?.(parts.connectionId)
  const stored = await readRecord<Connection>(deps.store, 'connection', recordKey('connection', parts.connectionId))
  if (!stored) throw invalid('its connection has ended')
  const connection = stored.value
  const tokenHash = fingerprint(token)
  const entry = connection.accessTokens.find(({ hash }) => sameFingerprint(hash, tokenHash))
  if (!entry) throw invalid('no longer among the live tokens of its connection')
  // Its client was promised `expires_in` seconds from the answer on, which replicas whose clocks differ must keep: a 401 before then costs some clients a new login (clients.md line 18).
  if (deps.clock() >= entry.expiresAt + clockSkewMs) throw invalid('expired')
  // The resource too: a server that moved to another URL is another audience.
  if (connection.server !== serverId || connection.resource !== deps.config.servers[serverId]?.resource) throw invalid('issued for another server')
  return { connection, stored, scopes: entry.scopes ?? connection.scopes, tokenHash, generation: entry.generation, jkt: entry.jkt }
}

/** Connections whose use is being written, by store: one write at a time is enough. */
const writing = new WeakMap<Deps['store'], Set<string>>()

/**
 * Records beside the request that a token was used: its first use, which makes its predecessor a replay, and hourly the connection's last use. Until that is
 * stored, each use tries again.
 */
export function noteUse(deps: Pick<Deps, 'store' | 'keys' | 'clock' | 'log'>, checked: CheckedToken): void {
  const { connection, stored, tokenHash } = checked
  const decide = (current: Connection | undefined) => use(current, { tokenHash }, deps.clock())
  if (decide(connection).do === 'keep') return
  const busy = writing.get(deps.store) ?? new Set()
  writing.set(deps.store, busy)
  if (busy.has(connection.id)) return
  busy.add(connection.id)
  const write = changeConnection(deps, connection.id, decide, stored)
  inBackground(
    deps.log,
    'noting the use of an access token',
    write.finally(() => busy.delete(connection.id)),
  )
}

function invalid(reason: string): GatewayError {
  return new GatewayError('invalid_token', { reason })
}
