/** Colours a team may set. */
export interface Colours {
  accent?: string
  accentDark?: string
}

// A colour goes into a style sheet as it is: only what can be nothing but a colour is let through.
const colourPattern = /^(#[0-9a-f]{3,4}|#[0-9a-f]{6}|#[0-9a-f]{8}|[a-z]{3,24}|(rgb|hsl|oklch|oklab|lab|lch)a?\([\d\s.,%/+-]{1,60}\))$/i

function colour(given: string | undefined, otherwise: string): string {
  return given !== undefined && colourPattern.test(given) ? given : otherwise
}

/** White or near-black, whichever reads better on a hex colour; white on anything else. WCAG 2 relative luminance. */
function readableOn(background: string): string {
  const long = background.replace(/^#(.)(.)(.).?$/, '#$1$1$2$2$3$3')
  if (!/^#[0-9a-f]{6}/i.test(long)) return '#fff'
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(long.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.18 ? '#10131a' : '#fff'
}

/** The style sheet of every page: light and dark by the system's setting, no outside asset. */
export function styleSheet(colours: Colours): string {
  const light = colour(colours.accent, '#2f4fd0')
  const dark = colour(colours.accentDark ?? colours.accent, '#9db1ff')
  return `
:root{color-scheme:light dark;--page:#f4f5f7;--card:#fff;--ink:#171a21;--quiet:#596072;--line:#dfe2e9;--accent:${light};--on-accent:${readableOn(light)};
--warn:#fff6e0;--warn-line:#c98a00;--warn-ink:#5a3e00;--danger:#b3261e}
@media (prefers-color-scheme:dark){:root{--page:#0f1115;--card:#181b21;--ink:#e9ebf0;--quiet:#a1a8b8;--line:#2d323c;--accent:${dark};--on-accent:${readableOn(dark)};
--warn:#2c2412;--warn-line:#d9a128;--warn-ink:#f1d89b;--danger:#ff9b92}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100dvh;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:1rem;padding:1.5rem 1rem;
background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{width:100%;max-width:30rem;background:var(--card);border:1px solid var(--line);border-radius:14px;padding:clamp(1.25rem,5vw,2.25rem)}
.brand{display:flex;align-items:center;gap:.6rem;margin:0 0 1.5rem;color:var(--quiet);font-size:.875rem;font-weight:600;letter-spacing:.01em}
.brand img{height:1.75rem;max-width:9rem;object-fit:contain}
h1{margin:0 0 .6rem;font-size:1.4rem;line-height:1.25;font-weight:650;letter-spacing:-.012em;overflow-wrap:anywhere;text-wrap:balance}
h2{margin:1.6rem 0 .5rem;font-size:.8125rem;font-weight:600;color:var(--quiet)}
p{margin:0 0 .8rem;overflow-wrap:anywhere}
main>:last-child{margin-bottom:0}
.quiet,small{color:var(--quiet);font-size:.875rem}
dl{margin:1.4rem 0 0;border-top:1px solid var(--line)}
dl>div{display:grid;grid-template-columns:7.5rem 1fr;gap:.25rem 1rem;padding:.65rem 0;border-bottom:1px solid var(--line)}
dt{color:var(--quiet);font-size:.875rem;line-height:1.5rem}
dd{margin:0;overflow-wrap:anywhere}
dd small{display:block}
code{font:.8125rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
ul{list-style:none;margin:0;padding:0}
.scopes li{position:relative;padding:.3rem 0 .3rem 1.6rem;overflow-wrap:anywhere}
.scopes li::before{content:"";position:absolute;left:.3rem;top:.75rem;width:.35rem;height:.65rem;border:solid var(--accent);border-width:0 2px 2px 0;transform:rotate(42deg)}
.scopes+p{margin:.6rem 0 0}
.warning{margin:1.4rem 0 0;padding:.8rem 1rem;border-left:4px solid var(--warn-line);border-radius:6px;background:var(--warn);color:var(--warn-ink);font-size:.9375rem}
.warning p:last-child{margin:0}
.actions{display:flex;gap:.75rem;margin:1.75rem 0 0}
.actions>*{flex:1}
button,.button{display:inline-block;min-height:2.75rem;padding:.6rem 1.1rem;border:1px solid var(--line);border-radius:9px;background:transparent;color:var(--ink);
font:inherit;font-weight:600;text-align:center;text-decoration:none;cursor:pointer}
button:hover,.button:hover{border-color:var(--quiet)}
.primary{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}
.primary:hover{filter:brightness(1.08);border-color:var(--accent)}
.small{min-height:2.25rem;padding:.35rem .8rem;font-size:.875rem}
.danger{color:var(--danger)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.connections li{display:flex;align-items:center;justify-content:space-between;gap:1rem;padding:.9rem 0;border-top:1px solid var(--line)}
.connections li>div{min-width:0;overflow-wrap:anywhere}
.connections strong{display:block}
.connections small{display:block}
footer{color:var(--quiet);font-size:.8125rem;text-align:center;overflow-wrap:anywhere}
a{color:inherit}
@media (max-width:26rem){dl>div{grid-template-columns:1fr}.actions{flex-direction:column}.connections li{align-items:flex-start;flex-direction:column}}
`
}
