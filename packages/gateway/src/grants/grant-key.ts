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
