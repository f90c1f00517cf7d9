/** A form of a page, as a browser would submit it. */
export interface TestForm {
  /** The page that it stands on. */
  page: URL
  action: URL
  method: 'GET' | 'POST'
  /** Values of its named fields, hidden ones included; submit buttons are not among them. */
  fields: Record<string, string>
  /** Its submit buttons. */
  buttons: { name: string; value: string; label: string }[]
}

/** Values for fields, and the name and value of the button that is pressed. */
export type FormFiller = (form: TestForm) => Record<string, string> | Promise<Record<string, string>>

/** The pages of an authorization as nobody sees them: cookies, redirects, plain HTML forms. It runs no script. */
export interface TestBrowser {
  /**
   * Opens a URL and answers each form on the way, until a redirect leads to `until`.
   *
   * @throws Error with the words of the page from which there is no way on
   */
  walk(url: URL, until: string, fill: FormFiller): Promise<URL>
}

const longestWalk = 20

/** Creates a {@link TestBrowser} with no cookies. */
export function createTestBrowser(): TestBrowser {
  // By host and not by port, as browsers keep them (RFC 6265 §8.5).
  const cookies = new Map<string, Map<string, string>>()

  const send = async (url: URL, init: RequestInit): Promise<Response> => {
    const jar = cookies.get(url.hostname) ?? new Map<string, string>()
    const cookie = [...jar].map(([name, value]) => `${name}=${value}`).join('; ')
    const headers = { accept: 'text/html', ...(init.headers as Record<string, string>), ...(cookie === '' ? {} : { cookie }) }
    const response = await fetch(url, { ...init, headers, redirect: 'manual' })
    for (const line of response.headers.getSetCookie()) {
      const [, name = '', value = '', attributes = ''] = /^([^=]+)=([^;]*)(.*)$/s.exec(line) ?? []
      if (value === '' || /;\s*max-age=0/i.test(attributes)) jar.delete(name)
      else jar.set(name, value)
    }
    cookies.set(url.hostname, jar)
    return response
  }

  return {
    async walk(url, until, fill) {
      let next: [url: URL, init: RequestInit] = [url, {}]
      for (let step = 0; step < longestWalk; step++) {
        const [at, init] = next
        const response = await send(at, init)
        const html = await response.text()
        const redirect = response.status >= 300 && response.status < 400 ? response.headers.get('location') : null
        const onward = redirect ?? (response.ok ? refreshOf(html) : undefined)
        if (onward !== undefined) {
          const target = new URL(onward, at)
          if (target.href.split('?')[0] === until) return target
          next = [target, {}]
          continue
        }
        const form = formOf(html, at)
        if (!response.ok || !form) throw new Error(`no way on from ${at.origin}${at.pathname} (${response.status}): ${wordsOf(html)}`)
        next = submission(form, { ...form.fields, ...(await fill(form)) })
      }
      throw new Error(`more than ${longestWalk} pages and redirects`)
    },
  }
}

function submission({ page, action, method }: TestForm, values: Record<string, string>): [URL, RequestInit] {
  const body = new URLSearchParams(values)
  if (method === 'POST') return [action, { method, body, headers: { origin: page.origin } }]
  const url = new URL(action)
  url.search = body.toString()
  return [url, {}]
}

/* A page that sends the browser on by itself, as one must where the browser would hold a redirect after a form against the page's policy. */
function refreshOf(html: string): string | undefined {
  const found = [...html.matchAll(/<meta\b([^>]*)>/gi)]
    .map((match) => attributesOf(match[1] ?? ''))
    .find((meta) => meta['http-equiv']?.toLowerCase() === 'refresh')
  return /^\s*\d+\s*;\s*url=(.+)$/is.exec(found?.content ?? '')?.[1]
}

/* The first form of a page. It reads plain HTML as sign-in and consent pages have it; it is no HTML parser. */
function formOf(html: string, page: URL): TestForm | undefined {
  const [, tag, content = ''] = /<form\b([^>]*)>([\s\S]*?)<\/form>/i.exec(html) ?? []
  if (tag === undefined) return undefined
  const form = attributesOf(tag)
  const inputs = [...content.matchAll(/<input\b([^>]*)>/gi)].map((match) => attributesOf(match[1] ?? ''))
  const sent = inputs.filter(({ name, type = 'text', checked }) => name && type !== 'submit' && (!/^(checkbox|radio)$/.test(type) || checked !== undefined))
  const buttons = [
    ...[...content.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>/gi)].map((match) => ({ ...attributesOf(match[1] ?? ''), label: wordsOf(match[2] ?? '') })),
    ...inputs.filter(({ type }) => type === 'submit').map((input) => ({ ...input, label: input.value ?? '' })),
  ] as { name?: string; value?: string; label: string }[]
  return {
    page,
    action: new URL(form.action || page.href, page),
    method: form.method?.toLowerCase() === 'post' ? 'POST' : 'GET',
    fields: Object.fromEntries(sent.map(({ name = '', value = '' }) => [name, value])),
    buttons: buttons.map(({ name = '', value = '', label }) => ({ name, value, label })),
  }
}

function attributesOf(tag: string): Record<string, string | undefined> {
  const found = tag.matchAll(/([a-z][a-z0-9-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/gi)
  return Object.fromEntries([...found].map(([, name = '', a, b, c]) => [name.toLowerCase(), decoded(a ?? b ?? c ?? '')]))
}

function wordsOf(html: string): string {
  const shown = html.replace(/<(style|script|title)\b[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ')
  return decoded(shown).replace(/\s+/g, ' ').trim().slice(0, 500)
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" }

function decoded(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi, (whole, hex?: string, decimal?: string, name?: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    return entities[name ?? ''] ?? whole
  })
}
