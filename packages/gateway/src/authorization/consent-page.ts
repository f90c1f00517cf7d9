import type { Client } from '../clients/client.ts'
import { type DocumentOptions, trustInHost } from '../clients/document-url.ts'
import { isLoopbackRedirectUri } from '../clients/redirect-uri.ts'
import type { Config, ConsentView, ServerConfig } from '../config.ts'
import { downstreamScopes } from '../grants/scope-map.ts'
import { escapeHtml, type Html, html } from '../lib/html.ts'
import { withIncluded } from '../lib/scope-hierarchy.ts'
import { composeBody, type PagePart, partMarkers } from '../pages/custom-body.ts'
import { icons } from '../pages/icons.ts'
import { monogram } from '../pages/monogram.ts'
import { type Looks, renderPage } from '../pages/page.ts'
import { say, sayScope, type WordValues } from '../pages/words.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import type { FrontDeps } from './front-deps.ts'
import type { PendingRequest } from './pending.ts'
import { scopeChoices } from './scope-choice.ts'

/** What the consent page asks. */
export interface ConsentQuestion {
  /** What names the transaction. */
  transaction: string
  client: Client
  server: ServerConfig
  request: PendingRequest
  /** The account, where one is known. */
  account: string | undefined
  /** Asked after the sign-in, as another account came back than this browser remembers. */
  confirms: boolean
  /** Where our copy of the client's logo stands. */
  logo: string | undefined
  /** Where the form goes, and the token that it carries. */
  action: string
  formToken: string
}

type PageDeps = Pick<FrontDeps, 'config' | 'log'>

/**
 * The consent page (AZ-5, AZ-7, AZ-12). Every word of the client's own passes through {@link html} and so is escaped. A team's own `consent.render` stands around the parts, which are
 * made here whatever it does.
 */
export async function consentPage(deps: PageDeps, requestId: string, question: ConsentQuestion): Promise<string> {
  const { config } = deps
  const looks = looksOf(config)
  const { client, server } = question
  const values = { client: client.name, server: server.displayName, gateway: looks.name }
  const parts: Record<PagePart, Html> = {
    title: title(looks, question, values),
    facts: facts(question),
    scopes: scopeList(config, looks, question, values),
    warnings: html`${warnings(config, question).map((warning) => html`<div class="warning" role="note">${icons.warning}<p>${warning}</p></div>`)}`,
    actions: html`<div class="actions">
<button type="submit" name="decision" value="allow" class="primary">${say(looks.texts, 'allow', values)}</button>
<button type="submit" name="decision" value="deny">${say(looks.texts, 'deny', values)}</button>
</div>`,
  }
  const inner = (await customBody(deps, requestId, question, parts)) ?? html`${Object.values(parts)}`
  const body = html`<form method="post" action="${question.action}" aria-labelledby="question">
<input type="hidden" name="transaction" value="${question.transaction}">
<input type="hidden" name="token" value="${question.formToken}">
${inner}
</form>`
  return renderPage(looks, { title: say(looks.texts, 'consentTitle', values), body, host: hostOf(config) })
}

/** What the team's hook makes of the page; undefined when there is none or its result cannot be shown, which the log then says. */
async function customBody(deps: PageDeps, requestId: string, question: ConsentQuestion, parts: Record<PagePart, Html>): Promise<Html | undefined> {
  const { config, log } = deps
  if (!config.consent.render) return undefined
  try {
    return composeBody(await config.consent.render(viewOf(config, question)), parts)
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    log.write({ event: 'gateway.error', level: 'error', message: 'consent.render failed: the own page is shown instead', requestId, reason })
    return undefined
  }
}

function viewOf(config: Config, { client, server, request, account }: ConsentQuestion): ConsentView {
  const host = client.trust === 'document' ? new URL(client.clientId).host : undefined
  const scopes = scopeChoices(config, server, request).map(({ scope, field }) => ({
    name: scope,
    description: sayScope(config.consent.texts, scope),
    required: field === undefined,
  }))
  return {
    client: { clientId: client.clientId, name: client.name, trust: client.trust, host },
    server: { id: server.id, name: server.displayName },
    account,
    redirectHost: new URL(request.redirectUri).host,
    scopes,
    parts: { ...partMarkers },
    escapeHtml,
  }
}

