import { html } from '../lib/html.ts'
import { icons } from './icons.ts'
import { type Looks, renderPage } from './page.ts'

/** A page that says one thing. */
export interface Message {
  title: string
  /** One paragraph each. */
  text: string[]
  /** A way on. */
  link?: { href: string; label: string }
  /** Id under which the operator finds this in the log. */
  reference?: string
}

/** A page that tells the reader what happened and what to do now. */
export function messagePage(looks: Looks, host: string, message: Message): string {
  const body = html`<div class="message"><div class="badge">${icons.notice}</div>
<h1>${message.title}</h1>
${message.text.map((paragraph) => html`<p>${paragraph}</p>`)}
${message.reference !== undefined && html`<p class="quiet">Reference: <code>${message.reference}</code></p>`}
${message.link && html`<div class="actions"><a class="button primary" href="${message.link.href}">${message.link.label}</a></div>`}</div>`
  return renderPage(looks, { title: message.title, body, host })
}

/** A page that goes on by itself at once and shows the way as a link too, for browsers that do not. */
export function goOnPage(looks: Looks, host: string, goOn: { href: string; title: string; label: string }): string {
  const body = html`<div class="message"><h1>${goOn.title}</h1>
<p>If nothing happens, use the link.</p>
<div class="actions"><a class="button primary" href="${goOn.href}">${goOn.label}</a></div></div>`
  return renderPage(looks, { title: goOn.title, body, goOn: goOn.href, host })
}
