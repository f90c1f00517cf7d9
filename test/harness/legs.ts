import type { Page } from './browser.ts'
import { pkce, type ScriptedClient } from './scripted-client.ts'

/** An authorization that waits at one of its legs, so that a test can stop it, swap it, or carry its URL into another browser. */
export interface Waiting {
  verifier: string
  page: Page
}

type Members = Record<string, string | undefined>

/** Opens the authorize URL: the client's browser then stands at the consent page, or wherever else it was sent. */
export async function atConsent(client: ScriptedClient, members: Members = {}): Promise<Waiting> {
  const { verifier, challenge } = pkce()
  return { verifier, page: await client.browser.open(client.authorizeUrl(challenge, members)) }
}

/** The same, consent given: the browser stands at the provider's login page. */
export async function atLogin(client: ScriptedClient, members: Members = {}): Promise<Waiting> {
  const { verifier, page } = await atConsent(client, members)
  return { verifier, page: await client.browser.answer(page, { user: 'nobody yet' }) }
}

/** The same, signed in: the browser was sent to the gateway's callback and has not opened it. */
export async function atCallback(client: ScriptedClient, user: string, members: Members = {}): Promise<{ verifier: string; callback: URL }> {
  const { verifier, challenge } = pkce()
  const before = client.browser.stoppingAt((url) => url.href.startsWith(`${client.issuer}/callback`))
  const { redirect, url, text } = await before.authorize(client.authorizeUrl(challenge, members), { user })
  if (redirect === undefined) throw new Error(`the browser did not get to the callback: ${url.href}: ${text.slice(0, 300)}`)
  return { verifier, callback: redirect }
}
