import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { Html } from '../../src/lib/html.ts'
import { composeBody, type PagePart, partMarkers } from '../../src/pages/custom-body.ts'

const { title, facts, scopes, warnings, actions } = partMarkers
const parts: Record<PagePart, Html> = {
  title: new Html('<h1>T</h1>'),
  facts: new Html('<dl>F</dl>'),
  scopes: new Html('<ul>S</ul>'),
  warnings: new Html('<div>W</div>'),
  actions: new Html('<div>A</div>'),
}
const all = title + facts + scopes + warnings + actions
const compose = (text: unknown) => composeBody(text, parts).markup

describe("a team's own consent page", () => {
  it('stands around the parts, which are put in as they are', () => {
    const page = `<div class="center"><img src="https://todo.example/logo.png" alt="Todo" width="40"/></div>${title}<section><p class="quiet">Hi <strong>you</strong> &amp; yours</p>${facts}</section>
<hr>${scopes}${warnings}<footer><p><a href="https://todo.example/help">Help</a><br>x</p></footer>${actions}`
    expect(compose(page)).toBe(
      page
        .replace(title, '<h1>T</h1>')
        .replace(facts, '<dl>F</dl>')
        .replace(scopes, '<ul>S</ul>')
        .replace(warnings, '<div>W</div>')
        .replace(actions, '<div>A</div>'),
    )
  })

  it.each<[string, string]>([
    ['a part missing', title + facts + scopes + actions],
    ['a part twice', all + actions],
    ['the buttons before the warnings', title + facts + scopes + actions + warnings],
    ['nothing', ''],
    ['a comment around one', `${title}${facts}<!--${scopes}-->${warnings}${actions}`],
    ['a template', `<template>${all}</template>`],
    ['closed details', `<details>${all}</details>`],
    ['a hidden box', `<div hidden="">${all}</div>`],
    ['a hidden box, bare', `<div hidden>${all}</div>`],
    ['a style', `<div style="display:none">${all}</div>`],
    ['a style sheet', `<style>dl{display:none}</style>${all}`],
    ['a class of ours that does more', `<div class="parties">${all}</div>`],
    ['a script', `<script>1</script>${all}`],
    ['a form', `<form action="https://evil.example">${all}</form>`],
    ['the end of our form', `</form>${all}`],
    ['an input', `<input name="decision" value="allow">${all}`],
    ['a button', `<button name="decision" value="allow">ok</button>${all}`],
    ['a frame', `<iframe src="https://evil.example"></iframe>${all}`],
    ['a part in a link', `<a href="https://todo.example">${all}</a>`],
    ['a part in a paragraph', `<p>${all}</p>`],
    ['an open box', `<div>${all}`],
    ['a box closed too much', `${all}</div>`],
    ['boxes closed crosswise', `<div><span></div></span>${all}`],
    ['a handler', `<div onclick="x">${all}</div>`],
    ['a script as a link', `<a href="javascript:alert(1)">x</a>${all}`],
    ['another origin without scheme', `<a href="//evil.example">x</a>${all}`],
    ['an SVG as an image', `<img src="data:image/svg+xml;base64,AA==" alt="">${all}`],
    ['capital letters', `<DIV>${all}</DIV>`],
    ['an attribute without quotes', `<div class=quiet>${all}</div>`],
    ['a tag that does not end', `${all}<div class="quiet"`],
    ['a declaration', `<!doctype html>${all}`],
    ['svg', `<svg>${all}</svg>`],
    ['a marker that is almost one', all.replace('<emcy-facts>', '<emcy-facts >')],
    ['too much', `${all}${'x'.repeat(100_001)}`],
  ])('refuses %s', (_, page) => {
    expect(() => compose(page)).toThrow(/./)
  })

  it.each([undefined, null, 7, {}, [all]])('refuses what is no text: %j', (value) => {
    expect(() => compose(value)).toThrow('text of HTML')
  })

  it('whatever pieces it is made of, what comes out holds every part once and in order, in boxes that are closed', () => {
    const pieces = [
      ...Object.values(partMarkers),
      all,
      '<div>',
      '</div>',
      '<p>',
      '</p>',
      '<a href="/x">',
      '</a>',
      '<br>',
      'text',
      '<',
      '>',
      '<!--',
      '-->',
      '"',
      '<div class="quiet">',
      '<section>',
      '</section>',
    ]
    let accepted = 0
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...pieces), { maxLength: 8 }), fc.boolean(), (chosen, whole) => {
        const page = chosen.join('') + (whole ? all : '')
        let result: string
        try {
          result = compose(page)
        } catch {
          return
        }
        accepted++
        const order = ['<h1>T</h1>', '<dl>F</dl>', '<ul>S</ul>', '<div>W</div>', '<div>A</div>'].map((part) => [result.indexOf(part), result.lastIndexOf(part)])
        expect(order.every(([first, last], index) => first === last && (first as number) > (order[index - 1]?.[0] ?? -1))).toBe(true)
        expect(result).not.toContain('<!--')
        for (const name of ['div', 'section', 'p', 'a']) {
          expect(result.split(new RegExp(`<${name}[ >]`)).length).toBe(result.split(`</${name}>`).length)
        }
      }),
      { numRuns: 3000 },
    )
    expect(accepted).toBeGreaterThan(20)
  })
})
