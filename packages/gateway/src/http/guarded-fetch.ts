import { lookup as lookupName } from 'node:dns/promises'
import http from 'node:http'
import https from 'node:https'
import type { LookupFunction } from 'node:net'
import { isLoopbackAddress, isPublicAddress } from '../lib/addresses.ts'

/** One guarded GET. Rejects with {@link GuardedFetchError}. */
export type GuardedFetch = (url: string, limits: { maxBytes: number; timeoutMs: number; accept: string }) => Promise<GuardedResponse>

/** What a guarded GET brought; any status. */
export interface GuardedResponse {
  status: number
  headers: Headers
  body: Buffer
}

/** Why a guarded GET brought nothing. `refused_address`: of a host that is an address itself; `refused_name`: of one that a name stands for. */
export type GuardedFetchFailure = 'refused_url' | 'refused_address' | 'refused_name' | 'timeout' | 'too_large' | 'encoded' | 'failed'

/** `failure` says which; the message is for the operator's log. */
export class GuardedFetchError extends Error {
  readonly failure: GuardedFetchFailure
  constructor(failure: GuardedFetchFailure, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'GuardedFetchError'
    this.failure = failure
  }
}

/** How guarded the fetch is. */
export interface GuardedFetchOptions {
  /** Development only (CR-14): private addresses are reached too, and http on loopback. */
  allowPrivateAddresses: boolean
  /** Every address of a name; the operating system's resolver when left out. */
  resolve?: (hostname: string) => Promise<{ address: string; family: number }[]>
  /** Certificate authorities in PEM, instead of those of Node. */
  ca?: string
}

/**
 * Builds the only way in which the gateway asks hosts that a client names (CR-13, CR-14). https only; no redirect is followed; neither cookies nor credentials go
 * out; the answer is bounded in bytes and in time as a whole. The address is judged inside the socket's own lookup, so the one that was checked is the one that is
 * connected to, whatever the name resolves to a moment later. A name of which any address is not public is refused.
 */
export function createGuardedFetch(options: GuardedFetchOptions): GuardedFetch {
  const resolve = options.resolve ?? ((hostname) => lookupName(hostname, { all: true }))
  return async (url, limits) => {
    const target = URL.parse(url)
    if (!target) throw new GuardedFetchError('refused_url', 'not a URL')
    const plain = target.protocol === 'http:'
    if (target.username !== '' || target.password !== '' || (target.protocol !== 'https:' && !(plain && options.allowPrivateAddresses))) {
      throw new GuardedFetchError('refused_url', 'only https URLs without user information are fetched')
    }
    const accepted = plain ? isLoopbackAddress : options.allowPrivateAddresses ? () => true : isPublicAddress
    refuseLiteral(target.hostname, accepted)
    return get(target, limits, guardedLookup(resolve, accepted), options.ca)
  }
}

/** A literal address never passes the lookup. `URL` has brought decimal, hex, octal and short forms to dotted decimals by now. */
function refuseLiteral(hostname: string, accepted: (address: string) => boolean): void {
  const literal = literalOf(hostname)
  if (literal !== undefined && !accepted(literal)) throw new GuardedFetchError('refused_address', `${literal} is not a public address`)
}

function literalOf(hostname: string): string | undefined {
  if (hostname.startsWith('[')) return hostname.slice(1, -1)
  // RFC 6761 §6.3: names that mean this machine, whatever a resolver says.
  if (hostname === 'localhost' || hostname.endsWith('.localhost')) return '127.0.0.1'
  return /^[\d.]+$/.test(hostname) ? hostname : undefined
}

function guardedLookup(resolve: NonNullable<GuardedFetchOptions['resolve']>, accepted: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (found) => {
        const refused = found.find(({ address }) => !accepted(address))
        const first = found[0]
        if (refused) callback(new GuardedFetchError('refused_name', `${hostname} resolves to ${refused.address}, which is not a public address`), '', 0)
        else if (!first) callback(new GuardedFetchError('failed', `${hostname} has no address`), '', 0)
        else if (options.all) callback(null, found)
        else callback(null, first.address, first.family)
      },
      (error: unknown) => callback(new GuardedFetchError('failed', `${hostname} does not resolve`, error), '', 0),
    )
  }
}

function get(target: URL, limits: Parameters<GuardedFetch>[1], lookup: LookupFunction, ca: string | undefined): Promise<GuardedResponse> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(limits.timeoutMs)
    const fail = (error: unknown) => {
      if (error instanceof GuardedFetchError) reject(error)
      else if (signal.aborted) reject(new GuardedFetchError('timeout', `no complete answer within ${limits.timeoutMs} ms`, error))
      else reject(new GuardedFetchError('failed', error instanceof Error ? error.message : String(error), error))
    }
    const request = (target.protocol === 'http:' ? http : https).request(target, {
      lookup,
      signal,
      // An own agent each time: a pooled socket would have skipped the lookup.
      agent: false,
      headers: { accept: limits.accept, 'accept-encoding': 'identity', 'user-agent': 'emcy-gateway' },
      ...(ca === undefined ? {} : { ca }),
    })
    request.on('error', fail)
    // Whatever else ends it without an answer, such as a switch of protocols: nobody waits for ever.
    request.on('close', () => fail(new Error('the connection ended without an answer')))
    request.on('response', (response) => {
      const stop = (failure: GuardedFetchFailure, message: string) => {
        fail(new GuardedFetchError(failure, message))
        request.destroy()
      }
      response.on('error', fail)
      const encoding = response.headers['content-encoding']
      if (encoding !== undefined && encoding !== 'identity') return stop('encoded', `the answer has Content-Encoding ${encoding}, which was not asked for`)
      if (Number(response.headers['content-length']) > limits.maxBytes) return stop('too_large', `the answer is larger than ${limits.maxBytes} bytes`)
      const chunks: Buffer[] = []
      let size = 0
      response.on('data', (chunk: Buffer) => {
        size += chunk.length
        if (size > limits.maxBytes) stop('too_large', `the answer is larger than ${limits.maxBytes} bytes`)
        else chunks.push(chunk)
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: headersOf(response), body: Buffer.concat(chunks) }))
    })
    request.end()
  })
}

function headersOf(response: http.IncomingMessage): Headers {
  const headers = new Headers()
  for (let at = 0; at + 1 < response.rawHeaders.length; at += 2) headers.append(response.rawHeaders[at] ?? '', response.rawHeaders[at + 1] ?? '')
  return headers
}
