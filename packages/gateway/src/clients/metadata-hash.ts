import { createHash } from 'node:crypto'
import type { Client } from './client.ts'

/**
 * Hash over the metadata that a user's consent rests on: what the page showed, where codes go, and whose keys prove the client. When it changes, consent is asked
 * again (AZ-13, CR-18). A secret is left out: a new one of the same client changes nothing that the user saw.
 */
export function metadataHash(client: Omit<Client, 'metadataHash'>): string {
  const { clientId, trust, name, redirectUris, authMethods, jwks, jwksUri, uri, logoUri } = client
  const seen = [clientId, trust, name, [...redirectUris].sort(), [...authMethods].sort(), jwks?.keys ?? [], jwksUri ?? '', uri ?? '', logoUri ?? '']
  return createHash('sha256').update(JSON.stringify(seen)).digest('base64url')
}
