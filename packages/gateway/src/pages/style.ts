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

/** White or black, whichever reads better on a hex colour (4.5 to 1 at least, WCAG 2 §1.4.3); white on anything else. */
function readableOn(background: string): string {
  const long = background.replace(/^#(.)(.)(.).?$/, '#$1$1$2$2$3$3')
  if (!/^#[0-9a-f]{6}/i.test(long)) return '#fff'
  const [red, green, blue] = [1, 3, 5].map((at) => {
    const part = Number.parseInt(long.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  }) as [number, number, number]
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? '#000' : '#fff'
}

/** The style sheet of every page: light and dark by the system's setting, no outside asset. */
export function styleSheet(colours: Colours): string {
  const light = colour(colours.accent, '#3b4fd8')
  const dark = colour(colours.accentDark ?? colours.accent, '#a3b4ff')
  return `
:root{color-scheme:light dark;--page:#f3f4f8;--card:#fff;--raised:#f7f8fb;--ink:#161922;--quiet:#5a6172;--line:#e1e4ec;--control:#858c9e;
--accent:${light};--on-accent:${readableOn(light)};--warn:#fff7e3;--warn-line:#f0d48a;--warn-ink:#5f4300;--warn-icon:#a16a00;--danger:#b3261e;
--shadow:0 1px 2px rgb(16 24 40/.05),0 12px 32px -8px rgb(16 24 40/.14)}
@media (prefers-color-scheme:dark){:root{--page:#0d0f14;--card:#171a21;--raised:#1e222b;--ink:#eceef3;--quiet:#a4abbb;--line:#2b303b;--control:#7d8597;
--accent:${dark};--on-accent:${readableOn(dark)};--warn:#2a2312;--warn-line:#57471d;--warn-ink:#f3dfab;--warn-icon:#f0c04c;--danger:#ff9b92;--shadow:0 1px 2px rgb(0 0 0/.4),0 16px 40px -8px rgb(0 0 0/.5)}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100dvh;display:flex;flex-direction:column;align-items:center;justify-content:center;gap:1.25rem;padding:2rem 1rem;
background:var(--page);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{width:100%;max-width:29rem;background:var(--card);border:1px solid var(--line);border-radius:20px;padding:clamp(1.5rem,6vw,2.25rem);box-shadow:var(--shadow)}
.brand{display:flex;align-items:center;justify-content:center;gap:.6rem;max-width:29rem;color:var(--quiet);font-size:.9375rem;font-weight:600;overflow-wrap:anywhere}
.brand img{height:1.75rem;max-width:9rem;object-fit:contain}
h1{margin:0 0 .6rem;font-size:1.375rem;line-height:1.3;font-weight:650;letter-spacing:-.014em;overflow-wrap:anywhere;text-wrap:balance}
h2,h3{margin:1.5rem 0 .5rem;font-size:1rem;line-height:1.4}
p{margin:0 0 .8rem;overflow-wrap:anywhere}
main img{max-width:100%}
main>:last-child,main>form>:last-child{margin-bottom:0}
.quiet,small{color:var(--quiet);font-size:.875rem}
.lead{color:var(--quiet);text-wrap:pretty}
.center,.message h1,.message p{text-align:center}
.badge{display:grid;place-items:center;width:3.5rem;height:3.5rem;margin:.25rem auto 1.25rem;border-radius:50%;background:var(--raised);border:1px solid var(--line);color:var(--quiet)}
.badge .icon{width:1.6rem;height:1.6rem}
.message p{text-wrap:pretty}
.message .actions>*{flex:none;min-width:min(14rem,100%);margin:0 auto}
.parties{display:flex;align-items:center;justify-content:center;gap:.9rem;margin:.25rem 0 1.4rem}
.parties~h1,.parties~.lead{text-align:center}
.avatar{position:relative;display:grid;place-items:center;width:3.75rem;height:3.75rem;overflow:hidden;border:1px solid var(--line);border-radius:17px;background:var(--raised);
color:var(--ink);font-size:1.5rem;font-weight:650;line-height:1}
.avatar.own{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}
.avatar img{position:absolute;inset:0;width:100%;height:100%;padding:.5rem;object-fit:contain;background:#fff}
.icon{flex:none}
.between{color:var(--control)}
dl{margin:1.5rem 0 0;padding:.15rem 1rem;border:1px solid var(--line);border-radius:14px;background:var(--raised)}
dl>div{display:grid;grid-template-columns:6rem 1fr;gap:.1rem .75rem;padding:.7rem 0}
dl>div+div{border-top:1px solid var(--line)}
dt{color:var(--quiet);font-size:.875rem;line-height:1.5rem;white-space:nowrap}
dd{margin:0;min-width:0;overflow-wrap:anywhere}
dd strong{font-weight:600}
dd small{display:block;line-height:1.4}
dd code{font-size:.75rem}
code{font:.8125rem/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
ul{list-style:none;margin:0;padding:0}
fieldset{min-width:0;margin:1.6rem 0 0;padding:0;border:0}
legend{padding:0;margin:0 0 .5rem;font-weight:600}
fieldset>p{margin:-.35rem 0 .6rem}
.scopes{border:1px solid var(--line);border-radius:14px}
.scopes li+li{border-top:1px solid var(--line)}
.scopes label,.scopes div{display:flex;align-items:center;gap:.8rem;min-height:3rem;padding:.6rem 1rem;overflow-wrap:anywhere}
.scopes label{cursor:pointer}
.scopes label:hover{background:var(--raised)}
.scopes li:first-child label{border-radius:13px 13px 0 0}
.scopes li:last-child label{border-radius:0 0 13px 13px}
.scopes li:only-child label{border-radius:13px}
.scopes span{flex:1;min-width:0}
.scopes span small{display:block}
.scopes .icon{color:var(--quiet)}
input[type=checkbox]{flex:none;width:1.25rem;height:1.25rem;margin:0;accent-color:var(--accent)}
.tag{flex:none;font-size:.8125rem}
.scopes+p{margin:.6rem 0 0}
.warning{display:flex;gap:.75rem;margin:1.25rem 0 0;padding:.85rem 1rem;border:1px solid var(--warn-line);border-radius:14px;background:var(--warn);color:var(--warn-ink);font-size:.9375rem}
.warning .icon{margin-top:.1rem;color:var(--warn-icon)}
.warning+.warning{margin-top:.75rem}
.warning p{margin:0}
.actions{display:flex;gap:.75rem;margin:1.75rem 0 0}
.actions>*{flex:1}
button,.button{display:inline-block;min-height:3rem;padding:.65rem 1.1rem;border:1px solid var(--control);border-radius:12px;background:transparent;color:var(--ink);
font:inherit;font-weight:600;text-align:center;text-decoration:none;cursor:pointer}
button:hover,.button:hover{background:var(--raised)}
.primary,.primary:hover{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}
.primary:hover{box-shadow:inset 0 0 0 9in rgb(0 0 0/.08)}
.small{min-height:2.5rem;padding:.4rem .9rem;border-color:var(--line);border-radius:10px;font-size:.875rem}
.danger{color:var(--danger)}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.scopes label:focus-within{outline:3px solid var(--accent);outline-offset:-1px}
.scopes :focus-visible{outline:none}
.connections{margin:1.25rem 0 0}
.connections li{display:flex;align-items:center;justify-content:space-between;gap:1rem;padding:1rem 0;border-top:1px solid var(--line)}
.connections li>div{min-width:0;overflow-wrap:anywhere}
.connections strong{display:block;font-weight:600}
.connections small{display:block}
footer{color:var(--quiet);font-size:.8125rem;text-align:center;overflow-wrap:anywhere}
a{color:inherit}
@media (max-width:30rem){body{padding:1.25rem .75rem}dl>div{grid-template-columns:1fr}.actions{flex-direction:column}.connections li{align-items:flex-start;flex-direction:column}}
@media (forced-colors:active){.avatar,.primary{border:1px solid ButtonText}}
`
}
