import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { callbackOf, type Page } from '../harness/browser.ts'
import { hostileTexts } from '../harness/hostile-texts.ts'
import { formsOf } from '../harness/html-form.ts'
import { atConsent } from '../harness/legs.ts'
import { nativeClientMetadata } from '../harness/oauth-provider.ts'
import { sendRaw } from '../harness/raw-request.ts'
import { answerJson, type RawRuntime, startRawRuntime } from '../harness/raw-runtime.ts'
import { pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTalkingProvider, type TalkingProvider } from '../harness/talking-provider.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'
import { connects, statusOfCall } from '../harness/victim.ts'

/*
 * Header injection, response splitting and markup: whatever a client, a provider or a runtime says comes out as the text it is, or not at all; in the head of an answer, in the contract
 * headers at the runtime (read there byte for byte) and in a page.
 */

let runtime: RawRuntime
let provider: TalkingProvider
let world: TodoWorld
let client: ScriptedClient
beforeAll(async () => {
  runtime = await startRawRuntime()
  provider = await startTalkingProvider(['todos.read'])
  world = await startTodo({
    runtime: runtime.url,
    providers: async () => ({ talking: provider.profile }),
    servers: { talking: { path: '/talking', provider: 'talking', workerSecret: 'x'.repeat(40), scopes: ['todos.read'], runtime: runtime.url } },
  })
  client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
}, 60_000)
afterAll(async () => {
  await world?.close()
  await provider?.close()
  await runtime?.close()
})
beforeEach(() => {
  runtime.requests.length = 0
  runtime.answer = answerJson
  Object.assign(provider, { user: { sub: 'ann' }, accessToken: 'the-access-token-of-the-provider', refusal: undefined })
})

const request = (target: string, lines: string[] = [], body = '') =>
  [
    `${body === '' ? 'GET' : 'POST'} ${target} HTTP/1.1`,
    `Host: ${new URL(world.issuer).host}`,
    ...lines,
    `Content-Length: ${Buffer.byteLength(body)}`,
    'Connection: close',
    '',
    body,
  ].join('\r\n')
const whole = () => false

/** The head of an answer, which has the lines of ours and no other. */
function expectOwnHead(answer: string): string {
  const [head = ''] = answer.split('\r\n\r\n', 1)
  const lines = head.split('\r\n')
  expect(lines[0]).toMatch(/^HTTP\/1\.1 \d{3} [A-Z][A-Za-z ]+$/)
  for (const line of lines.slice(1)) expect(line).toMatch(/^[A-Za-z-]+: [\x20-\x7e]*$/)
  expect(lines.filter((line) => /^(set-cookie: (?!emcy-)|x-emcy)/i.test(line))).toEqual([])
  return head
}

/** No markup but ours: no element of a stranger's, no script, no handler. */
function expectOwnMarkup({ html }: Pick<Page, 'html'>): void {
  expect(html).not.toMatch(/<script|<img src=x|\sonerror=stolen\(\)[^&]*>|<\/textarea>/i)
  expect(html).not.toMatch(/[\p{Cf}\p{Zl}\p{Zp}]|(?!\n)\p{Cc}/u)
}

const decodable = hostileTexts.filter(([, text]) => text.isWellFormed())

