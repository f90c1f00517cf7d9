interface Cookie {
  name: string
  value: string
  host: string
  path: string
  expiresAt: number
  attributes: string
}

/** Cookies as a browser keeps them: by host, not by port (RFC 6265 §8.5), so that servers on one loopback address see each other's. */
export class CookieJar {
  private cookies: Cookie[] = []

  /** Takes the `Set-Cookie` headers of an answer. */
  store(url: URL, headers: Headers): void {
    for (const line of headers.getSetCookie()) {
      const [pair = '', ...attributes] = line.split(/;\s*/)
      const equals = pair.indexOf('=')
      const name = pair.slice(0, equals)
      const read = (wanted: string) => attributes.find((attribute) => attribute.toLowerCase().startsWith(`${wanted}=`))?.slice(wanted.length + 1)
      const path = read('path') ?? (url.pathname.replace(/\/[^/]*$/, '') || '/')
      const maxAge = read('max-age')
      const expires = read('expires')
      const expiresAt = maxAge !== undefined ? Date.now() + Number(maxAge) * 1000 : expires !== undefined ? Date.parse(expires) : Number.POSITIVE_INFINITY
      this.cookies = this.cookies.filter((cookie) => !(cookie.name === name && cookie.host === url.hostname && cookie.path === path))
      if (expiresAt > Date.now())
        this.cookies.push({ name, value: pair.slice(equals + 1), host: url.hostname, path, expiresAt, attributes: attributes.join('; ') })
    }
  }

  /** The `Cookie` header for a request, undefined when there is nothing to send. */
  header(url: URL): string | undefined {
    const onPath = (path: string) => url.pathname === path || url.pathname.startsWith(path.endsWith('/') ? path : `${path}/`)
    const sent = this.cookies.filter((cookie) => cookie.host === url.hostname && onPath(cookie.path) && cookie.expiresAt > Date.now())
    return sent.length === 0 ? undefined : sent.map((cookie) => `${cookie.name}=${cookie.value}`).join('; ')
  }

  /** Everything stored, for assertions. */
  all(): readonly Readonly<Cookie>[] {
    return this.cookies
  }

  /** Forgets all cookies whose name matches. */
  forget(name: RegExp): void {
    this.cookies = this.cookies.filter((cookie) => !name.test(cookie.name))
  }
}
