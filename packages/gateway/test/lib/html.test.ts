import { describe, expect, it } from '@jest/globals'
import { escapeHtml, Html, html } from '../../src/lib/html.ts'

describe('html', () => {
  it('escapes what could end text or an attribute', () => {
    expect(escapeHtml(`<a href="x" title='y'>&amp;`)).toBe('&lt;a href=&quot;x&quot; title=&#39;y&#39;&gt;&amp;amp;')
  })

  it('escapes every value but markup of its own making, in lists too', () => {
    const list = html`<ul>${['<i>', html`<li>${'<b>'}</li>`]}</ul>`
    expect(list).toBeInstanceOf(Html)
    expect(list.markup).toBe('<ul>&lt;i&gt;<li>&lt;b&gt;</li></ul>')
  })

  it('takes no look-alike for markup', () => {
    const forged = JSON.parse('{"markup":"<script>"}')
    expect(html`${forged}`.markup).toBe('[object Object]')
  })

  it('leaves nothing for false and undefined, and writes numbers', () => {
    expect(html`${false}${undefined}${0}`.markup).toBe('0')
  })
})