describe('AZ-4 BC-14: what a client sends to /authorize', () => {
  it.each(decodable)('%s: the state comes back to the character, in one header, and in the form of form_post', async (_name, text) => {
    const url = client.authorizeUrl(pkce().challenge, { state: text, scope: 'admin' })
    const head = expectOwnHead(await sendRaw(world.issuer, request(url.pathname + url.search), whole))
    const location = /^location: (.*)$/im.exec(head)?.[1] ?? ''
    expect(new URL(location).searchParams.getAll('state')).toEqual([text])
    expect(new URL(location).searchParams.get('iss')).toBe(world.issuer)
    url.searchParams.set('response_mode', 'form_post')
    const form = await sendRaw(world.issuer, request(url.pathname + url.search), whole)
    expectOwnHead(form)
    const html = Buffer.from(form.slice(form.indexOf('\r\n\r\n') + 4), 'latin1').toString('utf8')
    expect(html.match(/<script/g)).toHaveLength(1)
    expect(html).not.toContain('<img src=x')
    expect(new Map(formsOf(html, url)[0]?.fields).get('state')).toBe(text)
  })

  it.each(decodable)('%s: any other parameter ends on a page or in an error of ours', async (_name, text) => {
    const names = [
      'client_id',
      'redirect_uri',
      'scope',
      'resource',
      'login_hint',
      'prompt',
      'response_type',
      'response_mode',
      'code_challenge',
      'code_challenge_method',
      'request_uri',
      'request',
      'dpop_jkt',
      text.slice(0, 100),
    ]
    for (const name of names) {
      const url = client.authorizeUrl(pkce().challenge, { [name]: text })
      const answer = await sendRaw(world.issuer, request(url.pathname + url.search), whole)
      const head = expectOwnHead(answer)
      const location = /^location: (.*)$/im.exec(head)?.[1]
      if (location === undefined) expectOwnMarkup({ html: Buffer.from(answer.slice(head.length + 4), 'latin1').toString('utf8') })
      else
        expect(location).toMatch(
          new RegExp(`^(${world.issuer}/consent\\?transaction=[\\w.-]+|http://127\\.0\\.0\\.1:7999/callback\\?error=[a-z_]+&[\\w=&+%.*-]+)$`),
        )
      // The name of a parameter is shown where it comes twice.
      const twice = await client.browser.open(
        `${world.issuer}/authorize?${new URLSearchParams([
          [name, text],
          [name, text],
        ])}`,
      )
      if (name !== 'resource') expect([name, twice.status, twice.redirect]).toEqual([name, 400, undefined])
      expectOwnMarkup(twice)
    }
  })

  it('a NUL or a broken escape anywhere is refused on a page', async () => {
    for (const broken of ['%00', 'a%00b', '%', '%zz', '%c0%af', '%ff', '%ed%a0%80']) {
      const url = client.authorizeUrl(pkce().challenge, { state: undefined })
      const answer = await sendRaw(world.issuer, request(`${url.pathname}${url.search}&state=${broken}`), whole)
      expect(expectOwnHead(answer)).toMatch(/^HTTP\/1\.1 400 /)
    }
  })

  it.each(decodable)('%s as the name of a parameter that comes twice: the JSON error keeps to the characters of RFC 6749 §5.2 (TK-12)', async (_name, text) => {
    const body = new URLSearchParams([
      [text.slice(0, 120), '1'],
      [text.slice(0, 120), '2'],
    ])
    for (const path of ['/token', '/par', '/revoke']) {
      const answer = (await (await fetch(world.issuer + path, { method: 'POST', body })).json()) as { error: string; error_description: string }
      expect([path, answer.error]).toEqual([path, 'invalid_request'])
      expect(answer.error_description).toMatch(/^[\x20\x21\x23-\x5b\x5d-\x7e]+$/)
    }
  })
})

describe('AZ-7 AZ-12: what a client says of itself', () => {
  it.each(hostileTexts)('%s: as name, link and logo it is text on the consent page, or nothing', async (_name, text) => {
    const named = new ScriptedClient(world.issuer, world.mcpUrl)
    const metadata = {
      ...nativeClientMetadata,
      client_name: text.slice(0, 500),
      client_uri: text.slice(0, 2000),
      logo_uri: text.slice(0, 2000),
      software_id: text,
    }
    await named.register(metadata)
    const { page } = await atConsent(named, { login_hint: text.toWellFormed() })
    expect(page.forms).toHaveLength(1)
    expectOwnMarkup(page)
    expect(page.forms[0]?.buttons.map(({ value }) => value)).toEqual(['allow', 'deny'])
    for (const link of page.html.matchAll(/\s(?:href|src|action)="([^"]*)"/g)) expect(link[1]).toMatch(/^(https?:\/\/127\.0\.0\.1:\d+\/|data:image\/)/)
  })

  it.each(['javascript:stolen()', 'data:text/html,<script>stolen()</script>', 'vbscript:stolen()', ' javascript:stolen()', 'JaVaScRiPt:stolen()'])(
    '%s: is no link on a page',
    async (uri) => {
      const named = await new ScriptedClient(world.issuer, world.mcpUrl).register({ ...nativeClientMetadata, client_uri: uri, logo_uri: uri })
      const { page } = await atConsent(named)
      expect(page.html).not.toMatch(/script:|data:text/i)
    },
  )
})

