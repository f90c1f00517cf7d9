import type { ServerResponse } from 'node:http'
import type { Config } from '../config.ts'
import type { Connection } from '../connections/connection.ts'
import { html } from '../lib/html.ts'
import { icons } from '../pages/icons.ts'
import { messagePage } from '../pages/message-page.ts'
import { renderPage } from '../pages/page.ts'
import { fill, reconnectWarning, say, type Word, type WordValues } from '../pages/words.ts'
import { hostOf, looksOf } from '../visitor/looks.ts'
import { sendFlowPage } from './flow-page.ts'

type PageConfig = Pick<Config, 'consent' | 'origin' | 'servers'>

/** What the page of a link asks. */
export interface ReconnectQuestion {
  linkId: string
  connection: Connection
  /** The account, only where this browser is known to be its user's: a link tells nobody whose it is (EL-7). */
  account: string | undefined
  action: string
  formToken: string
}

/** What the pages of a link say besides the question: status, title, text. */
const outcomes = {
  reconnected: [200, 'reconnectedTitle', 'reconnectedText'],
  over: [410, 'reconnectOverTitle', 'reconnectOverText'],
  denied: [403, 'reconnectDeniedTitle', 'reconnectDeniedText'],
  otherAccount: [403, 'reconnectOtherAccountTitle', 'reconnectOtherAccountText'],
  foreign: [403, 'reconnectOtherAccountTitle', 'reconnectForeignText'],
} as const satisfies Record<string, [status: number, title: Word, text: Word]>

/** How a visit to a link ended. */
export type ReconnectOutcome = keyof typeof outcomes

/** The page of a link: which app asks, why, and the way to sign in. It never goes on by itself. */
export function reconnectPage(config: PageConfig, question: ReconnectQuestion): string {
  const looks = looksOf(config)
  const { texts } = looks
  const values = valuesOf(config, question.connection)
  const title = say(texts, 'reconnectTitle', values)
  const body = html`<form method="post" action="${question.action}" aria-labelledby="question">
<input type="hidden" name="link" value="${question.linkId}">
<input type="hidden" name="token" value="${question.formToken}">
<h1 id="question">${title}</h1>
<p class="lead">${say(texts, 'reconnectIntro', values)}</p>
${question.account !== undefined && html`<dl><div><dt>Account</dt><dd>${question.account}</dd></div></dl>`}
<p>${say(texts, 'reconnectAccount', values)}</p>
<div class="warning" role="note">${icons.warning}<p>${fill(reconnectWarning, values)}</p></div>
<div class="actions">
<button type="submit" name="account" value="same" class="primary">${say(texts, 'reconnect', values)}</button>
<button type="submit" name="account" value="other">${say(texts, 'reconnectOther', values)}</button>
</div>
</form>`
  return renderPage(looks, { title, body, host: hostOf(config) })
}

/** Answers with the end of a visit. `link`: where it can be tried again. */
export function sendOutcome(res: ServerResponse, config: PageConfig, outcome: ReconnectOutcome, connection?: Connection, link?: string): void {
  const [status, title, text] = outcomes[outcome]
  const looks = looksOf(config)
  const values = connection ? valuesOf(config, connection) : {}
  const again = link === undefined ? {} : { link: { href: link, label: say(looks.texts, 'reconnect', values) } }
  const message = { title: say(looks.texts, title, values), text: [say(looks.texts, text, values)], ...again }
  sendFlowPage(res, status, messagePage(looks, hostOf(config), message))
}

function valuesOf({ consent, servers }: PageConfig, { clientName, server }: Connection): WordValues {
  return { client: clientName, server: servers[server]?.displayName ?? server, gateway: consent.name }
}
