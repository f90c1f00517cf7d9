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
} as const

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
  return (texts[key] || words[key]).replace(/\{(client|server|gateway)\}/g, (whole, name: keyof WordValues) => values[name] ?? whole)
}

/** A scope in words, where the team described it. */
export function sayScope(texts: Record<string, string>, scope: string): string | undefined {
  return texts[`scope:${scope}`] || undefined
}
