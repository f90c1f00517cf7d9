/** A form of a page, as a browser would submit it. */
export interface HtmlForm {
  method: 'GET' | 'POST'
  action: URL
  /** Named controls with their present values, in document order; submit buttons are left out. */
  fields: [name: string, value: string][]
  buttons: { name: string; value: string; label: string }[]
}

const entities: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

/** Text of an attribute or text node. */
export function decodeEntities(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|([a-z]+));/gi, (whole, hex: string, decimal: string, name: string) => {
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex, 16))
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal))
    return entities[name.toLowerCase()] ?? whole
  })
}

/** Words a reader sees, whitespace collapsed. */
export function visibleText(html: string): string {
  const shown = html.replace(/<(style|script|title)\b[\s\S]*?<\/\1>/gi, ' ').replace(/<[^>]*>/g, ' ')
  return decodeEntities(shown).replace(/\s+/g, ' ').trim()
}

function attributesOf(tag: string): Map<string, string> {
  const found = tag.matchAll(/([a-z][a-z0-9-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/gi)
  return new Map([...found].map((match) => [(match[1] ?? '').toLowerCase(), decodeEntities(match[2] ?? match[3] ?? match[4] ?? '')]))
}

/** Whether a control is part of what a plain submit sends. */
function isSent(attributes: Map<string, string>): boolean {
  const type = attributes.get('type')?.toLowerCase() ?? 'text'
  if (!attributes.has('name') || attributes.has('disabled')) return false
  if (type === 'checkbox' || type === 'radio') return attributes.has('checked')
  return !['submit', 'button', 'image', 'reset', 'file'].includes(type)
}

function formOf(openTag: string, body: string, page: URL): HtmlForm {
  const attributes = attributesOf(openTag.replace(/^<form/i, ''))
  const inputs = [...body.matchAll(/<input\b([^>]*)>/gi)].map((match) => attributesOf(match[1] ?? ''))
  const buttons = [...body.matchAll(/<button\b([^>]*)>([\s\S]*?)<\/button>/gi)].map((match) => ({
    attributes: attributesOf(match[1] ?? ''),
    label: match[2] ?? '',
  }))
  return {
    method: attributes.get('method')?.toLowerCase() === 'post' ? 'POST' : 'GET',
    action: new URL(attributes.get('action') || page.href, page),
    fields: inputs.filter(isSent).map((input) => [input.get('name') ?? '', input.get('value') ?? (input.get('type') === 'checkbox' ? 'on' : '')]),
    buttons: [
      ...buttons
        .filter((button) => (button.attributes.get('type') ?? 'submit') === 'submit')
        .map((button) => ({ name: button.attributes.get('name') ?? '', value: button.attributes.get('value') ?? '', label: visibleText(button.label) })),
      ...inputs
        .filter((input) => input.get('type') === 'submit')
        .map((input) => ({ name: input.get('name') ?? '', value: input.get('value') ?? '', label: input.get('value') ?? '' })),
    ],
  }
}

/** Every form of a page. Reads plain HTML as our servers write it; it is no HTML parser. */
export function formsOf(html: string, page: URL): HtmlForm[] {
  return [...html.matchAll(/(<form\b[^>]*>)([\s\S]*?)<\/form>/gi)].map((match) => formOf(match[1] ?? '', match[2] ?? '', page))
}
