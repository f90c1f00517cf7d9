import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { fingerprint, sameFingerprint } from '../keys/fingerprint.ts'
import { sourceNetwork } from '../lib/addresses.ts'
import { recordKey } from '../store/schema.ts'
import { countClient } from './client-count.ts'
import { clientKey, type RegisteredClient, type RegistrationOptions } from './registered-client.ts'
import { buildClient, clientInformation, newSecret, statedMetadata } from './registration-metadata.ts'
import { applyStatement } from './software-statement.ts'

/** What registration works with. */
export type RegistrationDeps = Pick<Deps, 'config' | 'store' | 'clock' | 'random' | 'guardedFetch'>

const hourMs = 3_600_000

/**
 * Registers a client (RFC 7591; CR-2, CR-20, CR-21). Members that are not known are ignored. Scopes named here bound nothing: a client registers with what its first
 * challenge said and may need more later.
 *
 * @param body the parsed JSON body
 * @param source the peer's address, for the rate
 * @param authorization the request's `Authorization` header, which carries the initial access token where one is required
 * @returns the answer's body, to be sent with 201: with the token and the URL by which its holder manages it (RFC 7592 §3)
 * @throws OAuthError `invalid_redirect_uri`, `invalid_client_metadata`, `invalid_software_statement`, `unapproved_software_statement`; `invalid_token` for a wrong initial access
 *   token; `temporarily_unavailable` (429) when the source has registered too often or there are too many clients; StoreUnavailable
 */
export async function registerClient(deps: RegistrationDeps, body: unknown, source: string, authorization?: string): Promise<Record<string, unknown>> {
  const { registration } = deps.config.clients
  if (registration === false) throw new OAuthError('access_denied', 'Clients cannot register here.', { status: 403 })
  checkInitialAccessToken(registration, authorization)
  await chargeSource(deps, registration, source)
  const stated = await applyStatement(deps, registration.softwareStatements, body)
  const metadata = statedMetadata(stated.body)
  const secret = newSecret(deps, metadata)
  const client = buildClient(`dcr_${deps.random(18)}`, metadata, secret && fingerprint(secret))
  const lifeMs = registration.unusedExpirySeconds * 1000
  const slot = await countClient(deps, lifeMs, registration.maxClients)
  if (slot === undefined) throw tooMany('This gateway has as many registered clients as it can hold. Try again later.')
  const now = deps.clock()
  const token = deps.random(32)
  const record: RegisteredClient = {
    v: 1,
    client,
    metadata,
    statement: stated.statement,
    tokenHash: fingerprint(token),
    createdAt: now,
    renewedAt: now,
    slot,
    authorized: false,
  }
  await deps.store.set(clientKey(client.clientId), JSON.stringify(record), lifeMs)
  return clientInformation(deps.config, record, { secret, token })
}

function checkInitialAccessToken(options: RegistrationOptions, authorization: string | undefined): void {
  if (options.initialAccessToken === undefined) return
  const token = bearerOf(authorization)
  if (token !== undefined && sameFingerprint(fingerprint(token), fingerprint(options.initialAccessToken))) return
  throw new OAuthError('invalid_token', 'Registration here needs the initial access token.', {
    headers: { 'www-authenticate': token === undefined ? 'Bearer' : 'Bearer error="invalid_token"' },
  })
}

/** The token of a Bearer header. */
export function bearerOf(authorization: string | undefined): string | undefined {
  return /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1]
}

/** Charged before anything is checked, so that wrong registrations cost as much as right ones. */
async function chargeSource(deps: Pick<Deps, 'store'>, options: RegistrationOptions, source: string): Promise<void> {
  const spent = await deps.store.spend(recordKey('spend', 'registration', sourceNetwork(source)), 1, options.perSourcePerHour, hourMs)
  if (!spent.allowed) throw tooMany('Too many registrations from this address. Try again later.')
}

function tooMany(description: string): OAuthError {
  return new OAuthError('temporarily_unavailable', description, { status: 429, headers: { 'retry-after': '3600' } })
}
