import { recordKey } from '../store/schema.ts'

/** Key of the grant that belongs to one connection. */
export function ownGrantKey(providerId: string, connectionId: string): string {
  return recordKey('grant', providerId, connectionId)
}

/** Key of the gateway's own token for one service at one server: never wider than that service's scopes there, and never a user's. */
export function serviceGrantKey(providerId: string, clientId: string, serverId: string, scopes: readonly string[]): string {
  return recordKey('grant', providerId, 'service', clientId, serverId, ...scopes)
}

/** Key of the grant that all connections of one user at one server share. */
export function sharedGrantKey(providerId: string, subject: string, serverId: string): string {
  return recordKey('grant', providerId, subject, serverId)
}

/** What of a connection decides which grants it can have. */
export interface GrantHolder {
  id: string
  /** `subjectKey` of its user. */
  subject: string | undefined
  clientId: string
  server: string
  scopes: readonly string[]
}

/**
 * Whether a grant is one that a connection can have: its own, its user's at that server, or its service's there. The key stands in the connection's record; that it was moved there from
 * another one must not make another's grant its own.
 */
export function canHold({ id, subject, clientId, server, scopes }: GrantHolder, providerId: string, key: string): boolean {
  if (key === ownGrantKey(providerId, id)) return true
  return key === (subject === undefined ? serviceGrantKey(providerId, clientId, server, scopes) : sharedGrantKey(providerId, subject, server))
}
