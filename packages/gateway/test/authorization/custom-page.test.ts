import { afterEach, describe, expect, it } from '@jest/globals'
import type { ConsentView } from '../../src/config.ts'
import { Browser } from './browser.ts'
import { codeOf, startWorld, type World } from './world.ts'

let world: World
afterEach(() => world.close())

async function atConsent(render: (view: ConsentView) => string | Promise<string>) {
  world = await startWorld({
    config: {
      consent: { remember: true, name: 'Todo', logo: undefined, colours: {}, texts: { 'scope:todos.read': 'Read <todos>' }, chooseScopes: true, render },
    },
  })
  const browser = new Browser()
  return { browser, page: await browser.open(world.authorizeUrl()) }
}

const everyFact = [
  'Command <b>line</b> & "Co" wants to use The mcp server',
  '127.0.0.1:7999',
  'http://127.0.0.1:7999/callback',
  'Read <todos>',
  'todos.write',
  'any program can use its name',
]

describe('consent.render', () => {
  it("shows the team's own page around every fact, and the form works", async () => {
    let seen: ConsentView | undefined
    const { browser, page } = await atConsent(async (view) => {
      seen = view
      const { title, facts, scopes, warnings, actions } = view.parts
      return `<header><p class="center">Hello from ${view.escapeHtml(view.client.name)}</p></header>${title}<div>${facts}${scopes}${warnings}</div>${actions}<p class="quiet">Our words</p>`
    })
    for (const words of [...everyFact, 'Hello from Command <b>line</b>', 'Our words']) expect(page.text).toContain(words)
    expect(page.html).not.toContain('<b>line')
    expect(seen).toMatchObject({
      client: { clientId: 'cli', name: 'Command <b>line</b> & "Co"', trust: 'preregistered', host: undefined },
      server: { id: 'mcp', name: 'The mcp server' },
      account: undefined,
      redirectHost: '127.0.0.1:7999',
      scopes: [
        { name: 'todos.read', description: 'Read <todos>', required: false },
        { name: 'todos.write', description: undefined, required: false },
      ],
    })
    expect(page.headers.get('content-security-policy')).toMatch(/default-src 'none'.*form-action 'self'; frame-ancestors 'none'/)
    expect(codeOf(await browser.login(await browser.submit(page, 'allow'), 'ann'))).toMatch(/^emcy_ac_/)
  })

  it.each<[string, (view: ConsentView) => string | Promise<string>]>([
    ['leaves the warnings out', ({ parts }) => parts.title + parts.facts + parts.scopes + parts.actions],
    ['hides them', ({ parts }) => `${parts.title}${parts.facts}${parts.scopes}<div hidden>${parts.warnings}</div>${parts.actions}`],
    ['writes parts of its own', () => '<div><h2>Allow?</h2></div>'],
    ['does not escape the client', ({ client, parts }) => `<p>${client.name}</p>${Object.values(parts).join('')}`],
    [
      'throws',
      () => {
        throw new Error('broken')
      },
    ],
    ['rejects', () => Promise.reject(new Error('broken'))],
    ['gives no text', () => undefined as never],
  ])('one that %s: the own page is shown, and the log says why', async (_, render) => {
    const { browser, page } = await atConsent(render)
    for (const words of everyFact) expect(page.text).toContain(words)
    expect(page.forms[0]?.buttons.map(({ label }) => label)).toEqual(['Allow', 'Deny'])
    expect(world.events).toContainEqual(
      expect.objectContaining({ event: 'gateway.error', message: expect.stringContaining('consent.render'), reason: expect.stringMatching(/./) }),
    )
    expect((await browser.submit(page, 'deny')).toClient?.searchParams.get('error')).toBe('access_denied')
  })
})