describe('AZ-15 AZ-17: what a provider says', () => {
  const atTalking = async () => new ScriptedClient(world.issuer, `${world.issuer}/talking`).register()
  const list = { jsonrpc: '2.0', id: 9, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }

  it.each(decodable)('%s: the words of its refusal reach nobody', async (_name, text) => {
    provider.refusal = { error: 'access_denied', error_description: text, error_uri: `https://evil.example/${text}` }
    const denied = await atTalking()
    const page = await denied.browser.authorize(denied.authorizeUrl(pkce().challenge, { state: 's' }), { user: 'ann' })
    expect(Object.fromEntries(callbackOf(page))).toEqual({
      error: 'access_denied',
      error_description: 'The user or the authorization server behind this gateway denied the request.',
      state: 's',
      iss: world.issuer,
    })
    provider.refusal = { error: text.slice(0, 200) }
    const odd = await denied.browser.authorize(denied.authorizeUrl(pkce().challenge), { user: 'ann' })
    expect(callbackOf(odd).get('error')).toBe('server_error')
    expect(callbackOf(odd).get('error_description')).not.toContain('stolen')
  })

  it.each(hostileTexts)(
    "%s: as the user's name it is text on the account page; as sub or access token it stands in no header, and the call is not made",
    async (_name, text) => {
      provider.user = { sub: 'ann', name: text }
      const named = await atTalking()
      await named.signIn('ann')
      const account = await named.browser.open(`${world.issuer}/account`)
      expectOwnMarkup(account)
      expect(account.forms.length).toBeGreaterThan(0)
      for (const said of [{ user: { sub: text.slice(0, 500) } }, { accessToken: text, user: { sub: 'ann' } }]) {
        Object.assign(provider, { accessToken: 'the-access-token-of-the-provider' }, said)
        const odd = await atTalking()
        const page = await odd.browser.authorize(odd.authorizeUrl(pkce().challenge), { user: 'ann' })
        expect(page.redirect).toBeDefined()
        const { challenge, verifier } = pkce()
        const again = await odd.browser.authorize(odd.authorizeUrl(challenge, { prompt: 'consent' }), { user: 'ann' })
        const code = callbackOf(again).get('code')
        if (code === null) continue
        const tokens = (await odd.redeem(code, verifier)).body
        runtime.requests.length = 0
        const answer = await rpc(`${world.issuer}/talking`, tokens.access_token, list)
        const values = { sub: provider.user.sub, accessToken: provider.accessToken }
        if (/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/.test(text)) {
          const [seen] = runtime.requests
          expect([seen?.header('x-emcy-subject'), seen?.header('x-emcy-access-token')]).toEqual([[values.sub], [values.accessToken]])
        } else {
          expect(answer.message).toMatchObject({ id: 9, error: { code: -32603 } })
          expect(answer.text).not.toContain('stolen')
          expect(runtime.requests).toEqual([])
        }
      }
      await connects(world, 'bob')
    },
  )
})

