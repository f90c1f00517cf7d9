import type { Client } from '../clients/client.ts'
import { isLoopbackRedirectUri } from '../clients/redirect-uri.ts'
import type { Config, ServerConfig } from '../config.ts'
import { downstreamScopes } from '../grants/scope-map.ts'
import { type Html, html } from '../lib/html.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import { type Looks, renderPage } from '../pages/page.ts'
import { say, sayScope } from '../pages/words.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import type { PendingRequest } from './pending.ts'

/** What the consent page asks. */
export interface ConsentQuestion {
  pendingId: string
  client: Client
  server: ServerConfig
  request: PendingRequest
  /** The account, where one is known. */
  account: string | undefined
  /** Asked after the sign-in, as another account came back than this browser remembers. */
  confirms: boolean
  /** Where the form goes, and the token that it carries. */
  action: string
  formToken: string
}

/** The consent page (AZ-5, AZ-7, AZ-12). Every word of the client's own passes through {@link html} and so is escaped. */
export function consentPage(config: Config, question: ConsentQuestion): string {
  const looks = looksOf(config)
  const { client, server, confirms } = question
  const values = { client: client.name, server: server.displayName, gateway: looks.name }
  const title = say(looks.texts, 'consentTitle', values)
  const body = html`<h1>${title}</h1>
<p>${say(looks.texts, confirms ? 'confirmIntro' : 'consentIntro', values)}</p>
${facts(question)}
<h2>${say(looks.texts, 'scopesTitle', values)}</h2>
${scopeList(config, looks, question)}
${warnings(question).map((warning) => html`<div class="warning" role="note"><p>${warning}</p></div>`)}
<form method="post" action="${question.action}">
<input type="hidden" name="transaction" value="${question.pendingId}">
<input type="hidden" name="token" value="${question.formToken}">
<div class="actions">
<button type="submit" name="decision" value="allow" class="primary">${say(looks.texts, 'allow', values)}</button>
<button type="submit" name="decision" value="deny">${say(looks.texts, 'deny', values)}</button>
</div>
</form>`
  return renderPage(looks, { title, body, host: hostOf(config) })
}

/** Who asks, where the answer goes, for whom. */
function facts({ client, request, account }: ConsentQuestion): Html {
  return html`<dl>
<div><dt>App</dt><dd><strong>${client.name}</strong><small>${origin(client)}</small></dd></div>
<div><dt>Sends you to</dt><dd><strong>${new URL(request.redirectUri).host}</strong><small><code>${request.redirectUri}</code></small></dd></div>
${account !== undefined && html`<div><dt>Account</dt><dd>${account}</dd></div>`}
</dl>`
}

/** How much the name above is worth. */
function origin(client: Client): string {
  if (client.trust === 'preregistered') return 'Registered by the operator of this gateway'
  if (client.trust === 'document') return `Published at ${new URL(client.clientId).host}`
  return 'Registered itself; its name is not verified'
}

function scopeList(config: Config, looks: Looks, { server, request }: ConsentQuestion): Html {
  const provider = server.provider === undefined ? undefined : config.providers[server.provider]
  const items = request.scopes.map((scope) => {
    const described = sayScope(looks.texts, scope)
    return described === undefined ? html`<li><code>${scope}</code></li>` : html`<li>${described} <small><code>${scope}</code></small></li>`
  })
  if (items.length === 0) items.push(html`<li>${say(looks.texts, 'noScopes', { server: server.displayName })}</li>`)
  const downstream = provider ? downstreamScopes(provider, withIncluded(config.scopeHierarchy, request.scopes)) : []
  const others = downstream.filter((scope) => !request.scopes.includes(scope))
  // The scopes asked for at the provider are shown as well, wherever they go by other names (AZ-7).
  return html`<ul class="scopes">${items}</ul>${
    provider && others.length > 0 && html`<p class="quiet">At ${hostOfIssuer(provider.issuer)}: <code>${downstream.join(' ')}</code></p>`
  }`
}

/** No setting removes these (AZ-12). */
function warnings({ client, request }: ConsentQuestion): string[] {
  if (!client.redirectUris.every(isLoopbackRedirectUri) && !isLoopbackRedirectUri(request.redirectUri)) return []
  return ['This app runs on your computer, where any program can use its name. Allow this only if you have just started to connect it yourself.']
}

function hostOfIssuer(issuer: string): string {
  return URL.parse(issuer)?.host ?? issuer
}
