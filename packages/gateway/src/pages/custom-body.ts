import { Html } from '../lib/html.ts'

/** A piece of the consent page that the gateway makes itself. */
export type PagePart = 'title' | 'facts' | 'scopes' | 'warnings' | 'actions'

const order: PagePart[] = ['title', 'facts', 'scopes', 'warnings', 'actions']

/** What stands for each part in a team's own HTML. */
export const partMarkers: Record<PagePart, string> = {
  title: '<emcy-title></emcy-title>',
  facts: '<emcy-facts></emcy-facts>',
  scopes: '<emcy-scopes></emcy-scopes>',
  warnings: '<emcy-warnings></emcy-warnings>',
  actions: '<emcy-actions></emcy-actions>',
}

// None of these hides, replaces, moves or submits anything, whatever is inside it.
const containers = ['div', 'section', 'header', 'footer', 'article']
const others = ['p', 'h2', 'h3', 'ul', 'ol', 'li', 'span', 'strong', 'em', 'small', 'code', 'a', 'blockquote']
const empty = ['br', 'hr', 'img']
const classes = ['quiet', 'warning', 'lead', 'center']
const longest = 100_000

const attributeRules: Record<string, { on?: string; value: RegExp }> = {
  class: { value: new RegExp(`^(${classes.join('|')})( (${classes.join('|')}))*$`) },
  lang: { value: /^[a-z-]{2,20}$/i },
  href: { on: 'a', value: /^(https:\/\/|mailto:|\/(?!\/))/ },
  src: { on: 'img', value: /^(https:\/\/|data:image\/(png|jpeg|gif|webp);base64,|\/(?!\/))/ },
  alt: { on: 'img', value: /^/ },
  width: { on: 'img', value: /^\d{1,3}$/ },
  height: { on: 'img', value: /^\d{1,3}$/ },
}

/**
 * Puts the gateway's parts into a team's own HTML. That is read by a grammar so small that a browser cannot see anything else in it: elements that hide nothing, closed in the order in
 * which they were opened. Every part stands there once, in the order in which a reader has to meet them, and inside nothing but boxes: no word of the page can be left out,
 * hidden or put behind the buttons.
 *
 * @throws Error saying what is wrong with the HTML
 */
export function composeBody(given: unknown, parts: Record<PagePart, Html>): Html {
  if (typeof given !== 'string') throw new Error('consent.render must return a text of HTML')
  if (given.length > longest) throw new Error(`the HTML is longer than ${longest} characters`)
  const open: string[] = []
  const found: PagePart[] = []
  let result = ''
  let rest = given
  while (rest !== '') {
    const text = /^[^<]+/.exec(rest)?.[0]
    const part = order.find((name) => rest.startsWith(partMarkers[name]))
    if (text !== undefined) {
      result += text
      rest = rest.slice(text.length)
    } else if (part !== undefined) {
      const inside = open.find((name) => !containers.includes(name))
      if (inside !== undefined) throw new Error(`the part ${part} must not stand inside <${inside}>`)
      found.push(part)
      result += parts[part].markup
      rest = rest.slice(partMarkers[part].length)
    } else {
      const tag = readTag(rest)
      nest(open, tag)
      result += tag.text
      rest = rest.slice(tag.text.length)
    }
  }
  const unclosed = open.at(-1)
  if (unclosed !== undefined) throw new Error(`<${unclosed}> is not closed`)
  if (found.join() !== order.join()) throw new Error(`the parts must be ${order.join(', ')}, each once and in this order; found: ${found.join(', ') || 'none'}`)
  return new Html(result)
}

interface Tag {
  text: string
  name: string
  closes: boolean
}

function readTag(rest: string): Tag {
  const [text, slash, name = '', attributes = ''] = /^<(\/?)([a-z][a-z0-9]*)((?:\s+[a-z]+="[^"<>]*")*)\s*\/?>/.exec(rest) ?? []
  if (text === undefined) throw new Error(`this is no tag that can be used here: ${rest.slice(0, 60)}`)
  if (![...containers, ...others, ...empty].includes(name)) throw new Error(`<${name}> cannot be used here`)
  if (slash === '/' && attributes !== '') throw new Error(`</${name}> has attributes`)
  for (const [, attribute = '', value = ''] of attributes.matchAll(/([a-z]+)="([^"<>]*)"/g)) {
    const rule = Object.hasOwn(attributeRules, attribute) ? attributeRules[attribute] : undefined
    if (!rule || (rule.on !== undefined && rule.on !== name) || !rule.value.test(value)) throw new Error(`<${name}> cannot have ${attribute}="${value}" here`)
  }
  return { text, name, closes: slash === '/' }
}

function nest(open: string[], { name, closes }: Tag): void {
  if (empty.includes(name)) {
    if (closes) throw new Error(`</${name}> closes nothing`)
  } else if (!closes) open.push(name)
  else if (open.pop() !== name) throw new Error(`</${name}> closes another element`)
}
