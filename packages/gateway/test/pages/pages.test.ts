import { describe, expect, it } from '@jest/globals'
import { html } from '../../src/lib/html.ts'
import { goOnPage } from '../../src/pages/message-page.ts'
import { renderPage } from '../../src/pages/page.ts'
import { styleSheet } from '../../src/pages/style.ts'
import { say, sayScope } from '../../src/pages/words.ts'

const looks = { name: 'A & <B>', logo: undefined, colours: {}, texts: {} }

describe('pages', () => {
  it('escape the name, the title and the logo of the team', () => {
    const page = renderPage({ ...looks, logo: 'https://x.example/"onload="x' }, { title: '<t>', body: html`<h1>Hi</h1>`, host: 'mcp.example.com' })
    expect(page).toContain('<title>&lt;t&gt; · A &amp; &lt;B&gt;</title>')
    expect(page).toContain('src="https://x.example/&quot;onload=&quot;x"')
    expect(page).toContain('You are at mcp.example.com')
    expect(page).not.toContain('http-equiv')
  })

  it('go on to any URL without letting it out of its attribute', () => {
    const page = goOnPage(looks, 'h', { href: 'https://x.example/?a="><script>&b=1', title: 'T', label: 'L' })
    expect(page).toContain('content="0;url=https://x.example/?a=&quot;&gt;&lt;script&gt;&amp;b=1"')
    expect(page).not.toContain('<script>')
  })

  it('take colours and nothing else from the options', () => {
    expect(styleSheet({ accent: '#ff0000', accentDark: 'hsl(10 20% 30%)' })).toContain('--accent:#ff0000;--on-accent:#000')
    for (const accent of ['red;}body{display:none', 'url(https://x.example)', '#12345', '</style>', 'var(--x)', 'expression(alert(1))']) {
      expect(styleSheet({ accent })).not.toContain(accent)
    }
  })

  it('choose readable ink on the accent', () => {
    expect(styleSheet({ accent: '#ffe100' })).toContain('--accent:#ffe100;--on-accent:#000')
    expect(styleSheet({ accent: '#103' })).toContain('--accent:#103;--on-accent:#fff')
  })

  it('say what a team gave, and fill in the names', () => {
    expect(say({}, 'consentTitle', { client: '{server}', server: 'S' })).toBe('{server} wants to use S')
    expect(say({ consentTitle: 'Connect {client}?' }, 'consentTitle', { client: 'C' })).toBe('Connect C?')
    expect(say({ allow: '' }, 'allow')).toBe('Allow')
    expect([sayScope({ 'scope:a': 'Words' }, 'a'), sayScope({}, 'a')]).toEqual(['Words', undefined])
  })
})
