import type { ServerConfig } from '../config.ts'
import type { Connection } from '../connections/connection.ts'
import { GatewayError } from '../errors/errors.ts'
import type { KeyRing } from '../keys/key-ring.ts'
import { subjectKey } from '../lib/subject-key.ts'

/** A legacy session. */
export interface LegacySession {
  /** The runtime's own `Mcp-Session-Id`; of a session of the gateway's own random text, which no runtime sees. */
  id: string
  /** Which of several runtimes has it. */
  affinity: string | undefined
  /**
   * What of its `initialize` has to be known later (TR-45). `url`: the client declared URL elicitation. `own`: that too, and the runtime keeps no sessions, so that this one is there
   * for nothing else.
   */
  mark?: 'url' | 'own' | undefined
}

const purpose = 'mcp-session'
const shown = /^([\x21-\x7e]{1,1024})\.(?:([\w-]{8})~)?(?:(url|own)~)?([\w-]{22})$/

/**
 * The session id that a client sees: the runtime's, with a MAC that binds it to user, client and server (BC-15, TR-43; docs/decisions/0003-session-binding.md). Nothing is
 * stored, so it holds on every replica and after a restart.
 *
 * @throws GatewayError `runtime_invalid` for an id that TR-42 does not allow
 */
export function showSession(keys: Pick<KeyRing, 'sign'>, session: LegacySession, server: ServerConfig, connection: Connection): string {
  if (!/^[\x21-\x7e]{1,1024}$/.test(session.id)) throw new GatewayError('runtime_invalid', { reason: 'Mcp-Session-Id is not visible ASCII' })
  const mac = keys.sign(bound(session, server, connection), purpose)
  const marks = [session.affinity, session.mark].map((part) => (part === undefined ? '' : `${part}~`))
  return `${session.id}.${marks.join('')}${mac}`
}

/**
 * The session behind the id that a client sent.
 *
 * @returns undefined for a session of the gateway's own that was given to somebody else: it stands for nothing at any runtime, and a client that registered anew must not stumble over it
 * @throws GatewayError `session_ended` for one that was not given to this user, client and server: as if it had ended, so that nobody learns which ids exist
 */
export function findSession(keys: Pick<KeyRing, 'verify'>, text: string, server: ServerConfig, connection: Connection): LegacySession | undefined {
  const match = shown.exec(text)
  if (!match) throw new GatewayError('session_ended', { reason: 'not a session id of this gateway' })
  const [, id, affinity, mark, mac] = match as unknown as [string, string, string | undefined, 'url' | 'own' | undefined, string]
  const session = { id, affinity, mark }
  if (keys.verify(bound(session, server, connection), purpose, mac)) return session
  if (mark === 'own') return undefined
  throw new GatewayError('session_ended', { reason: 'the session id was given to somebody else' })
}

/* Not the connection's id: a user who signs in again with the same client keeps the session. */
function bound({ id, affinity, mark }: LegacySession, server: ServerConfig, { identity, clientId }: Connection): string {
  const parts = [server.id, identity ? subjectKey(identity) : null, clientId, affinity ?? null, id]
  // Without a mark as it always was: ids that are in use stay good.
  return JSON.stringify(mark === undefined ? parts : [...parts, mark])
}
