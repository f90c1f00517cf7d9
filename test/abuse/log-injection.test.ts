import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import type { Browser, Page } from '../harness/browser.ts'
import { hostileTexts } from '../harness/hostile-texts.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { type RawRuntime, startRawRuntime } from '../harness/raw-runtime.ts'
import { type Issued, pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTalkingProvider, type TalkingProvider } from '../harness/talking-provider.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'

/* Log injection, and secrets in logs (TK-10): an operator's log on stdout, read line by line by a machine, and by people who must not be able to use what they read. */

const sealingSecret = 'the-secret-that-seals-everything-of-this-gateway'

let runtime: RawRuntime
let provider: TalkingProvider
let world: TodoWorld
beforeAll(async () => {
  runtime = await startRawRuntime()
  provider = await startTalkingProvider(['todos.read'])
  world = await startTodo({
    runtime: runtime.url,
    gateway: { log: 'stdout', secrets: [sealingSecret], clients: { preregistered: Object.values(preregistered), registration: { perSourcePerHour: 10_000 } } },
    providers: async () => ({ talking: provider.profile }),
    servers: {
      talking: { path: '/talking', provider: 'talking', workerSecret: 'the-secret-of-the-talking-server', scopes: ['todos.read'], runtime: runtime.url },
    },
  })
}, 60_000)
afterAll(async () => {
  await world?.close()
  await provider?.close()
  await runtime?.close()
})

/** What the gateway has written until now: it is started anew, so that nothing is on its way any more. */
async function written(): Promise<string> {
  const { gateway } = world
  await world.restartGateway()
  return gateway.output()
}

interface Event {
  event: string
  [name: string]: unknown
}

