import type { Deps } from '../deps.ts'
import { OAuthError } from '../errors/oauth-error.ts'
import { GuardedFetchError, type GuardedResponse } from '../http/guarded-fetch.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Client, ClientAuthMethod } from './client.ts'
import { type ClientMetadata, displayName, parseClientMetadata, sharedMembers } from './client-metadata.ts'
import { type DocumentOptions, documentUrlProblem, isDocumentId, trustInHost } from './document-url.ts'
import { freshnessMs } from './freshness.ts'
import { keepFetched } from './kept-fetch.ts'
import { metadataHash } from './metadata-hash.ts'
import { isAcceptableRedirectUri } from './redirect-uri.ts'

export { isDocumentId }

/** The document could not be fetched right now, and no copy of the last day is at hand. At the token endpoint that is no verdict on the client. */
export class DocumentUnavailable extends OAuthError {
  constructor(reason: string, cause?: unknown) {
    super('invalid_client', 'The metadata document of this client cannot be fetched right now.', { reason, cause })
    this.name = 'DocumentUnavailable'
  }
}

/** A cached document. It is kept for a day, and used beyond its freshness only while its host cannot be reached. */
interface CachedDocument {
  v: 1
  client: Client
  freshUntil: number
}

type DocumentDeps = Pick<Deps, 'store' | 'clock' | 'guardedFetch'>

const maxBytes = 5 * 1024
const timeoutMs = 5_000
const keptMs = 86_400_000
// Each a minute: fetches of one host, and of all (CR-15).
const perHost = 60
const perGateway = 600

const underWay = new WeakMap<DocumentDeps['guardedFetch'], Map<string, Promise<Client>>>()

/**
 * The client of a metadata document (CIMD; CR-5 to CR-16): cached by its HTTP headers, otherwise fetched, once for all who ask at the same time. Failures are never cached.
 *
 * @throws OAuthError `invalid_client`, saying what to mend in the document; {@link DocumentUnavailable}; StoreUnavailable
 */
export async function documentClient(deps: DocumentDeps, options: DocumentOptions, clientId: string): Promise<Client> {
  const problem = documentUrlProblem(clientId)
  if (problem !== undefined) throw new OAuthError('invalid_client', `This client id cannot name a metadata document: ${problem}.`)
  const { hostname } = new URL(clientId)
  if (trustInHost(hostname, options) === 'deny')
    throw new OAuthError('invalid_client', `Clients of ${hostname} are not admitted here. Ask whoever runs this site to admit them.`)
  const cached = (await readRecord<CachedDocument>(deps.store, 'document', documentKey(clientId)))?.value
  if (cached && cached.freshUntil > deps.clock()) return cached.client
  try {
    return await shared(deps, clientId)
  } catch (error) {
    if (cached && error instanceof DocumentUnavailable) return cached.client
    throw error
  }
}

/**
 * Judges a fetched document. Pure.
 *
 * @throws OAuthError `invalid_client` for what makes it no document of this client; {@link DocumentUnavailable} when its host failed
 */
export function judgeDocument(clientId: string, response: Pick<GuardedResponse, 'status' | 'body'>): Client {
  if (response.status === 429 || response.status >= 500) throw new DocumentUnavailable(`status ${response.status}`)
  // CR-12: redirects among the rest; nothing but 200 is a document.
  if (response.status !== 200) throw refusal(`it was answered with status ${response.status}`)
  const document = parseObject(response.body)
  if (!document) throw refusal('it is not a JSON object in UTF-8')
  if (document.client_id !== clientId) throw refusal('its client_id is not its own URL')
  if ('client_secret' in document || 'client_secret_expires_at' in document) throw refusal('it holds a client_secret')
  if (typeof document.client_name !== 'string' || document.client_name.trim() === '') throw refusal('it has no client_name')
  const metadata = metadataOf(document)
  const redirectUris = metadata.redirect_uris.filter(isAcceptableRedirectUri)
  if (redirectUris.length === 0) throw refusal('none of its redirect_uris is https, or http on a loopback host')
  const client: Omit<Client, 'metadataHash'> = {
    clientId,
    trust: 'document',
    name: displayName(metadata),
    redirectUris,
    authMethods: authMethods(metadata),
    ...sharedMembers(metadata),
    ...(metadata.logo_uri === undefined ? {} : { logoUri: metadata.logo_uri }),
  }
  return { ...client, metadataHash: metadataHash(client) }
}