/** Who wants what of whom, in pictures and in words. */
function title(looks: Looks, { client, server, confirms, logo }: ConsentQuestion, values: WordValues): Html {
  const ofApp = logo !== undefined && html`<img src="${logo}" alt="">`
  const ofServer = looks.logo === undefined ? monogram(server.displayName) : html`<img src="${looks.logo}" alt="">`
  return html`<div class="parties" aria-hidden="true"><span class="avatar">${monogram(client.name)}${ofApp}</span>${icons.link}<span class="avatar${looks.logo === undefined ? ' own' : ''}">${ofServer}</span></div>
<h1 id="question">${say(looks.texts, 'consentTitle', values)}</h1>
<p class="lead">${say(looks.texts, confirms ? 'confirmIntro' : 'consentIntro', values)}</p>
`
}

/** Who asks, where the answer goes, for whom. */
function facts({ client, request, account }: ConsentQuestion): Html {
  return html`<dl>
<div><dt>App</dt><dd><strong>${client.name}</strong><small>${origin(client)}</small></dd></div>
<div><dt>Sends you to</dt><dd><strong>${new URL(request.redirectUri).host}</strong><small><code>${request.redirectUri}</code></small></dd></div>
${account !== undefined && html`<div><dt>Account</dt><dd>${account}</dd></div>`}
</dl>
`
}

/** How much the name above is worth. */
function origin(client: Client): string {
  if (client.trust === 'preregistered') return 'Registered by the operator of this gateway'
  if (client.trust === 'document') return `Published at ${new URL(client.clientId).host}`
  return 'Registered itself; its name is not verified'
}

function scopeList(config: Config, looks: Looks, { server, request }: ConsentQuestion, values: WordValues): Html {
  const provider = server.provider === undefined ? undefined : config.providers[server.provider]
  const choices = scopeChoices(config, server, request)
  const isChoice = choices.some(({ field }) => field !== undefined)
  const items = choices.map(({ scope, field }) => {
    const described = sayScope(looks.texts, scope)
    const words = html`<span>${described ?? html`<code>${scope}</code>`}${described !== undefined && html` <small><code>${scope}</code></small>`}</span>`
    if (field !== undefined) return html`<li><label><input type="checkbox" name="${field}" value="on" checked>${words}</label></li>`
    return html`<li><div>${icons.check}${words}${isChoice && html`<small class="tag">${say(looks.texts, 'requiredScope')}</small>`}</div></li>`
  })
  if (items.length === 0) items.push(html`<li><div>${icons.check}<span>${say(looks.texts, 'noScopes', values)}</span></div></li>`)
  const downstream = provider ? downstreamScopes(provider, withIncluded(config.scopeHierarchy, request.scopes)) : []
  const others = downstream.filter((scope) => !request.scopes.includes(scope))
  // The scopes asked for at the provider are shown as well, wherever they go by other names (AZ-7).
  return html`<fieldset><legend>${say(looks.texts, 'scopesTitle', values)}</legend>
${isChoice && html`<p class="quiet">${say(looks.texts, 'chooseScopes', values)}</p>`}
<ul class="scopes">${items}</ul>
${provider && others.length > 0 && html`<p class="quiet">At ${hostOfIssuer(provider.issuer)}: <code>${downstream.join(' ')}</code></p>`}</fieldset>
`
}

/** No setting removes these (AZ-12, CR-17). */
function warnings(config: Config, { client, request }: ConsentQuestion): string[] {
  const found: string[] = []
  const { metadataDocuments } = config.clients
  if (client.trust === 'document' && metadataDocuments !== false && isUnknownHost(client, metadataDocuments)) {
    const { host } = new URL(client.clientId)
    found.push(`This app is published at ${host}, which nobody here has checked. Allow it only if you know ${host} and trust it.`)
  }
  if (client.redirectUris.every(isLoopbackRedirectUri) || isLoopbackRedirectUri(request.redirectUri)) {
    found.push('This app runs on your computer, where any program can use its name. Allow this only if you have just started to connect it yourself.')
  }
  return found
}

function isUnknownHost(client: Client, options: DocumentOptions): boolean {
  return trustInHost(new URL(client.clientId).hostname, options) === 'ask'
}

function hostOfIssuer(issuer: string): string {
  return URL.parse(issuer)?.host ?? issuer
}
