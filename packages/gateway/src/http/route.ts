import type { IncomingMessage } from 'node:http'

type MountedRequest = IncomingMessage & { originalUrl?: string }

/** The target of a request, split at its question mark; nothing in it is decoded or normalised. */
export interface RequestTarget {
  pathname: string
  /** With its leading `?`, or ''. */
  search: string
}

/**
 * What the client asked for, as it was before any mount prefix was taken off (Express keeps that in `originalUrl`).
 *
 * @returns raw path and query; the host is never part of it, since nothing here may rest on `Host` (AS-11)
 */
export function requestUrl(req: IncomingMessage): RequestTarget {
  return split((req as MountedRequest).originalUrl ?? req.url ?? '/')
}

/** The raw query string of a request, without `?`; '' when there is none. */
export function queryOf(req: IncomingMessage): string {
  return requestUrl(req).search.slice(1)
}

/**
 * Whether a request is for one path of the gateway. It matches when the whole path is `basePath + path`, and also when what is left of it here is `path`: below
 * an Express mount prefix or behind a reverse proxy that strips one. One trailing slash is tolerated (a user may have typed it); nothing is decoded, so two spellings never
 * mean one route.
 *
 * @param basePath path part of `publicUrl`, '' at the root
 * @param path with a leading and without a trailing slash
 */
export function pathMatches(req: IncomingMessage, basePath: string, path: string): boolean {
  return isPath(requestUrl(req).pathname, basePath + path) || isPath(split(req.url ?? '/').pathname, path)
}

function isPath(pathname: string, path: string): boolean {
  return pathname === path || pathname === `${path}/`
}

function split(target: string): RequestTarget {
  const local = target.startsWith('/') ? target : withoutAuthority(target)
  const end = local.indexOf('#')
  const whole = end < 0 ? local : local.slice(0, end)
  const mark = whole.indexOf('?')
  return mark < 0 ? { pathname: whole, search: '' } : { pathname: whole.slice(0, mark), search: whole.slice(mark) }
}

/** RFC 9112 §3.2.2: a server accepts the absolute form of a request target. */
function withoutAuthority(target: string): string {
  const rest = target.replace(/^https?:\/\/[^/?#]*/i, '')
  return rest.startsWith('/') ? rest : `/${rest}`
}
