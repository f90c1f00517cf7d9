import { redirectUriProblem } from '../clients/redirect-uri.ts'
import type { ClientsConfig } from '../config.ts'
import { ConfigError } from '../errors/errors.ts'
import type { ParsedOptions } from './schema.ts'

type ParsedPreregistered = NonNullable<NonNullable<ParsedOptions['clients']>['preregistered']>[number]

/**
 * Who may connect.
 *
 * @param scopes of all servers
 * @param warnings gets what an operator should read at start
 * @throws ConfigError naming the option
 */
export function parseClients({ clients = {} }: ParsedOptions, scopes: readonly string[], warnings: string[]): ClientsConfig {
  const { preregistered = [], metadataDocuments = {}, registration = {} } = clients
  for (const [index, client] of preregistered.entries()) {
    const option = `clients.preregistered[${index}]`
    if (preregistered.findIndex((other) => other.clientId === client.clientId) < index) throw new ConfigError(`${option}.clientId`, 'stands twice')
    checkPreregistered(option, client, scopes)
    if (client.requirePushedRequests && clients.pushedRequests === 'off') {
      throw new ConfigError(`${option}.requirePushedRequests`, "cannot be met while clients.pushedRequests is 'off'")
    }
  }
  const documents = metadataDocuments && {
    allow: metadataDocuments.allow ?? [],
    ask: metadataDocuments.ask ?? [],
    deny: metadataDocuments.deny ?? [],
    dangerouslyAllowPrivateAddresses: metadataDocuments.dangerouslyAllowPrivateAddresses ?? false,
  }
  if (documents !== false && documents.dangerouslyAllowPrivateAddresses) {
    warnings.push('clients.metadataDocuments.dangerouslyAllowPrivateAddresses is on: clients can make this gateway send requests into the private network')
  }
  const open = registration && {
    initialAccessToken: registration.initialAccessToken,
    unusedExpirySeconds: registration.unusedExpirySeconds ?? 2_592_000,
    perSourcePerHour: registration.perSourcePerHour ?? 1000,
    maxClients: registration.maxClients ?? 100_000,
    softwareStatements: registration.softwareStatements && { ...registration.softwareStatements, required: registration.softwareStatements.required ?? false },
  }
  if (preregistered.length === 0 && !documents && !open) throw new ConfigError('clients', 'lets no client in: everything is off and none is preregistered')
  const known = preregistered.map((client) => ({ ...client, redirectUris: client.redirectUris ?? [] }))
  return { preregistered: known, metadataDocuments: documents, registration: open, pushedRequests: clients.pushedRequests ?? 'offered' }
}

function checkPreregistered(option: string, client: ParsedPreregistered, scopes: readonly string[]): void {
  const proofs = [client.clientSecret, client.jwks, client.jwksUri].filter((proof) => proof !== undefined).length
  if (proofs > 1) throw new ConfigError(option, 'needs one of clientSecret, jwks and jwksUri, or none')
  for (const use of ['service', 'introspect'] as const) {
    if (client[use] && proofs === 0) throw new ConfigError(`${option}.${use}`, 'needs a client that proves itself, by clientSecret, jwks or jwksUri')
  }
  if (client.redirectUris === undefined && !client.service && !client.introspect) {
    throw new ConfigError(`${option}.redirectUris`, 'must be a list, and is missing: only a client with service or introspect does without')
  }
  for (const [at, uri] of (client.redirectUris ?? []).entries()) {
    const problem = redirectUriProblem(uri)
    if (problem) throw new ConfigError(`${option}.redirectUris[${at}]`, problem)
  }
  const unknown = client.scopes?.find((scope) => !scopes.includes(scope) && scope !== 'offline_access')
  if (unknown) throw new ConfigError(`${option}.scopes`, `'${unknown}' is no scope of any server`)
}
