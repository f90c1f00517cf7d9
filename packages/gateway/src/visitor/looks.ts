import type { Config } from '../config.ts'
import type { Looks } from '../pages/page.ts'

/** How the gateway's pages look, from its configuration. */
export function looksOf(config: Pick<Config, 'consent'>): Looks {
  const { name, logo, colours, texts } = config.consent
  return { name, logo, colours, texts }
}

/** The host a reader of our pages is at. */
export function hostOf(config: Pick<Config, 'origin'>): string {
  return new URL(config.origin).host
}