/** Every line as the event that it is. Whatever is none fails. */
function eventsOf(output: string): Event[] {
  const lines = output.split('\n')
  expect(lines.pop()).toBe('')
  return lines.filter((line) => !isWarning(line)).map((line) => JSON.parse(line) as Event)
}
/** Of the process itself, on stderr. */
const isWarning = (line: string) => /^(\(node:\d+\)|\(Use `node)/.test(line)

const list = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }
const names = [
  'event',
  'level',
  'time',
  'message',
  'requestId',
  'traceId',
  'server',
  'provider',
  'subject',
  'clientId',
  'connectionId',
  'httpMethod',
  'method',
  'tool',
  'revision',
]
const fields = new Set([
  ...names,
  'grantType',
  'scopes',
  'outcome',
  'decision',
  'rule',
  'dryRun',
  'budgets',
  'httpStatus',
  'rpcCode',
  'error',
  'reason',
  'clientGone',
  'bytesIn',
  'bytesOut',
  'ms',
])

describe('TK-10: an event is one line, whatever stands in it', () => {
  it('hostile clients, users, providers, tools and parameters make no line of their own and no field', async () => {
    const before = eventsOf(await written()).length
    expect(before).toBeGreaterThan(0)
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    for (const [, text] of hostileTexts) {
      const client = await new ScriptedClient(world.issuer, `${world.issuer}/talking`).register({ ...nativeClientMetadata, client_name: text.slice(0, 500) })
      provider.user = { sub: text.slice(0, 500), name: text }
      await client.browser.authorize(client.authorizeUrl(pkce().challenge), { user: 'ann' })
      provider.refusal = { error: text.slice(0, 100), error_description: text }
      await client.browser.authorize(client.authorizeUrl(pkce().challenge, { prompt: 'consent' }), { user: 'ann' })
      provider.refusal = undefined
      provider.user = { sub: 'ann' }
      const { access_token: token } = await client.signIn('ann', { prompt: 'consent' })
      for (const message of [
        { ...list, params: { name: text, arguments: { [text]: text } } },
        { ...list, method: text },
        { ...list, id: text },
      ]) {
        await rpc(`${world.issuer}/talking`, token, message)
      }
      await rpc(`${world.issuer}/talking`, token, list, {
        traceparent: '00-stolen\u00a0-1',
        'mcp-protocol-version': 'stolen',
        'user-agent': encodeURIComponent(text.toWellFormed()),
      })
      const body = new URLSearchParams({ [text.slice(0, 100)]: text, client_id: text, grant_type: text, token: text, scope: text })
      for (const path of ['/token', '/revoke', '/par', '/register', '/authorize']) {
        await fetch(world.issuer + path, { method: 'POST', body: `${body}&${body}`, headers: form })
        await fetch(world.issuer + path, { method: 'POST', body: body.toString(), headers: form })
        await fetch(`${world.issuer}${path}?${body}`, { redirect: 'manual' })
      }
    }
    const output = await written()
    const events = eventsOf(output)
    expect(events.length).toBeGreaterThan(hostileTexts.length * 10)
    // The names of events are ours, so are their fields; what hides or turns letters is written as what it is.
    expect(events.map(({ event }) => event).filter((event) => !/^(mcp|authorization|grant|gateway)\.[a-z_]+$/.test(event))).toEqual([])
    expect(events.flatMap((event) => Object.keys(event)).filter((name) => !fields.has(name))).toEqual([])
    expect(output).not.toMatch(/[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u)
    expect(output.isWellFormed()).toBe(true)
    expect(JSON.stringify(events)).toContain('stolen')
    expect(Math.max(...output.split('\n').map((line) => line.length))).toBeLessThan(5000)
    const texts = events.flatMap(({ reason: _, message: _message, ...event }) => Object.values(event).filter((value) => typeof value === 'string'))
    expect(texts.filter((value) => value.length > 128)).toEqual([])
  })
})

/** Everything secret that a browser held or opened on its way. */
class Witness {
  readonly secrets = new Set<string>()

  note(...values: (string | null | undefined)[]): void {
    for (const value of values) if (value && value.length >= 12) this.secrets.add(value)
  }

  see(browser: Browser, page: Page): void {
    for (const { name, value } of browser.cookies.all()) if (name.startsWith('emcy')) this.note(value)
    for (const { fields: named } of page.forms) for (const [name, value] of named) if (name === 'token' || name === 'transaction') this.note(value)
    for (const url of [...page.trail, page.redirect]) {
      for (const [name, value] of url?.searchParams ?? [])
        if (/^(code|state|nonce|code_challenge|transaction|request_uri|link|login_hint)$/.test(name)) this.note(value)
    }
  }
}

/** Goes through the pages one by one, under a witness's eyes. */
async function walk(browser: Browser, url: URL, user: string, witness: Witness): Promise<Page> {
  let page = await browser.open(url)
  witness.see(browser, page)
  for (let step = 0; step < 6 && page.redirect === undefined && page.forms.length > 0; step++) {
    page = await browser.answer(page, { user })
    witness.see(browser, page)
  }
  return page
}

describe('TK-10: no secret is ever in a log', () => {
  it('of a whole journey: registration, consent, sign-in, tokens, calls, refresh, replay, revocation, the account page, and every mistake with a secret in the wrong place', async () => {
    await written()
    const witness = new Witness()
    witness.note(
      sealingSecret,
      world.workerSecret,
      preregistered.confidential.clientSecret,
      'the-secret-of-the-talking-server',
      'the-secret-of-the-gateway-there',
    )
    const client = new ScriptedClient(world.issuer, world.mcpUrl)
    const registered = (await (
      await fetch(`${world.issuer}/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ client_name: 'Journey', redirect_uris: [nativeRedirectUri], token_endpoint_auth_method: 'client_secret_post' }),
      })
    ).json()) as Record<string, string>
    client.clientId = registered.client_id ?? ''
    const { client_secret, registration_access_token } = registered
    witness.note(client_secret, registration_access_token)
    const { verifier, challenge } = pkce()
    const pushed = (await (
      await fetch(`${world.issuer}/par`, {
        method: 'POST',
        body: new URLSearchParams([...client.authorizeUrl(challenge).searchParams, ['client_secret', client_secret ?? '']]),
      })
    ).json()) as Record<string, string>
    const requestUri = pushed.request_uri ?? ''
    expect(requestUri).toMatch(/^urn:/)
    witness.note(requestUri, verifier)
    const url = new URL(`${world.issuer}/authorize?${new URLSearchParams({ client_id: client.clientId, request_uri: requestUri })}`)
    const page = await walk(client.browser, url, 'ann', witness)
    const code = page.redirect?.searchParams.get('code') ?? ''
    const secret = { client_secret }
    const tokens = (await client.redeem(code, verifier, secret)).body as Issued
    witness.note(code, tokens.access_token, tokens.refresh_token)
    runtime.requests.length = 0
    expect((await rpc(world.mcpUrl, tokens.access_token, list, { 'mcp-session-id': 'a-session-id-of-a-legacy-client' })).status).toBeLessThan(500)
    expect((await rpc(world.mcpUrl, tokens.access_token, list)).status).toBe(200)
    const [seen] = runtime.requests
    witness.note(seen?.header('x-emcy-access-token')[0], seen?.header('x-emcy-worker-secret')[0])
    const next = (await client.refresh(tokens.refresh_token, secret)).body as Issued
    witness.note(next.access_token, next.refresh_token)
    expect((await client.browser.open(`${world.issuer}/account`)).text).toContain('Journey')
    witness.see(client.browser, await client.browser.open(`${world.issuer}/account`))

    // Secrets where they do not belong.
    for (const value of [code, tokens.access_token, next.refresh_token, client_secret ?? '', registration_access_token ?? '', verifier]) {
      const wrong = new ScriptedClient(world.issuer, world.mcpUrl)
      await fetch(`${world.mcpUrl}?access_token=${value}`, { method: 'POST', body: '{}' })
      await rpc(`${world.mcpUrl}?token=${value}`, value, list)
      await rpc(world.mcpUrl, `${value}x`, list)
      await fetch(`${world.issuer}/callback?code=${value}&state=${value}`)
      await fetch(`${world.issuer}/consent?transaction=${value}`)
      await fetch(`${world.issuer}/register?client_id=${client.clientId}`, { headers: { authorization: `Bearer ${value}x` } })
      await fetch(`${world.issuer}/token`, {
        method: 'POST',
        headers: { authorization: `Basic ${Buffer.from(`${client.clientId}:${value}`).toString('base64')}` },
        body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: value }),
      })
      await wrong.token({ grant_type: 'authorization_code', client_id: client.clientId, code: value, code_verifier: verifier, client_secret: `${value}x` })
      await wrong.revoke(`${value}x`, { client_id: client.clientId, ...secret })
      await fetch(client.authorizeUrl(challenge, { state: value, scope: 'admin' }), { redirect: 'manual' })
    }
    // A replay ends the connection, and the log says so without quoting it.
    expect((await client.redeem(code, verifier, secret)).status).toBe(400)
    expect((await rpc(world.mcpUrl, next.access_token, list)).status).toBe(401)

    const output = await written()
    const events = eventsOf(output)
    const seenEvents = new Set(events.map(({ event }) => event))
    for (const event of [
      'authorization.register',
      'authorization.request',
      'authorization.consent',
      'authorization.callback',
      'authorization.token',
      'authorization.revoke',
      'mcp.request',
    ])
      expect([event, seenEvents.has(event)]).toEqual([event, true])
    expect(events.filter(({ event, reason }) => event.startsWith('authorization.') && reason === 'code used twice')).not.toEqual([])
    expect(witness.secrets.size).toBeGreaterThan(20)
    const found = [...witness.secrets].filter((value) =>
      [value, value.slice(-24), encodeURIComponent(value), Buffer.from(value).toString('base64').replace(/=+$/, '')].some((form) => output.includes(form)),
    )
    expect(found).toEqual([])
  })
})
