import { assertionAlgorithms } from '../clients/client-assertion.ts'
import type { Config } from '../config.ts'
import { publishedScopes } from './resource-metadata.ts'

/** Authorization server metadata (RFC 8414 §2), wire names. */
export type ServerMetadata = Record<string, string | boolean | string[]>

const authMethods = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']

/**
 * The authorization server metadata. It names only endpoints that answer, and states what RFC 8414's defaults would get wrong (AS-8). Real clients stop without
 * `code_challenge_methods_supported` (AS-5), and hold us to `authorization_response_iss_parameter_supported` (AS-6): `iss` then goes with every redirect.
 */
export function serverMetadata(config: Pick<Config, 'issuer' | 'endpoints' | 'servers' | 'clients'>): ServerMetadata {
  const { issuer, endpoints, clients } = config
  return {
    issuer,
    authorization_endpoint: issuer + endpoints.authorize,
    token_endpoint: issuer + endpoints.token,
    ...(clients.registration === false ? {} : { registration_endpoint: issuer + endpoints.register }),
    revocation_endpoint: issuer + endpoints.revoke,
    ...publishedScopes(Object.values(config.servers).flatMap((server) => server.scopes)),
    response_types_supported: ['code'],
    response_modes_supported: ['query'],
    grant_types_supported: ['authorization_code', 'refresh_token'],
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: authMethods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    revocation_endpoint_auth_methods_supported: authMethods,
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    authorization_response_iss_parameter_supported: true,
    ...(clients.metadataDocuments === false ? {} : { client_id_metadata_document_supported: true }),
  }
}