describe('BC-4 BC-5: what a client sends to the MCP endpoint', () => {
  const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } })

  it('a header value with a line break, a NUL or a fold is no request: nothing reaches the runtime', async () => {
    const { access_token: token } = await connects(world, 'cat')
    runtime.requests.length = 0
    for (const name of ['X-Emcy-Subject', 'Mcp-Session-Id', 'Mcp-Name', 'Mcp-Param-A', 'Last-Event-ID', 'Traceparent', 'Baggage', 'Accept', 'X-Own']) {
      for (const value of ['a\nX-Emcy-Subject: stolen', 'a\rX-Emcy-Subject: stolen', 'a\0b', 'a\r\n X-Emcy-Subject: stolen', 'a\x01', 'a\x7f']) {
        const lines = [`Authorization: Bearer ${token}`, 'Content-Type: application/json', `${name}: ${value}`]
        const answer = await sendRaw(world.issuer, request('/mcp', lines, call), whole)
        const seen = runtime.requests.splice(0)
        // A parser may take a fold for one long value, as RFC 9112 §5.2 lets it; it makes no line of it.
        for (const each of seen) {
          expect(each.header('x-emcy-subject')).toEqual(['cat'])
          expect(each.lines.filter((line) => /^x-emcy-subject: stolen/i.test(line))).toEqual([])
        }
        if (value.startsWith('a\n') || value.startsWith('a\0')) expect([name, value, answer.slice(0, 12), seen]).toEqual([name, value, 'HTTP/1.1 400', []])
      }
    }
    expect(await statusOfCall(world, token)).toBe(200)
  })

  it('names with a space, a colon or a line in them, and two lengths, are no request either', async () => {
    const { access_token: token } = await connects(world, 'dan')
    runtime.requests.length = 0
    for (const line of [
      'X-Emcy-Subject : stolen',
      ' X-Emcy-Subject: stolen',
      'X-Emcy Subject: stolen',
      'X-Emcy-Subject',
      'Content-Length: 5',
      'Transfer-Encoding: chunked',
    ]) {
      await sendRaw(world.issuer, request('/mcp', [`Authorization: Bearer ${token}`, 'Content-Type: application/json', line], call), whole)
      expect([line, runtime.requests.splice(0).filter(({ bytes }) => bytes.includes('stolen') || bytes.includes(token))]).toEqual([line, []])
    }
    expect(await statusOfCall(world, token)).toBe(200)
  })

  it.each(hostileTexts)(
    '%s as a tool, a method and an argument: one header of each kind at the runtime, one line of each in the answer',
    async (_name, text) => {
      const { access_token: token } = await connects(world, 'eli')
      runtime.requests.length = 0
      for (const message of [
        { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: text, arguments: { a: text } } },
        { jsonrpc: '2.0', id: text.slice(0, 100), method: 'tools/list' },
        { jsonrpc: '2.0', id: 1, method: text },
      ]) {
        const body = JSON.stringify(message)
        const answer = await sendRaw(world.issuer, request('/mcp', [`Authorization: Bearer ${token}`, 'Content-Type: application/json'], body), whole)
        expectOwnHead(answer)
      }
      for (const { names, header } of runtime.requests) {
        expect(header('x-emcy-subject')).toEqual(['eli'])
        expect(names.filter((name) => name.startsWith('x-emcy-') || name === 'set-cookie')).toHaveLength(6)
      }
    },
  )
})

describe('BC-9 BC-14: what a runtime says in a challenge', () => {
  it.each([
    'todos.write", error="stolen',
    'todos.write\\", resource_metadata=\\"https://evil.example/',
    'todos.write\tstolen',
    '\u00e9\u00a0stolen"',
    `todos.write ${'s'.repeat(3000)}`,
  ])('scope=%j: each attribute once, of the characters that may stand in it', async (scope) => {
    const { access_token: token } = await connects(world, 'fay')
    runtime.answer = (_request, socket) => {
      socket.write(
        Buffer.from(
          `HTTP/1.1 403 Forbidden\r\nWWW-Authenticate: Bearer error="insufficient_scope", scope="${scope}", error_description="${scope}"\r\ncontent-length: 0\r\n\r\n`,
          'latin1',
        ),
      )
    }
    const { headers } = await rpc(world.mcpUrl, token, JSON.parse(call))
    const challenge = headers.get('www-authenticate')
    if (challenge !== null) {
      expect(challenge).toMatch(/^Bearer (?:[a-z_]+="[\x20\x21\x23-\x5b\x5d-\x7e]*"(?:, |$))+$/)
      const names = [...challenge.matchAll(/([a-z_]+)="/g)].map(([, name]) => name)
      expect(new Set(names).size).toBe(names.length)
      expect(challenge).toContain(`resource_metadata="${world.issuer}/.well-known/oauth-protected-resource/mcp"`)
    }
    runtime.answer = answerJson
    expect(await statusOfCall(world, token)).toBe(200)
  })
  const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } })
})
