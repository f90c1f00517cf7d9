import type { IncomingMessage, ServerResponse } from 'node:http'

/** One cookie to set. */
export interface Cookie {
  /** As {@link cookieName} gives it. */
  name: string
  /** Characters of a cookie value only (RFC 6265 §4.1.1): base64url fits. */
  value: string
  /** 0 deletes the cookie. */
  maxAgeSeconds: number
  /** False only on a loopback http `publicUrl`. */
  secure: boolean
}

/**
 * The name a cookie goes by: with the `__Host-` prefix (AZ-9), except on a loopback http `publicUrl`, where browsers would refuse it.
 *
 * @param config its `loopback` decides
 */
export function cookieName(config: { loopback: boolean }, base: string): string {
  return config.loopback ? base : `__Host-${base}`
}

/**
 * Value of a cookie of the request; undefined also when several of that name say different things. Ours are host-only and so come once: another was planted from a neighbouring
 * host, and which one comes first is its owner's choice (RFC 6265 §4.2.2: servers should not rely on the order).
 */
export function readCookie(req: IncomingMessage, name: string): string | undefined {
  const found = new Set<string>()
  for (const part of (req.headers.cookie ?? '').split(';')) {
    const equals = part.indexOf('=')
    if (equals > 0 && withoutSpace(part.slice(0, equals)) === name) found.add(withoutSpace(part.slice(equals + 1)))
  }
  return found.size === 1 ? [...found][0] : undefined
}

/*
 * Space and tab alone. `trim` would take a no-break space away as well (the byte A0), which browsers let a neighbouring host put before a name: `\xA0__Host-x` is no `__Host-` name to
 * them, and would be one here.
 */
function withoutSpace(text: string): string {
  return text.replace(/^[ \t]+|[ \t]+$/g, '')
}

/**
 * Adds a `Set-Cookie` beside those already there: host-only, `HttpOnly`, `SameSite=Lax` (so that it comes along when the provider sends the browser back), `Path=/`.
 *
 * @throws Error when name or value hold characters that a cookie cannot carry: a mistake of ours, never of a request
 */
export function setCookie(res: ServerResponse, cookie: Cookie): void {
  if (!/^[\w-]+$/.test(cookie.name) || !/^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*$/.test(cookie.value))
    throw new Error(`The cookie ${cookie.name} cannot be set.`)
  const secure = cookie.secure ? '; Secure' : ''
  res.appendHeader('set-cookie', `${cookie.name}=${cookie.value}; Path=/; Max-Age=${cookie.maxAgeSeconds}; HttpOnly; SameSite=Lax${secure}`)
}
