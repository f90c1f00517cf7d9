import type { Deps } from '../deps.ts'
import { GuardedFetchError } from '../http/guarded-fetch.ts'
import { readRecord } from '../store/records.ts'
import { recordKey } from '../store/schema.ts'
import type { Client } from './client.ts'
import { keepFetched } from './kept-fetch.ts'
import { chargeFetch, DocumentUnavailable } from './metadata-document.ts'

/** An image as it is served. */
export interface Logo {
  type: LogoType
  bytes: Buffer
}

type LogoType = 'image/png' | 'image/jpeg' | 'image/gif' | 'image/webp'

/** A cached logo, or, with `type` undefined, that there was none when it was last looked for. */
interface CachedLogo {
  v: 1
  type: LogoType | undefined
  /** base64. */
  data: string
  freshUntil: number
}

type LogoDeps = Pick<Deps, 'store' | 'clock' | 'guardedFetch'>

const maxBytes = 100 * 1024
const timeoutMs = 5_000
const keptMs = 7 * 86_400_000
// A host that has none, or fails, is asked again after this.
const againMs = 600_000

const underWay = new WeakMap<LogoDeps['guardedFetch'], Map<string, Promise<CachedLogo>>>()

/**
 * A client's logo: fetched once, through the same guard as its document, and then our own copy for a week (CR-13, CR-16). Only of a metadata document: whoever registers itself may
 * name any logo. PNG, JPEG, GIF and WebP by their first bytes, whatever the host calls them; SVG, which can hold scripts, is none of them.
 *
 * @returns undefined when there is none that can be shown
 * @throws StoreUnavailable
 */
export async function clientLogo(deps: LogoDeps, client: Pick<Client, 'trust' | 'logoUri'>): Promise<Logo | undefined> {
  const { logoUri } = client
  if (client.trust !== 'document' || logoUri === undefined) return undefined
  const known = (await readRecord<CachedLogo>(deps.store, 'document', logoKey(logoUri)))?.value
  const { type, data } = known && known.freshUntil > deps.clock() ? known : await shared(deps, logoUri)
  return type && { type, bytes: Buffer.from(data, 'base64') }
}

function shared(deps: LogoDeps, logoUri: string): Promise<CachedLogo> {
  const running = underWay.get(deps.guardedFetch) ?? new Map<string, Promise<CachedLogo>>()
  underWay.set(deps.guardedFetch, running)
  const known = running.get(logoUri)
  if (known) return known
  const started = fetchAndKeep(deps, logoUri).finally(() => running.delete(logoUri))
  running.set(logoUri, started)
  return started
}

async function fetchAndKeep(deps: LogoDeps, logoUri: string): Promise<CachedLogo> {
  const logo = await fetchLogo(deps, logoUri)
  const life = logo ? keptMs : againMs
  const record: CachedLogo = { v: 1, type: logo?.type, data: logo?.bytes.toString('base64') ?? '', freshUntil: deps.clock() + life }
  await keepFetched(deps, 'logo', logoKey(logoUri), JSON.stringify(record), life)
  return record
}

async function fetchLogo(deps: LogoDeps, logoUri: string): Promise<Logo | undefined> {
  const host = URL.parse(logoUri)?.host
  if (host === undefined) return undefined
  try {
    await chargeFetch(deps, host)
    const { status, body } = await deps.guardedFetch(logoUri, { maxBytes, timeoutMs, accept: 'image/png, image/webp, image/jpeg, image/gif' })
    const type = status === 200 ? imageType(body) : undefined
    return type && { type, bytes: body }
  } catch (error) {
    if (error instanceof GuardedFetchError || error instanceof DocumentUnavailable) return undefined
    throw error
  }
}

/** What an image is, by the signature that it begins with. */
export function imageType(bytes: Buffer): LogoType | undefined {
  const start = bytes.subarray(0, 12).toString('latin1')
  if (start.startsWith('\x89PNG\r\n\x1a\n')) return 'image/png'
  if (start.startsWith('\xff\xd8\xff')) return 'image/jpeg'
  if (/^GIF8[79]a/.test(start)) return 'image/gif'
  if (/^RIFF.{4}WEBP$/s.test(start)) return 'image/webp'
  return undefined
}

function logoKey(logoUri: string): string {
  return recordKey('document', 'logo', logoUri)
}
