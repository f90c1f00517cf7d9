import { z } from 'zod'
import { OAuthError } from '../errors/oauth-error.ts'
import { oneLine } from '../lib/plain-text.ts'
import type { Client } from './client.ts'

/** Client metadata (RFC 7591 §2) as far as the gateway acts on it; wire names. */
export type ClientMetadata = z.infer<typeof schema>

const maxRedirectUris = 30
const maxKeys = 20
const word = z.string().max(200)
const privateMembers = ['d', 'p', 'q', 'dp', 'dq', 'qi', 'oth', 'k']

// Members that are not listed are ignored: "the authorization server MUST ignore any client metadata sent by the client that it does not understand" (RFC 7591 §2).
const schema = z.object({
  redirect_uris: z.array(z.string().max(2048)).min(1).max(maxRedirectUris),
  client_name: z.string().max(500).optional(),
  client_uri: z.string().max(2048).optional(),
  logo_uri: z.string().max(2048).optional(),
  token_endpoint_auth_method: word.optional(),
  // Not in the registry of RFC 7591, and what a client writes that can do without its key where a server cannot take it.
  token_endpoint_auth_methods_supported: z.array(word).max(20).optional(),
  grant_types: z.array(word).max(20).optional(),
  response_types: z.array(word).max(20).optional(),
  scope: z.string().max(4096).optional(),
  jwks: z.object({ keys: z.array(z.record(z.string(), z.unknown())).min(1).max(maxKeys) }).optional(),
  jwks_uri: z.string().max(2048).optional(),
  application_type: word.optional(),
  require_pushed_authorization_requests: z.boolean().optional(),
  dpop_bound_access_tokens: z.boolean().optional(),
})

/**
 * Checks client metadata as far as registration and metadata documents agree on it.
 *
 * @throws OAuthError `invalid_client_metadata` or `invalid_redirect_uri`, naming the member (RFC 7591 §3.2.2)
 */
export function parseClientMetadata(value: unknown): ClientMetadata {
  const result = schema.safeParse(withoutNulls(value))
  if (!result.success) {
    const issue = result.error.issues[0]
    const member = issue?.path.slice(0, 2).join('.') ?? ''
    const code = issue?.path[0] === 'redirect_uris' ? 'invalid_redirect_uri' : 'invalid_client_metadata'
    throw new OAuthError(code, member === '' ? 'The client metadata must be a JSON object.' : `${member}: ${issue?.message ?? 'invalid'}`)
  }
  const metadata = result.data
  if (metadata.jwks && metadata.jwks_uri !== undefined) refuse('jwks and jwks_uri must not both be present.')
  if (metadata.jwks?.keys.some((key) => privateMembers.some((name) => Object.hasOwn(key, name)))) refuse('jwks must hold public keys only.')
  if (metadata.jwks_uri !== undefined && URL.parse(metadata.jwks_uri)?.protocol !== 'https:') refuse('jwks_uri must be an https URL.')
  if (metadata.grant_types && !metadata.grant_types.includes('authorization_code')) refuse('grant_types must include authorization_code.')
  if (metadata.response_types && !metadata.response_types.includes('code')) refuse('response_types must include code.')
  if (metadata.token_endpoint_auth_method === 'private_key_jwt' && !metadata.jwks && metadata.jwks_uri === undefined)
    refuse('private_key_jwt needs jwks or jwks_uri.')
  return metadata
}

/** A client's name for pages and logs; never empty. */
export function displayName(metadata: Pick<ClientMetadata, 'client_name' | 'redirect_uris'>): string {
  const name = oneLine(metadata.client_name ?? '', 100)
  return name === '' ? `A client at ${URL.parse(metadata.redirect_uris[0] ?? '')?.hostname ?? 'an unknown host'}` : name
}

/** What registration and metadata documents make of the members that they share. */
export function sharedMembers(metadata: ClientMetadata): Pick<Client, 'jwks' | 'jwksUri' | 'uri' | 'dpopBound' | 'requirePushed'> {
  const uri = webAddress(metadata.client_uri)
  return {
    ...(metadata.jwks ? { jwks: metadata.jwks } : {}),
    ...(metadata.jwks_uri === undefined ? {} : { jwksUri: metadata.jwks_uri }),
    ...(uri === undefined ? {} : { uri }),
    ...(metadata.dpop_bound_access_tokens && { dpopBound: true }),
    ...(metadata.require_pushed_authorization_requests && { requirePushed: true }),
  }
}

/** `client_uri`, where it is a web address. */
function webAddress(uri: string | undefined): string | undefined {
  const protocol = uri === undefined ? undefined : URL.parse(uri)?.protocol
  return protocol === 'https:' || protocol === 'http:' ? uri : undefined
}

function refuse(description: string): never {
  throw new OAuthError('invalid_client_metadata', description)
}

/** Some libraries write what they do not have as null. */
function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([, member]) => member !== null))
}
