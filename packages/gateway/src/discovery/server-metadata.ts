import { assertionAlgorithms } from '../clients/client-assertion.ts'
import { idJagProfile, jwtBearerGrant, offeredGrantTypes } from '../clients/grant-types.ts'
import type { Config } from '../config.ts'
import { proofAlgorithms } from '../dpop/proof.ts'
import { publishedScopes } from './resource-metadata.ts'

/** Authorization server metadata (RFC 8414 §2), wire names. */
export type ServerMetadata = Record<string, string | boolean | string[]>

const authMethods = ['none', 'client_secret_basic', 'client_secret_post', 'private_key_jwt']

/**
 * The authorization server metadata. It names only endpoints that answer, and states what RFC 8414's defaults would get wrong (AS-8). Real clients stop without
 * `code_challenge_methods_supported` (AS-5), and hold us to `authorization_response_iss_parameter_supported` (AS-6): `iss` then goes with every redirect.
 */
export function serverMetadata(config: Pick<Config, 'issuer' | 'endpoints' | 'servers' | 'clients' | 'enterprise' | 'tokens'>): ServerMetadata {
  const { issuer, endpoints, clients } = config
  const grantTypes = offeredGrantTypes(config)
  return {
    issuer,
    authorization_endpoint: issuer + endpoints.authorize,
    token_endpoint: issuer + endpoints.token,
    ...(clients.registration === false ? {} : { registration_endpoint: issuer + endpoints.register }),
    revocation_endpoint: issuer + endpoints.revoke,
    ...(clients.pushedRequests !== 'off' && {
      pushed_authorization_request_endpoint: issuer + endpoints.par,
      require_pushed_authorization_requests: clients.pushedRequests === 'required',
    }),
    ...publishedScopes(Object.values(config.servers).flatMap((server) => server.scopes)),
    response_types_supported: ['code'],
    response_modes_supported: ['query', 'form_post'],
    grant_types_supported: grantTypes,
    ...(grantTypes.includes(jwtBearerGrant) && { authorization_grant_profiles_supported: [idJagProfile] }),
    code_challenge_methods_supported: ['S256'],
    token_endpoint_auth_methods_supported: authMethods,
    token_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    revocation_endpoint_auth_methods_supported: authMethods,
    revocation_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    ...(clients.preregistered.some(({ introspect }) => introspect) && {
      introspection_endpoint: issuer + endpoints.introspect,
      // Whoever may ask has something to prove itself with.
      introspection_endpoint_auth_methods_supported: authMethods.filter((method) => method !== 'none'),
      introspection_endpoint_auth_signing_alg_values_supported: assertionAlgorithms,
    }),
    ...(config.tokens.signingKeys.length > 0 && { jwks_uri: issuer + endpoints.jwks }),
    dpop_signing_alg_values_supported: proofAlgorithms,
    authorization_response_iss_parameter_supported: true,
    ...(clients.metadataDocuments === false ? {} : { client_id_metadata_document_supported: true }),
  }
}