/**
 * How a client of a document proves itself. One that declares a key must use it (CR-10), unless it says beside that it can do without, as ChatGPT's document does. Nothing that rests on
 * a shared secret may be named at all (CR-9).
 */
function authMethods(metadata: ClientMetadata): ClientAuthMethod[] {
  const { token_endpoint_auth_method: declared = 'none', token_endpoint_auth_methods_supported: others = [] } = metadata
  if (declared !== 'none' && declared !== 'private_key_jwt') throw refusal('its token_endpoint_auth_method must be none or private_key_jwt')
  if (others.some((method) => method.startsWith('client_secret')))
    throw refusal('its token_endpoint_auth_methods_supported names a method with a shared secret')
  const hasKeys = metadata.jwks !== undefined || metadata.jwks_uri !== undefined
  const wanted = [declared, ...others]
  return (['private_key_jwt', 'none'] as const).filter((method) => wanted.includes(method) && (method === 'none' || hasKeys))
}

function shared(deps: DocumentDeps, clientId: string): Promise<Client> {
  const running = underWay.get(deps.guardedFetch) ?? new Map<string, Promise<Client>>()
  underWay.set(deps.guardedFetch, running)
  const known = running.get(clientId)
  if (known) return known
  const started = fetchDocument(deps, clientId).finally(() => running.delete(clientId))
  running.set(clientId, started)
  return started
}

async function fetchDocument(deps: DocumentDeps, clientId: string): Promise<Client> {
  await chargeFetch(deps, new URL(clientId).host)
  const response = await guardedGet(deps, clientId, maxBytes)
  const client = judgeDocument(clientId, response)
  const now = deps.clock()
  const record: CachedDocument = { v: 1, client, freshUntil: now + freshnessMs(response.headers, now) }
  await keepFetched(deps, 'document', documentKey(clientId), JSON.stringify(record), keptMs)
  return client
}

/**
 * One counted fetch for a client's sake; also used for its keys.
 *
 * @throws DocumentUnavailable when a minute's bound is reached
 */
export async function chargeFetch(deps: Pick<Deps, 'store'>, host: string): Promise<void> {
  const ofHost = await deps.store.spend(recordKey('spend', 'document-fetch', host), 1, perHost, 60_000)
  const ofAll = ofHost.allowed && (await deps.store.spend(recordKey('spend', 'document-fetch', '*'), 1, perGateway, 60_000)).allowed
  if (!ofAll) throw new DocumentUnavailable('more metadata fetches than a minute may have')
}

/**
 * A guarded GET of JSON.
 *
 * @throws DocumentUnavailable when the host could not be reached in time; OAuthError `invalid_client` for what asking again cannot mend
 */
export async function guardedGet(deps: Pick<Deps, 'guardedFetch'>, url: string, bytes: number): Promise<GuardedResponse> {
  try {
    return await deps.guardedFetch(url, { maxBytes: bytes, timeoutMs, accept: 'application/json' })
  } catch (error) {
    if (!(error instanceof GuardedFetchError)) throw error
    // A name of our inside looks like one that does not exist: strangers must not learn here which of its names there are.
    if (error.failure === 'timeout' || error.failure === 'failed' || error.failure === 'refused_name') throw new DocumentUnavailable(error.message, error)
    const why = error.failure === 'too_large' ? `it is larger than ${bytes} bytes` : 'it cannot be fetched from here'
    throw refusal(why, error)
  }
}

function metadataOf(document: Record<string, unknown>): ClientMetadata {
  try {
    return parseClientMetadata(document)
  } catch (error) {
    if (error instanceof OAuthError) throw refusal(error.description)
    throw error
  }
}

function parseObject(body: Buffer): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function refusal(why: string, cause?: GuardedFetchError): OAuthError {
  return new OAuthError('invalid_client', `The metadata document of this client is refused: ${why}.`, { reason: cause?.message ?? why, cause })
}

function documentKey(clientId: string): string {
  return recordKey('document', clientId)
}
