import type { Client } from '../clients/client.ts'
import { trustInHost } from '../clients/document-url.ts'
import { isLoopbackRedirectUri } from '../clients/redirect-uri.ts'
import type { Config } from '../config.ts'

/**
 * Whether a browser may be sent to a client's redirect URI before its user was asked anything. Where anybody can become a client, a request that is wrong on purpose would make a
 * link of ours lead to any page at all (RFC 9700 §4.11.2, AZ-3). What the team vouches for is trusted, and so is a program on the user's own machine.
 */
export function isTrustedTarget({ clients }: Pick<Config, 'clients'>, client: Client, redirectUri: string): boolean {
  const { metadataDocuments, registration } = clients
  if (client.trust === 'preregistered' || isLoopbackRedirectUri(redirectUri)) return true
  if (client.trust === 'dynamic')
    return registration !== false && (registration.initialAccessToken !== undefined || registration.softwareStatements?.required === true)
  if (metadataDocuments === false || metadataDocuments.allow.length === 0) return false
  return trustInHost(new URL(client.clientId).hostname, metadataDocuments) === 'allow'
}
