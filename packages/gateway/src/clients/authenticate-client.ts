import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import type { Params } from '../http/params.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import type { Client, ClientAuthMethod } from './client.ts'
import { claimedClientId, jwtAssertionType, verifyAssertion } from './client-assertion.ts'
import { findClient } from './find-client.ts'
import { DocumentUnavailable } from './metadata-document.ts'

/** The parts of a request that name and prove a client. */
export interface ClientCredentials {
  /** The `Authorization` header. */
  authorization: string | undefined
  params: Pick<Params, 'get'>
  /** Absolute URL of the token endpoint, an audience of assertions. */
  tokenEndpoint: string
  /** That of the endpoint that was asked, where it is another: an audience too (RFC 9126 §2). */
  endpoint?: string
}

/** A client that has proved itself, or by `none` has only named itself. */
export interface AuthenticatedClient {
  client: Client
  method: ClientAuthMethod
}

/** What was presented, before anything is checked. */
type Presented = { clientId: string } & (
  | { method: 'none' }
  | { method: 'client_secret_basic' | 'client_secret_post'; secrets: string[] }
  | { method: 'private_key_jwt'; assertion: string }
)

/**
 * Authenticates the client at the token and revocation endpoints (RFC 6749 §2.3 and §3.2.1, RFC 7523 §2.2): public clients by their `client_id`, others by a secret in the
 * header or the body, or by a signed JWT. A client that has credentials must use them (CR-10).
 *
 * @returns the client, and how it proved itself
 * @throws OAuthError `invalid_client`, 401, with `WWW-Authenticate: Basic` when the header was used (TK-12); `invalid_request` for more than one method;
 *   `temporarily_unavailable` when the client's document or keys cannot be fetched right now; StoreUnavailable
 */
export async function authenticateClient(
  deps: Pick<Deps, 'config' | 'store' | 'clock' | 'guardedFetch'>,
  credentials: ClientCredentials,
): Promise<AuthenticatedClient> {
  const inHeader = credentials.authorization !== undefined
  try {
    const presented = presentedBy(credentials)
    const client = await findClient(deps, presented.clientId)
    await prove(deps, client, presented, [credentials.tokenEndpoint, ...(credentials.endpoint === undefined ? [] : [credentials.endpoint])])
    return { client, method: presented.method }
  } catch (error) {
    // No verdict on the client: it would throw its registration and its tokens away.
    if (error instanceof DocumentUnavailable) {
      throw new OAuthError('temporarily_unavailable', error.description, { reason: error.reason ?? '', cause: error, headers: { 'retry-after': '30' } })
    }
    if (inHeader && error instanceof OAuthError && error.code === 'invalid_client') {
      throw new OAuthError('invalid_client', error.description, {
        reason: error.reason ?? error.description,
        cause: error,
        headers: { 'www-authenticate': 'Basic realm="token", charset="UTF-8"' },
      })
    }
    throw error
  }
}

function presentedBy({ authorization, params }: ClientCredentials): Presented {
  const clientId = params.get('client_id')
  const secret = params.get('client_secret')
  const assertion = params.get('client_assertion')
  const assertionType = params.get('client_assertion_type')
  const inBody = assertion !== undefined || assertionType !== undefined
  if ([authorization !== undefined, secret !== undefined, inBody].filter(Boolean).length > 1) {
    throw new OAuthError('invalid_request', 'A client must not use more than one authentication method in a request.')
  }
  if (authorization !== undefined) return sameClient(fromBasic(authorization), clientId)
  if (inBody) return sameClient(fromAssertion(assertion, assertionType), clientId)
  if (clientId === undefined) throw new OAuthError('invalid_client', 'The request has no client_id and no client authentication.')
  return secret === undefined ? { clientId, method: 'none' } : { clientId, method: 'client_secret_post', secrets: [secret] }
}

/** RFC 6749 §2.3.1: id and secret are form-encoded before they become Basic credentials. */
function fromBasic(authorization: string): Presented {
  const encoded = /^Basic +([A-Za-z0-9+/]+={0,2})$/i.exec(authorization)?.[1]
  const text = encoded === undefined ? undefined : Buffer.from(encoded, 'base64').toString('utf8')
  const colon = text?.indexOf(':') ?? -1
  if (text === undefined || colon < 1) throw new OAuthError('invalid_client', 'The Authorization header holds no Basic credentials.')
  const clientId = formDecoded(text.slice(0, colon))
  const raw = text.slice(colon + 1)
  if (clientId === undefined) throw new OAuthError('invalid_client', 'The Basic credentials are not form-encoded.')
  // An empty secret proves nothing: it is how some libraries name a public client.
  if (raw === '') return { clientId, method: 'none' }
  // Several libraries forget the encoding, so the secret as it stands is tried as well.
  return { clientId, method: 'client_secret_basic', secrets: [formDecoded(raw) ?? raw, raw] }
}

function fromAssertion(assertion: string | undefined, type: string | undefined): Presented {
  if (assertion === undefined || type !== jwtAssertionType) {
    throw new OAuthError('invalid_request', `client_assertion comes with the client_assertion_type ${jwtAssertionType}.`)
  }
  const clientId = claimedClientId(assertion)
  if (clientId === undefined) throw new OAuthError('invalid_client', 'The client assertion is not a JWT with a sub.')
  return { clientId, method: 'private_key_jwt', assertion }
}

function sameClient(presented: Presented, clientId: string | undefined): Presented {
  if (clientId !== undefined && clientId !== presented.clientId) throw new OAuthError('invalid_client', 'client_id differs from the client that authenticates.')
  return presented
}

async function prove(
  deps: Pick<Deps, 'config' | 'store' | 'clock' | 'guardedFetch'>,
  client: Client,
  presented: Presented,
  endpoints: string[],
): Promise<void> {
  if (!client.authMethods.includes(presented.method)) throw new OAuthError('invalid_client', mustUse(client.authMethods))
  if (presented.method === 'none') return
  if (presented.method === 'private_key_jwt') return verifyAssertion(deps, client, presented.assertion, endpoints)
  const { secretHash } = client
  if (secretHash === undefined || !presented.secrets.some((secret) => sameFingerprint(fingerprint(secret), secretHash))) {
    throw new OAuthError('invalid_client', 'The client secret is wrong.')
  }
}

function mustUse(methods: ClientAuthMethod[]): string {
  return methods.includes('none') ? 'This client is public and must not authenticate.' : `This client must authenticate by ${methods.join(' or ')}.`
}

function formDecoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}
