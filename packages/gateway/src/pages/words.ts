/**
 * The words of the gateway's pages that a team may replace through `consent.texts`, by key. Warnings are not among them: nothing a team configures can remove
 * one. `{client}`, `{server}` and `{gateway}` are filled in. A scope's description goes under `scope:<name>`.
 */
export const words = {
  consentTitle: '{client} wants to use {server}',
  consentIntro: 'If you allow this, {client} can act for you there until you disconnect it.',
  confirmIntro: 'You signed in as someone else than this browser remembers. Allow {client} to act for this account?',
  scopesTitle: 'It asks for',
  noScopes: 'Access to the tools of {server}',
  requiredScope: 'Required',
  chooseScopes: 'Switch off what you do not want to allow.',
  allow: 'Allow',
  deny: 'Deny',
  accountTitle: 'Connected apps',
  accountIntro: 'Through {gateway} these apps can act for you. Disconnect one to end its access at once.',
  accountEmpty: 'No app is connected.',
  disconnect: 'Disconnect',
  reconnectMessage: 'Your sign-in for {server} has ended. Sign in again, so that {client} can go on.',
  reconnectTitle: 'Sign in again for {server}',
  reconnectIntro: '{client} asked for something at {server}, and your sign-in there has ended. Once you have signed in again, {client} can go on as before.',
  reconnectAccount: 'Sign in with the account that you connected {client} with. No other is taken.',
  reconnect: 'Sign in again',
  reconnectOther: 'Sign in with another account',
  reconnectedTitle: 'You are signed in again',
  reconnectedText: 'Go back to {client} and let it try again. You can close this page.',
  reconnectOverTitle: 'This link is over',
  reconnectOverText:
    'It was good for ten minutes, or the app was disconnected. If you still need it, let your app try again: it gets a new link. You can close this page.',
  reconnectDeniedTitle: 'You were not signed in',
  reconnectDeniedText: 'Nothing was changed, and {client} still waits for you to sign in.',
  reconnectOtherAccountTitle: 'That is another account',
  reconnectOtherAccountText: 'You signed in with an account that is not the one {client} was connected with. Nothing was changed.',
  reconnectForeignText: 'Whoever is signed in here did not connect the app that sent you. Nothing was changed. You can close this page.',
} as const

/** What no team can replace: whom the page of a link warns, since anyone can be sent a link (EL-8). */
export const reconnectWarning = 'Go on only if you were using {client} yourself just now. If somebody sent you this link, close this page.'

/** Key of {@link words}. */
export type Word = keyof typeof words

/** What goes into the placeholders. */
export interface WordValues {
  client?: string
  server?: string
  gateway?: string
}

/** One text, a team's own where it gave a non-empty one. Plain text: it is escaped where it is used. */
export function say(texts: Record<string, string>, key: Word, values: WordValues = {}): string {
  return fill(texts[key] || words[key], values)
}

/** A text with its placeholders filled in. */
export function fill(text: string, values: WordValues): string {
  return text.replace(/\{(client|server|gateway)\}/g, (whole, name: keyof WordValues) => values[name] ?? whole)
}

/** A scope in words, where the team described it. */
export function sayScope(texts: Record<string, string>, scope: string): string | undefined {
  return texts[`scope:${scope}`] || undefined
}
