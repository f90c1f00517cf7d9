import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Browser, Page } from '../harness/browser.ts'
import type { HtmlForm } from '../harness/html-form.ts'
import { atConsent } from '../harness/legs.ts'
import { linkOf } from '../harness/reconnect.ts'
import { ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'
import { connects, statusOfCall } from '../harness/victim.ts'

/*
 * Cross-site request forgery, on every form of the gateway. The attacker's page makes the victim's browser send what it likes, and even with the victim's cookies, which SameSite=Lax
 * would keep back: what is shown here has to hold without that.
 */

let world: TodoWorld
beforeAll(async () => {
  world = await startTodo({ runtime: 'local' })
}, 60_000)
afterAll(() => world?.close())

/** A page with a form in front of its user. */
interface Shown {
  browser: Browser
  page: Page
  form: HtmlForm
  /** Name and value of the button that the attacker wants pressed. */
  button: [name: string, value: string]
  /** Holds that nothing happened. */
  unchanged(): Promise<void>
  /** What the user's own click brings about. */
  works(pressed: Page): Promise<void>
}

/** A form, shown to a user; a second call shows the same form, about something else, to the same browser. */
type Show = (user: string, before?: Shown) => Promise<Shown>

const newClient = () => new ScriptedClient(world.issuer, world.mcpUrl)

const showConsent: Show = async (_user, before) => {
  const client = await newClient().register()
  const browser = before?.browser ?? client.browser
  const { page } = await atConsent(Object.assign(client, { browser }))
  return {
    browser,
    page,
    form: page.forms[0] as HtmlForm,
    button: ['decision', 'allow'],
    async unchanged() {
      expect((await browser.open(page.url)).forms[0]?.buttons.map(({ value }) => value)).toEqual(['allow', 'deny'])
      expect(browser.cookies.all().filter(({ name }) => name.startsWith('emcy-state'))).toEqual([])
    },
    async works(pressed) {
      expect(pressed.url.origin).toBe(world.authorizationServerUrl)
    },
  }
}

const accountPage = () => `${world.issuer}/account`

const showConnection: Show = async (user, before) => {
  const client = newClient()
  const browser = before?.browser ?? client.browser
  await client.register({
    client_name: `App ${client.secrets.length} of ${user}`,
    redirect_uris: ['http://127.0.0.1:7999/callback'],
    token_endpoint_auth_method: 'none',
  })
  const tokens = await connects(world, user, Object.assign(client, { browser }))
  const page = await browser.open(accountPage())
  const form = page.forms.find((each) => each.fields.some(([name, value]) => name === 'connection' && tokens.access_token.includes(value)))
  return {
    browser,
    page,
    form: form as HtmlForm,
    button: ['action', 'disconnect'],
    unchanged: async () => expect(await statusOfCall(world, tokens.access_token)).toBe(200),
    works: async () => expect(await statusOfCall(world, tokens.access_token)).toBe(401),
  }
}

const showForget: Show = async (user, before) => {
  const client = newClient()
  const browser = before?.browser ?? client.browser
  await connects(world, user, Object.assign(client, { browser }))
  const page = await browser.open(accountPage())
  const form = page.forms.find((each) => each.buttons.some(({ value }) => value === 'forget'))
  return {
    browser,
    page,
    form: form as HtmlForm,
    button: ['action', 'forget'],
    unchanged: async () => expect((await browser.open(accountPage())).text).toContain(user),
    works: async (pressed) => expect(pressed.text).toContain('Nobody is signed in here'),
  }
}

const showReconnect: Show = async (user, before) => {
  const client = newClient()
  const browser = before?.browser ?? client.browser
  const tokens = await connects(world, user, Object.assign(client, { browser }))
  await world.forgetAuthorizations()
  await world.advanceClock(301_000)
  const page = await browser.open(await linkOf(world.mcpUrl, tokens.access_token))
  return {
    browser,
    page,
    form: page.forms[0] as HtmlForm,
    button: ['account', 'same'],
    async unchanged() {
      expect((await browser.open(page.url)).forms).toHaveLength(1)
      expect(browser.cookies.all().filter(({ name }) => name.startsWith('emcy-state'))).toEqual([])
    },
    async works(pressed) {
      expect(pressed.url.origin).toBe(world.authorizationServerUrl)
    },
  }
}

/** Every form that posts to the gateway: where its page is made, how it is shown, and what a body that is no form is answered with. */
const forms: [name: string, madeIn: string, show: Show, notAForm: string][] = [
  ['the consent form', 'authorization/consent-page.ts', showConsent, 'This app cannot be connected'],
  ['the form that disconnects an app', 'account/account-page.ts', showConnection, 'Something failed'],
  ['the form that forgets the account', 'account/account-page.ts', showForget, 'Something failed'],
  ['the form that signs in again', 'authorization/reconnect-page.ts', showReconnect, 'This app cannot be connected'],
]

const fieldsOf = ({ form, button }: Shown) => new URLSearchParams([...form.fields, button])
const tokenOf = ({ form }: Shown) => form.fields.find(([name]) => name === 'token')?.[1] ?? ''
const withToken = (shown: Shown, token: string) => {
  const body = fieldsOf(shown)
  body.set('token', token)
  return body
}
const ownHeaders = () => ({ origin: world.issuer, 'sec-fetch-site': 'same-origin' })
const headingOf = (page: Page) => /<h1[^>]*>([^<]*)<\/h1>/.exec(page.html)?.[1]

async function expectRefused(
  shown: Shown,
  body: URLSearchParams | string,
  headers: Record<string, string>,
  status = 403,
  heading = 'Nothing was changed',
  browser = shown.browser,
) {
  const page = await browser.open(shown.form.action, { method: 'POST', body, headers })
  expect([page.status, headingOf(page), page.redirect, page.forms]).toEqual([status, heading, undefined, []])
  await shown.unchanged()
}

/** The user's own click, which everything before must have left as it was. */
async function expectWorks(shown: Shown): Promise<void> {
  await shown.works(await shown.browser.open(shown.form.action, { method: 'POST', body: fieldsOf(shown), headers: ownHeaders() }))
}

it('AZ-8: these are all the forms there are', async () => {
  const root = fileURLToPath(new URL('../../packages/gateway/src/', import.meta.url))
  const files = (await readdir(root, { recursive: true })).filter((file) => file.endsWith('.ts'))
  const found = await Promise.all(files.map(async (file) => ((await readFile(join(root, file), 'utf8')).match(/method="post"/gi) ?? []).map(() => file)))
  // The one of form_post goes to the client and carries nothing that the gateway would act on.
  expect(found.flat().sort()).toEqual([...forms.map(([, madeIn]) => madeIn), 'pages/form-post-page.ts'].sort())
})

describe.each(forms)('AZ-8: %s', (name, _madeIn, show, notAForm) => {
  const user = name.replace(/\W/g, '').slice(-12)

  it('needs its token: not none, not an empty or a forged one, not one of another browser or of another page of this one', async () => {
    const shown = await show(user)
    const missing = fieldsOf(shown)
    missing.delete('token')
    await expectRefused(shown, missing, ownHeaders())
    for (const token of ['', 'forged', `${tokenOf(shown).slice(0, -2)}AA`, tokenOf(shown).toUpperCase()])
      await expectRefused(shown, withToken(shown, token), ownHeaders())
    const attackers = await show('eve')
    expect(tokenOf(attackers)).not.toBe(tokenOf(shown))
    await expectRefused(shown, withToken(shown, tokenOf(attackers)), ownHeaders())
    await expectWorks(shown)
  })

  it('is not answered for another origin, whatever token it has', async () => {
    const shown = await show(user)
    const { host } = new URL(world.issuer)
    const foreign: Record<string, string>[] = [
      { origin: 'https://evil.example' },
      { origin: `https://${host}` },
      { origin: `http://evil.${host}` },
      { origin: `${world.issuer}.evil.example` },
      { origin: `${world.issuer}/` },
      { origin: `${world.issuer}, https://evil.example` },
      { origin: world.issuer, 'sec-fetch-site': 'cross-site' },
      { origin: world.issuer, 'sec-fetch-site': 'same-site' },
      { 'sec-fetch-site': 'cross-site' },
      // A frame in a sandbox.
      { origin: 'null', 'sec-fetch-site': 'cross-site' },
    ]
    for (const headers of foreign) await expectRefused(shown, fieldsOf(shown), headers)
    await expectWorks(shown)
  })

  it('is not answered by GET, nor as JSON, plain text or multipart', async () => {
    const shown = await show(user)
    const query = new URL(shown.form.action)
    query.search = fieldsOf(shown).toString()
    const shownAgain = await shown.browser.open(query)
    expect([shownAgain.status, shownAgain.redirect, shownAgain.url.pathname]).toEqual([200, undefined, query.pathname])
    await shown.unchanged()
    const fields = fieldsOf(shown)
    const multipart = `--b\r\n${[...fields].map(([field, value]) => `Content-Disposition: form-data; name="${field}"\r\n\r\n${value}\r\n--b`).join('\r\n')}--\r\n`
    const bodies: [type: string, body: string][] = [
      ['application/json', JSON.stringify(Object.fromEntries(fields))],
      ['text/plain', fields.toString()],
      ['multipart/form-data; boundary=b', multipart],
      ['', fields.toString()],
    ]
    for (const [type, body] of bodies) await expectRefused(shown, body, { ...ownHeaders(), 'content-type': type }, 400, notAForm)
    await expectWorks(shown)
  })
})

describe('AZ-8 AZ-9: a token is for one page of one browser', () => {
  it("of another transaction in the same browser, and of the same transaction in the attacker's browser, it is none", async () => {
    const shown = await showConsent('ann')
    const second = await showConsent('ann', shown)
    await expectRefused(shown, withToken(shown, tokenOf(second)), ownHeaders())
    await expectRefused(second, withToken(second, tokenOf(shown)), ownHeaders())
    const attackers = await showConsent('eve')
    await expectRefused(shown, fieldsOf(shown), ownHeaders(), 403, 'Not the same browser', attackers.browser)
    await expectWorks(shown)
    await expectWorks(second)
  })

  it('of another connection it does not end this one, and of another account it ends none', async () => {
    const shown = await showConnection('bea')
    const second = await showConnection('bea', shown)
    await expectRefused(shown, withToken(shown, tokenOf(second)), ownHeaders())
    const attackers = await showConnection('eve')
    // The attacker's own page, with the victim's connection in it.
    await expectRefused(shown, withToken(shown, tokenOf(attackers)), ownHeaders(), 403, 'Nothing was changed', attackers.browser)
    await expectRefused(shown, fieldsOf(shown), ownHeaders(), 403, 'Nothing was changed', attackers.browser)
    await second.unchanged()
    await expectWorks(shown)
    await second.unchanged()
  })

  it('of the form that forgets, it does not disconnect; the other way round neither', async () => {
    const connection = await showConnection('cat')
    const forget = await showForget('cat', connection)
    await expectRefused(connection, withToken(connection, tokenOf(forget)), ownHeaders())
    await expectRefused(forget, withToken(forget, tokenOf(connection)), ownHeaders())
    // The consent page's token is for the consent page.
    const consent = await showConsent('cat', connection)
    await expectRefused(forget, withToken(forget, tokenOf(consent)), ownHeaders())
    await expectWorks(connection)
  })

  it('a decision that is none is none: the question stays', async () => {
    const shown = await showConsent('dan')
    for (const decision of ['', 'ALLOW', 'allow ', 'yes', 'true', '1']) {
      const body = new URLSearchParams([...shown.form.fields, ['decision', decision]])
      await expectRefused(shown, body, ownHeaders(), 400)
    }
    await expectRefused(
      shown,
      `${fieldsOf(shown)}&decision=deny`,
      { ...ownHeaders(), 'content-type': 'application/x-www-form-urlencoded' },
      400,
      'This app cannot be connected',
    )
    await expectWorks(shown)
  })

  it('AZ-16: the choice of scopes is within what the page asked, whatever boxes are sent', async () => {
    const client = await newClient().register()
    const { page, verifier } = await atConsent(client, { scope: 'todos.read' })
    const body = new URLSearchParams([
      ...(page.forms[0]?.fields ?? []),
      ['scope-0', 'on'],
      ['scope-1', 'on'],
      ['scope', 'todos.read todos.write'],
      ['decision', 'allow'],
    ])
    const login = await client.browser.open(page.forms[0]?.action ?? '', { method: 'POST', body, headers: ownHeaders() })
    const done = await client.browser.answer(login, { user: 'eli' })
    const { body: tokens } = await client.redeem(done.redirect?.searchParams.get('code') ?? '', verifier)
    expect(tokens.scope).toBe('todos.read')
  })
})
