import { CookieJar } from '../../../../test/harness/cookie-jar.ts'
import { decodeEntities, formsOf, type HtmlForm, visibleText } from '../../../../test/harness/html-form.ts'

/** Where a browser stands. */
export interface Page {
  url: URL
  status: number
  headers: Headers
  html: string
  text: string
  forms: HtmlForm[]
  /** The URL that led to the client, where the browser of the tests stops. */
  toClient: URL | undefined
  trail: URL[]
}

/** The client's redirect URI; any port of it. */
export const clientRedirect = 'http://127.0.0.1:7999/callback'

interface Request {
  method?: string
  body?: URLSearchParams
  headers?: Record<string, string>
}

/** A tiny browser: a cookie jar, redirects by `Location` and by `<meta http-equiv="refresh">`, plain forms. It stops before a client's redirect URI, or at `stopAt`. */
export class Browser {
  readonly cookies = new CookieJar()
  stopAt: string | undefined
  private readonly clients: string[]

  constructor(...clients: string[]) {
    this.clients = [clientRedirect, ...clients]
  }

  async open(url: string | URL, request: Request = {}): Promise<Page> {
    let next = new URL(url)
    let now = request
    const trail: URL[] = []
    while (trail.length < 20) {
      trail.push(next)
      const cookie = this.cookies.header(next)
      const headers = { accept: 'text/html', ...(cookie === undefined ? {} : { cookie }), ...now.headers }
      const response = await fetch(next, { ...now, headers, redirect: 'manual' })
      this.cookies.store(next, response.headers)
      const html = await response.text()
      const page = { url: next, status: response.status, headers: response.headers, html, text: visibleText(html), forms: formsOf(html, next), trail }
      const target = targetOf(response, html)
      if (target === undefined) return { ...page, toClient: undefined }
      next = new URL(target, next)
      if (this.stops(next)) return { ...page, toClient: next }
      now = {}
    }
    throw new Error(`no end of redirects: ${trail.join(' ')}`)
  }

  /** Presses the button of a page whose value or label this is, or the first. */
  submit(page: Page, button?: string, fields: Record<string, string> = {}, headers: Record<string, string> = {}): Promise<Page> {
    for (const form of page.forms) {
      const clicked = form.buttons.find(({ value, label }) => button === undefined || value === button || label === button)
      if (!clicked) continue
      const body = new URLSearchParams(form.fields.map(([name, value]): [string, string] => [name, fields[name] ?? value]))
      for (const [name, value] of Object.entries(fields)) if (!body.has(name)) body.set(name, value)
      if (clicked.name !== '') body.append(clicked.name, clicked.value)
      // What Chromium sends from a page with `Referrer-Policy: no-referrer`.
      return this.open(form.action, { method: 'POST', body, headers: { origin: 'null', 'sec-fetch-site': 'same-origin', ...headers } })
    }
    throw new Error(`no button ${button} at ${page.url} (${page.status}): ${page.text.slice(0, 400)}`)
  }

  /** Logs in at the provider's own form. */
  login(page: Page, user: string): Promise<Page> {
    return this.submit(page, undefined, { login: user, password: 'any' })
  }

  /** Consents and logs in: to the client. */
  async authorize(url: string | URL, user: string): Promise<Page> {
    let page = await this.open(url)
    for (let step = 0; step < 6 && page.toClient === undefined && page.status < 400; step++) {
      page = page.forms.some((form) => form.fields.some(([name]) => name === 'login')) ? await this.login(page, user) : await this.submit(page, 'allow')
    }
    return page
  }

  private stops(url: URL): boolean {
    const bare = `${url.origin}${url.pathname}`
    return this.stopAt === bare || this.clients.includes(bare)
  }
}

function targetOf(response: Response, html: string): string | undefined {
  if (response.status >= 300 && response.status < 400) return response.headers.get('location') ?? undefined
  const refresh = /<meta http-equiv="refresh" content="0;url=([^"]*)">/.exec(html)?.[1]
  return refresh === undefined ? undefined : decodeEntities(refresh)
}
