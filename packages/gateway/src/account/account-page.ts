import type { Connection } from '../connections/connection.ts'
import type { Deps } from '../deps.ts'
import { type Html, html } from '../lib/html.ts'
import { renderPage } from '../pages/page.ts'
import { say } from '../pages/words.ts'
import { formToken } from '../visitor/form-guard.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import type { AccountUser } from './account-user.ts'

type PageDeps = Pick<Deps, 'config' | 'keys'>

/** The list of a user's connections, the last used first, each with a form that ends it. */
export function accountPage(deps: PageDeps, user: AccountUser, connections: Connection[]): string {
  const looks = looksOf(deps.config)
  const values = { gateway: looks.name }
  const title = say(looks.texts, 'accountTitle', values)
  const sorted = [...connections].sort((a, b) => b.lastUsedAt - a.lastUsedAt)
  const list = html`<ul class="connections">${sorted.map((connection) => entry(deps, user, connection))}</ul>`
  const body = html`<h1>${title}</h1>
<p class="quiet">${user.names.join(', ')}</p>
<p>${say(looks.texts, sorted.length === 0 ? 'accountEmpty' : 'accountIntro', values)}</p>
${sorted.length > 0 && list}
${user.byCookie && forgetForm(deps, user)}`
  return renderPage(looks, { title, body, host: hostOf(deps.config) })
}

function entry(deps: PageDeps, user: AccountUser, connection: Connection): Html {
  const { config } = deps
  const server = config.servers[connection.server]?.displayName ?? connection.server
  return html`<li><div><strong>${connection.clientName}</strong>
<small>${server}${connection.scopes.length > 0 && html` · ${connection.scopes.join(', ')}`}</small>
<small>Connected ${day(connection.createdAt)}, last used ${day(connection.lastUsedAt)}</small></div>
<form method="post" action="${config.issuer}${config.endpoints.account}">
<input type="hidden" name="connection" value="${connection.id}">
<input type="hidden" name="token" value="${formToken(deps, 'account', user.key, connection.id)}">
<button type="submit" name="action" value="disconnect" class="small danger" aria-label="Disconnect ${connection.clientName} from ${server}">${say(
    config.consent.texts,
    'disconnect',
  )}</button>
</form></li>`
}

function forgetForm(deps: PageDeps, user: AccountUser): Html {
  return html`<form method="post" action="${deps.config.issuer}${deps.config.endpoints.account}">
<input type="hidden" name="token" value="${formToken(deps, 'account', user.key, '')}">
<div class="actions"><button type="submit" name="action" value="forget" class="small">Not you? Forget this account in this browser</button></div>
</form>`
}

function day(time: number): Html {
  const iso = new Date(time).toISOString()
  const words = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' }).format(time)
  return html`<time datetime="${iso}">${words}</time>`
}
