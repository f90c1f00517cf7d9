import { AsyncLocalStorage } from 'node:async_hooks'
import type { CustomFetch } from 'openid-client'
import { isLoopbackHost } from '../lib/loopback.ts'
import { sendRefresh } from './send-refresh.ts'

/** What the caller of one refresh adds to its request. */
export interface RefreshOptions {
  /** Aborts the request, in place of the provider's time-out. */
  signal?: AbortSignal | undefined
  /** Runs right before the request leaves; a throw keeps it here. */
  beforeSend?: (() => void) | undefined
}

/** Far above any answer of a token, metadata or userinfo endpoint. */
const maxBytes = 1_048_576

const refreshing = new AsyncLocalStorage<RefreshOptions>()

/** Runs one refresh so that {@link downstreamFetch} knows of its options. */
export function asRefresh<T>(options: RefreshOptions, run: () => Promise<T>): Promise<T> {
  return refreshing.run(options, run)
}

/**
 * The fetch that openid-client uses: plain http only to this machine, answers bounded, and token answers brought to the form of RFC 6749 where real providers
 * leave it.
 */
export const downstreamFetch: CustomFetch = async (url, options) => {
  const { protocol, hostname } = new URL(url)
  if (protocol !== 'https:' && !isLoopbackHost(hostname)) throw new TypeError('plain http to another machine')
  const refresh = refreshing.getStore()
  const response = refresh
    ? await sendRefresh(url, options, refresh.signal ?? options.signal, refresh.beforeSend ?? (() => undefined))
    : await fetch(url, options as RequestInit)
  const text = await readBounded(response)
  const isTokenAnswer = options.method === 'POST' && response.status === 200
  return isTokenAnswer ? conforming(text, response, refresh !== undefined) : rebuilt(response, text, response.status)
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body ?? []) {
    size += chunk.length
    if (size > maxBytes) throw new TypeError(`an answer of more than ${maxBytes} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function conforming(text: string, response: Response, isRefresh: boolean): Response {
  const answer = parseObject(text)
  if (!answer) return rebuilt(response, text, response.status)
  // GitHub and Slack send their token errors with status 200.
  if (typeof answer.error === 'string' && answer.access_token === undefined) return rebuilt(response, text, 400)
  // A rotated refresh token must not be lost to an optional member that is off: what is not as RFC 6749 §5.1 says is left out.
  if (!(Number.parseFloat(String(answer.expires_in)) >= 0)) delete answer.expires_in
  if (typeof answer.refresh_token !== 'string' || answer.refresh_token === '') delete answer.refresh_token
  if (Array.isArray(answer.scope)) answer.scope = answer.scope.join(' ')
  if (typeof answer.scope !== 'string') delete answer.scope
  // The user was identified at the authorization; an ID token of a refresh (OpenID Connect Core §12.2) is not used, so it cannot fail a check either.
  if (isRefresh || typeof answer.id_token !== 'string') delete answer.id_token
  return rebuilt(response, JSON.stringify(answer), response.status)
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

function rebuilt(response: Response, text: string, status: number): Response {
  const headers = new Headers(response.headers)
  // fetch has decoded the body already.
  headers.delete('content-encoding')
  headers.delete('content-length')
  const hasNoBody = [204, 205, 304].includes(status)
  return new Response(hasNoBody ? null : text, { status, headers })
}
