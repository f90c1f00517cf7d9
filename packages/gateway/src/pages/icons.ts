import { html } from '../lib/html.ts'

/** Drawings of the pages: in the page itself, so that nothing is asked from elsewhere, and silent for a screen reader, as the words beside them say the same. */
export const icons = {
  check: html`<svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><path d="M4.5 10.5l3.7 3.7 7.3-8" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/></svg>`,
  warning: html`<svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><path d="M10 2.8l7.6 13.4H2.4z" fill="none" stroke="currentColor" stroke-width="1.6" stroke-linejoin="round"/><path d="M10 8v3.6M10 13.9v.1" stroke="currentColor" stroke-width="1.8" stroke-linecap="round"/></svg>`,
  notice: html`<svg class="icon" viewBox="0 0 20 20" width="20" height="20" aria-hidden="true"><path d="M10 4.5v7M10 15.2v.1" stroke="currentColor" stroke-width="2.2" stroke-linecap="round"/></svg>`,
  link: html`<svg class="icon between" viewBox="0 0 44 20" width="44" height="20" aria-hidden="true"><path d="M3 10h32" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-dasharray="0.1 5.3"/><path d="M34 5l6 5-6 5" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"/></svg>`,
} as const
