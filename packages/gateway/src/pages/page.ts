import { type Html, html, Html as Markup } from '../lib/html.ts'
import { type Colours, styleSheet } from './style.ts'

/** How pages look: the gateway's name, image and colours, as the team set them. */
export interface Looks {
  name: string
  /** https URL or data: URI. */
  logo: string | undefined
  colours: Colours
  texts: Record<string, string>
}

/** One page. */
export interface Page {
  title: string
  body: Html
  /** Where the browser goes by itself, without a script. */
  goOn?: string
  /** The host that the reader is at, shown small at the foot: the one thing on the page that a look-alike cannot copy. */
  host: string
}

/** The document around a page. */
export function renderPage(looks: Looks, page: Page): string {
  // A gateway without a name of its own goes by its host, which stands at the foot already.
  const isNamed = looks.logo !== undefined || looks.name !== page.host
  const document = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
${page.goOn !== undefined && html`<meta http-equiv="refresh" content="0;url=${page.goOn}">`}
<title>${page.title} · ${looks.name}</title>
<style>${new Markup(styleSheet(looks.colours))}</style>
</head>
<body>
${isNamed && html`<header class="brand">${looks.logo !== undefined && html`<img src="${looks.logo}" alt="">`}<span>${looks.name}</span></header>`}
<main>
${page.body}
</main>
<footer>You are at ${page.host}</footer>
</body>
</html>
`
  return document.markup
}
