import { html, Html as Markup } from '../lib/html.ts'
import { type Looks, renderPage } from './page.ts'

/** A form that goes to a client. */
export interface ClientForm {
  /** The client's redirect URI. */
  action: string
  fields: [string, string][]
}

const submitNow = 'document.forms[0].submit()'

/** A page that posts an authorization response to its client by itself, or by its button where scripts are off (OAuth 2.0 Form Post Response Mode §2). */
export function formPostPage(looks: Looks, host: string, form: ClientForm): string {
  const body = html`<div class="message"><h1>Continuing…</h1>
<p>If nothing happens, use the button.</p>
<form method="post" action="${form.action}">
${form.fields.map(([name, value]) => html`<input type="hidden" name="${name}" value="${value}">\n`)}<div class="actions"><button type="submit" class="primary">Continue</button></div>
</form></div>
<script>${new Markup(submitNow)}</script>`
  return renderPage(looks, { title: 'Continuing…', body, host })
}
