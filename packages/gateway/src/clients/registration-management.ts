import { OAuthError } from '../errors/oauth-error.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { readRecord, type Stored } from '../store/records.ts'
import { uncountClient } from './client-count.ts'
import { clientKey, type RegisteredClient, type RegistrationOptions } from './registered-client.ts'
import { bearerOf, type RegistrationDeps } from './registration.ts'
import { buildClient, clientInformation, newSecret, statedMetadata } from './registration-metadata.ts'
import { applyStatement } from './software-statement.ts'

/** A client and the token that its holder showed. */
interface Held {
  options: RegistrationOptions
  stored: Stored<RegisteredClient>
  token: string
}

/**
 * Reads a registration for its holder (RFC 7592 §2.1).
 *
 * @param clientId as the registration's URL names it
 * @param authorization the request's `Authorization` header, with the registration access token
 * @throws OAuthError `invalid_token` for another token, and just so for a client that is gone; StoreUnavailable
 */
export async function readRegistration(deps: RegistrationDeps, clientId: string, authorization: string | undefined): Promise<Record<string, unknown>> {
  const { stored, token } = await held(deps, clientId, authorization)
  return clientInformation(deps.config, stored.value, { token, secret: undefined })
}

/**
 * Replaces a registration (RFC 7592 §2.2): what the request leaves out is gone. A client that proves itself by a secret keeps it, and gets one when it had none. Users are asked again
 * for what has changed (AZ-13).
 *
 * @returns the registration as it is now, with a secret only if that is new
 * @throws OAuthError as for a registration, and as {@link readRegistration}; StoreUnavailable
 */
export async function updateRegistration(
  deps: RegistrationDeps,
  clientId: string,
  authorization: string | undefined,
  body: Record<string, unknown>,
): Promise<Record<string, unknown>> {
  const { options, stored, token } = await held(deps, clientId, authorization)
  const before = stored.value
  checkUpdate(before, body)
  const stated = await applyStatement(deps, options.softwareStatements, body)
  const metadata = statedMetadata(stated.body)
  const needed = newSecret(deps, metadata)
  const kept = needed === undefined ? undefined : before.client.secretHash
  const secret = kept === undefined ? needed : undefined
  const client = buildClient(clientId, metadata, kept ?? (secret && fingerprint(secret)))
  const record: RegisteredClient = { ...before, client, metadata, statement: stated.statement }
  const ttlMs = before.renewedAt + options.unusedExpirySeconds * 1000 - deps.clock()
  const written = ttlMs > 0 && (await deps.store.compareAndSet(clientKey(clientId), stored.raw, JSON.stringify(record), ttlMs))
  if (!written)
    throw new OAuthError('temporarily_unavailable', 'The registration changed meanwhile. Read it and try again.', { headers: { 'retry-after': '1' } })
  return clientInformation(deps.config, record, { token, secret })
}

/**
 * Deletes a registration (RFC 7592 §2.3). From here on the client is not known.
 *
 * @returns whether a user ever let it in, so that there may be connections to end
 * @throws OAuthError as {@link readRegistration}; StoreUnavailable
 */
export async function deleteRegistration(deps: RegistrationDeps, clientId: string, authorization: string | undefined): Promise<{ authorized: boolean }> {
  const { options, stored } = await held(deps, clientId, authorization)
  if ((await deps.store.take(clientKey(clientId))) !== undefined) await uncountClient(deps, options.unusedExpirySeconds * 1000, stored.value.slot)
  return { authorized: stored.value.authorized }
}

/** RFC 7592 §2: the token is of this one client, and nothing tells a wrong one from that of a client that is gone. */
async function held(deps: RegistrationDeps, clientId: string, authorization: string | undefined): Promise<Held> {
  const { registration: options } = deps.config.clients
  const token = bearerOf(authorization)
  const stored = token === undefined ? undefined : await readRecord<RegisteredClient>(deps.store, 'client', clientKey(clientId))
  if (options !== false && token !== undefined && stored && sameFingerprint(fingerprint(token), stored.value.tokenHash)) return { options, stored, token }
  throw new OAuthError('invalid_token', 'The registration access token is not one of this client.', {
    headers: { 'www-authenticate': token === undefined ? 'Bearer' : 'Bearer error="invalid_token"' },
  })
}

/** What the server alone says, a client must not send back, and its id and secret only as they are (RFC 7592 §2.2). */
function checkUpdate(before: RegisteredClient, body: Record<string, unknown>): void {
  if (body.client_id !== before.client.clientId) throw new OAuthError('invalid_client_metadata', 'client_id must be that of the client.')
  for (const name of ['registration_access_token', 'registration_client_uri', 'client_secret_expires_at', 'client_id_issued_at']) {
    if (Object.hasOwn(body, name)) throw new OAuthError('invalid_client_metadata', `${name} must not be sent.`)
  }
  const { client_secret: secret } = body
  if (secret === undefined) return
  const { secretHash } = before.client
  if (typeof secret !== 'string' || secretHash === undefined || !sameFingerprint(fingerprint(secret), secretHash)) {
    throw new OAuthError('invalid_client_metadata', 'client_secret must be the current one, or be left out.')
  }
}
