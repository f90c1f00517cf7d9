import { CookieJar } from './cookie-jar.ts'
import { decodeEntities, formsOf, type HtmlForm, visibleText } from './html-form.ts'

const maxRedirects = 20

/** Where a browser stands after it followed redirects. */
export interface Page {
  url: URL
  status: number
  headers: Headers
  html: string
  text: string
  forms: HtmlForm[]
  /** Set instead of a page when the next redirect went to the client: the browser does not go there. */
  redirect: URL | undefined
  /** Every URL on the way, the last one included. */
  trail: URL[]
}

/** What a user does at the pages of one authorization. */
export interface Decisions {
  user: string
  /** `allow` when left out. */
  consent?: 'allow' | 'deny'
  /** Names of the consent page's check boxes that the user switches off. */
  unticked?: string[]
}

/** A tiny browser: cookies, redirects (a page's own refresh among them) followed by hand, plain HTML forms. It stops at a redirect that leads to the client. */
export class Browser {
  readonly cookies: CookieJar
  private readonly isClient: (url: URL) => boolean
  private readonly reach: (url: URL) => URL

  /**
   * @param client the client's redirect URI, or a test for it
   * @param options `cookies` of another browser, to go on as that one; `reach` says where a URL is really served, as for a public https URL whose proxy the test leaves out
   */
  constructor(client: string | ((url: URL) => boolean), options: { cookies?: CookieJar; reach?: (url: URL) => URL } = {}) {
    this.isClient = typeof client === 'string' ? (url) => url.href.split('?')[0] === client : client
    this.cookies = options.cookies ?? new CookieJar()
    this.reach = options.reach ?? ((url) => url)
  }

  /** The same browser, which stops at the first redirect that the test is true for. */
  stoppingAt(isStop: (url: URL) => boolean): Browser {
    return new Browser(isStop, { cookies: this.cookies, reach: this.reach })
  }

  /** The same browser, which stops before the first URL that begins so: what leads there is `redirect` of its page, to be held, read or changed. */
  stoppingBefore(beginning: string): Browser {
    return this.stoppingAt((url) => url.href.startsWith(beginning))
  }

  /** Opens a URL and follows redirects up to a page or the client. */
  async open(url: string | URL, init: { method?: string; body?: URLSearchParams | string; headers?: Record<string, string> } = {}): Promise<Page> {
    let next = new URL(url)
    let request: { method?: string; body?: URLSearchParams | string; headers?: Record<string, string> } = init
    const trail: URL[] = []
    for (let hop = 0; hop < maxRedirects; hop++) {
      trail.push(next)
      const cookie = this.cookies.header(next)
      const headers = { accept: 'text/html,*/*;q=0.8', ...(cookie === undefined ? {} : { cookie }), ...request.headers }
      const response = await fetch(this.reach(next), { ...request, headers, redirect: 'manual' })
      this.cookies.store(next, response.headers)
      const location = response.headers.get('location')
      const redirects = location !== null && response.status >= 300 && response.status <= 399
      const html = redirects ? '' : await response.text()
      const goOn = redirects ? location : goOnOf(html)
      if (goOn === undefined) {
        return {
          url: next,
          status: response.status,
          headers: response.headers,
          html,
          text: visibleText(html),
          forms: formsOf(html, next),
          redirect: undefined,
          trail,
        }
      }
      if (redirects) await response.body?.cancel()
      const target = new URL(goOn, next)
      if (this.isClient(target))
        return { url: next, status: response.status, headers: response.headers, html: '', text: '', forms: [], redirect: target, trail }
      request = response.status === 307 || response.status === 308 ? request : {}
      next = target
    }
    throw new Error(`more than ${maxRedirects} redirects: ${trail.map((step) => step.href).join(' → ')}`)
  }

  /** Submits a form of a page as a click on one of its buttons would, with `Origin` and `Referer` as Chromium sends them. */
  async submit(page: Page, fields: Record<string, string> = {}, button?: (label: string, name: string, value: string) => boolean): Promise<Page> {
    const matches = (form: HtmlForm) => form.buttons.some((each) => button?.(each.label, each.name, each.value) ?? true)
    const form = page.forms.find(matches)
    if (form === undefined) throw new Error(`no such form on ${page.url.href} (${page.status}): ${page.text.slice(0, 300)}`)
    const clicked = form.buttons.find((each) => button?.(each.label, each.name, each.value) ?? true)
    const body = new URLSearchParams(form.fields.map(([name, value]): [string, string] => [name, fields[name] ?? value]))
    for (const [name, value] of Object.entries(fields)) if (!body.has(name)) body.append(name, value)
    if (clicked !== undefined && clicked.name !== '') body.append(clicked.name, clicked.value)
    if (form.method === 'POST') return this.open(form.action, { method: 'POST', body, headers: { origin: page.url.origin } })
    const url = new URL(form.action)
    url.search = body.toString()
    return this.open(url)
  }

  /** Goes through consent, login and the downstream's own pages until the client is reached or a page has no way on. */
  async authorize(url: string | URL, decisions: Decisions): Promise<Page> {
    let page = await this.open(url)
    for (let step = 0; step < 8 && page.redirect === undefined && page.status < 400 && page.forms.length > 0; step++) page = await this.answer(page, decisions)
    return page
  }

  /** Answers one page: a login form gets the user's name, any other the decision. */
  async answer(page: Page, decisions: Decisions): Promise<Page> {
    const login = page.forms.find((form) => form.fields.some(([name]) => /^(login|username|user)$/.test(name)))
    if (login !== undefined) {
      const name = login.fields.map(([field]) => field).find((field) => /^(login|username|user)$/.test(field)) ?? 'login'
      return this.submit({ ...page, forms: [login] }, { [name]: decisions.user, password: 'correct horse' })
    }
    const denies = /deny|cancel|refuse|reject|no\b/i
    const wanted = decisions.consent === 'deny' ? denies : /allow|approve|continue|authori[sz]e|accept|yes/i
    const forms = page.forms.map((form) => ({ ...form, fields: form.fields.filter(([name]) => decisions.unticked?.includes(name) !== true) }))
    return this.submit(
      { ...page, forms },
      {},
      (label, _name, value) => wanted.test(value) || (wanted.test(label) && !(decisions.consent !== 'deny' && denies.test(label))),
    )
  }
}

/** Where a page sends its reader at once, as the gateway does after a form: CSP `form-action` would hold a redirect to the client (clients.md 24). */
function goOnOf(html: string): string | undefined {
  const found = /<meta http-equiv="refresh" content="0;url=([^"]+)">/i.exec(html)?.[1]
  return found === undefined ? undefined : decodeEntities(found)
}

/** The parameters of the redirect to the client. Fails, with the page's words, when the browser did not get there. */
export function callbackOf(page: Page): URLSearchParams {
  if (page.redirect === undefined) throw new Error(`the browser did not reach the client: ${page.status} ${page.url.href}: ${page.text.slice(0, 500)}`)
  return page.redirect.searchParams
}
