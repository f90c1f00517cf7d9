import type { ClientsConfig } from '../config.ts'
import { isLoopbackHost } from '../lib/loopback.ts'

/** The operator's settings for metadata documents. */
export type DocumentOptions = Exclude<ClientsConfig['metadataDocuments'], false>

/** Whether a client id is meant as the URL of a metadata document. */
export function isDocumentId(clientId: string, options: Pick<DocumentOptions, 'dangerouslyAllowPrivateAddresses'>): boolean {
  return clientId.startsWith('https://') || (options.dangerouslyAllowPrivateAddresses && clientId.startsWith('http://'))
}

/**
 * What is wrong with a metadata document's URL (CR-5). Everything is tested on the raw string, since URL parsers mend: they drop dot segments, tabs and newlines and
 * turn backslashes around.
 *
 * @returns undefined when nothing is
 */
export function documentUrlProblem(clientId: string): string | undefined {
  if (clientId.length > 2048) return 'it is longer than 2048 characters'
  if (!/^[A-Za-z0-9\-._~:/?#[\]@!$&'()*+,;=%]+$/.test(clientId)) return 'it holds characters outside RFC 3986'
  if (clientId.includes('#')) return 'it has a fragment'
  const parts = /^(https?):\/\/([^/?]+)([^?]*)/.exec(clientId)
  const [, scheme, authority = '', path = ''] = parts ?? []
  if (scheme === undefined) return 'it is not an https URL'
  if (authority.includes('@')) return 'it has user information'
  if (path === '') return 'it has no path'
  if (path.split('/').some((segment) => /^(\.|%2e){1,2}$/i.test(segment))) return 'it has a dot segment'
  const url = URL.parse(clientId)
  if (!url) return 'it is not a URL'
  if (scheme === 'http' && !isLoopbackHost(url.hostname)) return 'http is for loopback hosts only'
  return undefined
}

/**
 * The operator's domain policy (CR-17). An entry is a host, `*.host` for all below it, or `*`. `deny` beats `allow`, which beats `ask`; what stands in none of them is admitted
 * unless there is an `allow`.
 *
 * @returns `ask`: admitted, with a warning on the consent page
 */
export function trustInHost(hostname: string, options: Pick<DocumentOptions, 'allow' | 'ask' | 'deny'>): 'allow' | 'ask' | 'deny' {
  const host = hostname.toLowerCase().replace(/\.$/, '')
  const matches = (entry: string) => {
    const wanted = entry.toLowerCase()
    if (wanted === '*') return true
    return wanted.startsWith('*.') ? host.endsWith(wanted.slice(1)) && host.length > wanted.length - 1 : host === wanted
  }
  if (options.deny.some(matches)) return 'deny'
  if (options.allow.some(matches)) return 'allow'
  if (options.ask.some(matches)) return 'ask'
  return options.allow.length === 0 ? 'allow' : 'deny'
}
