import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { callbackOf } from '../harness/browser.ts'
import { atCallback, atConsent } from '../harness/legs.ts'
import { nativeRedirectUri } from '../harness/oauth-provider.ts'
import { sendRaw } from '../harness/raw-request.ts'
import { type RawRuntime, startRawRuntime } from '../harness/raw-runtime.ts'
import { pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { expectStopped, stops } from '../harness/stopped.ts'
import { preregistered, startTodo, type TodoWorld } from '../harness/todo.ts'
import { connects, statusOfCall } from '../harness/victim.ts'

/*
 * Parameter pollution: the same thing is said twice, in two ways or in two places, so that whoever stands in front of the gateway, or a later check of it, reads another one than the one
 * that counts.
 */

const prober = { clientId: 'prober', clientSecret: 'secret-of-the-prober-client', redirectUris: [nativeRedirectUri], name: 'Prober', introspect: true }

let runtime: RawRuntime
let world: TodoWorld
let client: ScriptedClient
beforeAll(async () => {
  runtime = await startRawRuntime()
  const clients = { preregistered: [...Object.values(preregistered), prober], registration: { perSourcePerHour: 10_000 } }
  const other = { path: '/other', workerSecret: 'x'.repeat(40), scopes: ['todos.read'], runtime: runtime.url }
  world = await startTodo({ runtime: runtime.url, gateway: { clients }, servers: { other } })
  client = await new ScriptedClient(world.issuer, world.mcpUrl).register()
}, 60_000)
afterAll(async () => {
  await world?.close()
  await runtime?.close()
})
beforeEach(() => {
  runtime.requests.length = 0
})

interface Answered {
  status: number
  body: Record<string, unknown>
  headers: Headers
}

async function post(path: string, body: URLSearchParams | string, headers: Record<string, string> = {}): Promise<Answered> {
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const response = await fetch(world.issuer + path, { method: 'POST', body: body.toString(), headers: { ...type, ...headers } })
  const text = await response.text()
  return { status: response.status, body: text === '' ? {} : (JSON.parse(text) as Record<string, unknown>), headers: response.headers }
}

const basic = (id: string, secret: string) => ({ authorization: `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}` })
const twice = (name: string) => ({ error: 'invalid_request', error_description: `The parameter ${name} must not be sent more than once.` })

/** A request with one parameter said once more, before and behind, with the same value and with another. */
function* pollutions(parameters: [string, string][]): Generator<[name: string, text: string]> {
  const whole = new URLSearchParams(parameters).toString()
  for (const [name, value] of parameters) {
    for (const again of [value, 'other', '']) {
      const more = new URLSearchParams([[name, again]]).toString()
      yield [name, `${whole}&${more}`]
      yield [name, `${more}&${whole}`]
    }
  }
}

describe('AZ-4: a parameter that comes twice (RFC 6749 §3.1, §3.2)', () => {
  it('at /authorize ends on a page of ours, by GET and by POST, whichever it is', async () => {
    const request = [
      ...client.authorizeUrl(pkce().challenge, { scope: 'todos.read', prompt: 'consent', login_hint: 'ann', response_mode: 'query' }).searchParams,
    ]
    for (const [name, text] of pollutions(request.filter(([each]) => each !== 'resource'))) {
      const got = await client.browser.open(`${world.issuer}/authorize?${text}`)
      expectStopped(got, stops.badRequest)
      expect(got.text).toContain(`The parameter ${name} must not be sent more than once.`)
      const posted = await client.browser.open(`${world.issuer}/authorize`, { method: 'POST', body: new URLSearchParams(text) })
      expectStopped(posted, stops.badRequest)
    }
    expect((await client.browser.open(`${world.issuer}/authorize?${new URLSearchParams(request)}`)).forms).toHaveLength(1)
  })

  it('at /par, /token, /revoke and /introspect is invalid_request, and what was sent is still good afterwards', async () => {
    const request = [...client.authorizeUrl(pkce().challenge).searchParams].filter(([name]) => name !== 'resource')
    for (const [name, text] of pollutions(request)) expect(await post('/par', text)).toMatchObject({ status: 400, body: twice(name) })
    const { code, verifier } = await client.code('ann')
    const redemption = Object.entries({
      grant_type: 'authorization_code',
      client_id: client.clientId,
      code,
      code_verifier: verifier,
      redirect_uri: nativeRedirectUri,
      resource: world.mcpUrl,
    })
    for (const [name, text] of pollutions(redemption)) expect(await post('/token', text)).toMatchObject({ status: 400, body: twice(name) })
    const tokens = (await client.redeem(code, verifier)).body
    expect(await statusOfCall(world, tokens.access_token)).toBe(200)
    const refreshing = Object.entries({ grant_type: 'refresh_token', client_id: client.clientId, refresh_token: tokens.refresh_token, scope: 'todos.read' })
    for (const [name, text] of pollutions(refreshing)) expect(await post('/token', text)).toMatchObject({ status: 400, body: twice(name) })
    const revoking = Object.entries({ client_id: client.clientId, token: tokens.refresh_token, token_type_hint: 'refresh_token' })
    for (const [name, text] of pollutions(revoking)) expect(await post('/revoke', text)).toMatchObject({ status: 400, body: twice(name) })
    const looking = Object.entries({ client_id: prober.clientId, client_secret: prober.clientSecret, token: tokens.access_token })
    for (const [name, text] of pollutions(looking)) expect(await post('/introspect', text)).toMatchObject({ status: 400, body: twice(name) })
    expect((await post('/introspect', new URLSearchParams(looking))).body.active).toBe(true)
    expect((await client.refresh(tokens.refresh_token)).status).toBe(200)
  })

  it('at the pages is refused, and the flow goes on with what was said once', async () => {
    const { page } = await atConsent(client, { prompt: 'consent' })
    const again = new URL(page.url)
    again.searchParams.append('transaction', 'other')
    expectStopped(await client.browser.open(again), stops.badRequest)
    const fields: [string, string][] = [...(page.forms[0]?.fields.filter(([name]) => !name.startsWith('scope-')) ?? []), ['decision', 'deny']]
    for (const [, text] of pollutions(fields)) {
      expectStopped(
        await client.browser.open(`${world.issuer}/consent`, { method: 'POST', body: new URLSearchParams(text), headers: { origin: world.issuer } }),
        stops.badRequest,
      )
    }
    const { callback } = await atCallback(client, 'ann', { prompt: 'consent' })
    for (const name of ['state', 'code', 'iss']) {
      for (const value of ['other', callback.searchParams.get(name) ?? '']) {
        const polluted = new URL(callback)
        polluted.searchParams.append(name, value)
        expectStopped(await client.browser.open(polluted), stops.badRequest)
      }
    }
    expect(callbackOf(await client.browser.open(callback)).has('code')).toBe(true)
    const managed = await fetch(`${world.issuer}/register?client_id=${client.clientId}&client_id=public-client`, {
      headers: { authorization: 'Bearer guessed' },
    })
    expect([managed.status, await managed.json()]).toEqual([400, twice('client_id')])
  })
})

describe('AZ-4 TK-3: a parameter in two places, or in a spelling of its own', () => {
  it('what stands in the query of a POST does not count, whatever it is', async () => {
    const { code, verifier } = await client.code('bea')
    const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: client.clientId, code, code_verifier: verifier, resource: world.mcpUrl })
    const inQuery = await post(`/token?${body}`, '')
    expect(inQuery).toMatchObject({ status: 401, body: { error: 'invalid_client' } })
    const withoutVerifier = new URLSearchParams(body)
    withoutVerifier.delete('code_verifier')
    expect(await post(`/token?code_verifier=${verifier}`, withoutVerifier)).toMatchObject({ status: 400, body: { error: 'invalid_request' } })
    const answer = await post('/token?client_id=public-client&code=other&scope=admin&grant_type=refresh_token', body)
    expect(answer.status).toBe(200)
    expect(await statusOfCall(world, String(answer.body.access_token))).toBe(200)
    // A posted authorization request is its body (RFC 6749 §3.1).
    const request = client.authorizeUrl(pkce().challenge, { prompt: 'consent' }).searchParams
    const page = await client.browser.open(`${world.issuer}/authorize?redirect_uri=https://evil.example/&client_id=unknown`, { method: 'POST', body: request })
    expect(page.text).toContain(nativeRedirectUri)
    expectStopped(
      await client.browser.open(`${world.issuer}/authorize?${request}`, {
        method: 'POST',
        body: '',
        headers: { 'content-type': 'application/x-www-form-urlencoded' },
      }),
      stops.badRequest,
    )
  })

  it('arrays, brackets, other cases and separators make other parameters, which nobody reads', async () => {
    const evil = encodeURIComponent('https://evil.example/callback')
    const request = client.authorizeUrl(pkce().challenge, { prompt: 'consent', state: 's' }).search
    for (const more of [
      `redirect_uri[]=${evil}`,
      `redirect_uri%5B%5D=${evil}`,
      `redirect_uri[0]=${evil}`,
      `redirect_uri.0=${evil}`,
      `REDIRECT_URI=${evil}`,
      `redirect_uri%20=${evil}`,
      `%20redirect_uri=${evil}`,
      `x=1;redirect_uri=${evil}`,
      `x=1%26redirect_uri=${evil}`,
      `__proto__[redirect_uri]=${evil}`,
      `constructor=${evil}`,
      `__proto__=${evil}`,
    ]) {
      const page = await client.browser.open(`${world.issuer}/authorize${request}&${more}`)
      expect([more, page.status, page.forms.length]).toEqual([more, 200, 1])
      expect([page.text.includes(nativeRedirectUri), page.html.includes('evil.example')]).toEqual([true, false])
    }
    // And in place of the parameter they are none.
    const { code, verifier } = await client.code('cat')
    const members = { grant_type: 'authorization_code', client_id: client.clientId, code, code_verifier: verifier }
    for (const name of ['code', 'code_verifier', 'client_id', 'grant_type'] as const) {
      for (const spelled of [`${name}[]`, `${name}[0]`, `${name}[$ne]`, name.toUpperCase(), ` ${name}`]) {
        const { [name]: value, ...others } = members
        const answer = await post('/token', new URLSearchParams({ ...others, [spelled]: value }))
        expect([spelled, answer.status, answer.body.error]).toEqual([
          spelled,
          name === 'client_id' ? 401 : 400,
          name === 'client_id' ? 'invalid_client' : 'invalid_request',
        ])
      }
    }
    expect((await client.redeem(code, verifier)).status).toBe(200)
  })

  it('an encoded name is the name: it cannot hide a second one', async () => {
    const request = client.authorizeUrl(pkce().challenge, { prompt: 'consent' }).search
    for (const hidden of ['%63lient_id=public-client', 'redirect%5furi=https://evil.example/', 'redirect_ur%69=https://evil.example/', '%73tate=other']) {
      expectStopped(await client.browser.open(`${world.issuer}/authorize${request}&${hidden}`), stops.badRequest)
    }
  })
})

describe('TK-12 TK-3: a client that says twice who it is', () => {
  const { clientId, clientSecret } = preregistered.confidential

  it('by Basic and in the body: the same id is no contradiction, another one is, and two proofs are too many (RFC 6749 §2.3)', async () => {
    const token = 'emcy_rt_nothing'
    const assertion = { client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', client_assertion: 'e30.e30.e30' }
    const tooMany = { error: 'invalid_request', error_description: 'A client must not use more than one authentication method in a request.' }
    const differs = { error: 'invalid_client', error_description: 'client_id differs from the client that authenticates.' }
    const tries: [Record<string, string>, Record<string, string>, number, object][] = [
      [{ client_id: clientId }, basic(clientId, clientSecret), 200, {}],
      [{ client_id: 'public-client' }, basic(clientId, clientSecret), 401, differs],
      [{ client_id: clientId }, basic('public-client', ''), 401, differs],
      [{ client_id: clientId, client_secret: clientSecret }, basic(clientId, clientSecret), 400, tooMany],
      [{ client_secret: clientSecret }, basic(clientId, clientSecret), 400, tooMany],
      [{ client_id: clientId, client_secret: 'wrong' }, basic(clientId, clientSecret), 400, tooMany],
      [assertion, basic(clientId, clientSecret), 400, tooMany],
      [{ client_id: clientId, client_secret: clientSecret, ...assertion }, {}, 400, tooMany],
    ]
    for (const [members, headers, status, body] of tries) {
      for (const path of ['/revoke', '/token', '/introspect']) {
        const answer = await post(path, new URLSearchParams({ grant_type: 'refresh_token', refresh_token: token, token, ...members }), headers)
        // Who proved itself is refused for what it asked, and for nothing else.
        const expected = status !== 200 ? [status, body] : { '/revoke': [200, {}], '/token': [400, expect.objectContaining({ error: 'invalid_grant' })] }[path]
        expect([path, members, answer.status, answer.body]).toEqual([
          path,
          members,
          ...(expected ?? [403, expect.objectContaining({ error: 'unauthorized_client' })]),
        ])
      }
    }
  })

  it('in two Authorization headers: refused, whatever they say and in whichever order', async () => {
    const right = `Authorization: ${basic(clientId, clientSecret).authorization}`
    const wrong = `Authorization: ${basic('public-client', 'x').authorization}`
    const body = 'token=emcy_rt_nothing'
    const request = (lines: string[]) =>
      [
        'POST /revoke HTTP/1.1',
        `Host: ${new URL(world.issuer).host}`,
        'Content-Type: application/x-www-form-urlencoded',
        ...lines,
        `Content-Length: ${body.length}`,
        '',
        body,
      ].join('\r\n')
    expect(await sendRaw(world.issuer, request([right]))).toMatch(/^HTTP\/1\.1 200 /)
    for (const lines of [
      [right, wrong],
      [wrong, right],
      [right, right],
      [right, right.replace('Authorization', 'AUTHORIZATION')],
      [right, 'Authorization: '],
    ]) {
      const answer = await sendRaw(world.issuer, request(lines), (text) => text.includes('}'))
      expect(answer).toMatch(/^HTTP\/1\.1 400 /)
      expect(answer).toContain('{"error":"invalid_request","error_description":"The Authorization header must not be sent more than once."}')
    }
  })
})

describe('TK-5: resource, which RFC 8707 lets come several times', () => {
  const ask = (...more: string[]) => {
    const url = client.authorizeUrl(pkce().challenge, { resource: undefined, prompt: 'consent', scope: 'todos.read' })
    return client.browser.open(`${url}&${more.join('&')}`)
  }
  const resource = (path: string, name = 'resource') => `${name}=${encodeURIComponent(world.issuer + path)}`

  it('at /authorize: the same one again is one; two are invalid_target, also where a name is encoded; more than sixteen are not read', async () => {
    expect((await ask(resource('/other'), resource('/other/'))).text).toContain('other')
    for (const two of [
      [resource('/mcp'), resource('/other')],
      [resource('/other'), resource('/mcp', '%72esource')],
      [resource('/mcp', 'r%65source'), resource('/other', '%72esource')],
      [...Array<string>(15).fill(resource('/mcp')), resource('/other')],
    ]) {
      const answer = callbackOf(await ask(...two))
      expect([answer.get('error'), answer.has('code'), answer.get('iss')]).toEqual(['invalid_target', false, world.issuer])
    }
    expectStopped(await ask(...Array<string>(16).fill(resource('/mcp')), resource('/other')), stops.badRequest)
  })

  it('an encoded name means what it says: a code for the other server, and no token for this one', async () => {
    const { verifier, challenge } = pkce()
    const url = client.authorizeUrl(challenge, { resource: undefined, prompt: 'consent', scope: 'todos.read' })
    const page = await client.browser.authorize(`${url}&${resource('/other', '%72esource')}`, { user: 'dan' })
    const code = callbackOf(page).get('code') ?? ''
    expect((await client.redeem<Record<string, unknown>>(code, verifier)).body.error).toBe('invalid_target')
    const { body } = await client.redeem(code, verifier, { resource: `${world.issuer}/other` })
    expect((await rpc(world.mcpUrl, body.access_token, { jsonrpc: '2.0', id: 1, method: 'tools/list' })).status).toBe(401)
    expect((await rpc(`${world.issuer}/other`, body.access_token, { jsonrpc: '2.0', id: 1, method: 'tools/list' })).status).toBe(200)
  })

  it('at /token one is enough: a second is invalid_request, since a token is for one server', async () => {
    const { code, verifier } = await client.code('eli')
    const body = new URLSearchParams({ grant_type: 'authorization_code', client_id: client.clientId, code, code_verifier: verifier, resource: world.mcpUrl })
    expect(await post('/token', `${body}&${resource('/other')}`)).toMatchObject({ status: 400, body: twice('resource') })
    expect((await client.redeem(code, verifier)).status).toBe(200)
  })
})

describe('BC-1 BC-5 BC-7: the access token of a call', () => {
  const call = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } })
  const raw = (target: string, lines: string[], body = call, type = 'application/json') =>
    sendRaw(
      world.issuer,
      [`POST ${target} HTTP/1.1`, `Host: ${new URL(world.issuer).host}`, `Content-Type: ${type}`, ...lines, `Content-Length: ${body.length}`, '', body].join(
        '\r\n',
      ),
      (text) => /\r\n\r\n[\s\S]*\}/.test(text),
    )
  const challengeOf = (answer: string) => /^WWW-Authenticate: (.*)\r$/im.exec(answer)?.[1]

  it('in the query or in a form is none: the answer is that to a request without one', async () => {
    const { access_token: token } = await connects(world, 'fay')
    runtime.requests.length = 0
    const nothing = challengeOf(await raw('/mcp', []))
    expect(nothing).toMatch(/^Bearer resource_metadata="[^"]+", scope="[^"]+"$/)
    const without: [string, string, string][] = [
      [`/mcp?access_token=${token}`, call, 'application/json'],
      [`/mcp?Authorization=Bearer%20${token}`, call, 'application/json'],
      ['/mcp', `access_token=${token}`, 'application/x-www-form-urlencoded'],
      ['/mcp', JSON.stringify({ ...JSON.parse(call), access_token: token }), 'application/json'],
    ]
    for (const [target, body, type] of without) {
      const answer = await raw(target, [], body, type)
      expect([target, answer.slice(0, 12), challengeOf(answer)]).toEqual([target, 'HTTP/1.1 401', nothing])
    }
    for (const line of [`Cookie: access_token=${token}`, `X-Access-Token: ${token}`, `Proxy-Authorization: Bearer ${token}`, `Mcp-Session-Id: ${token}`]) {
      const answer = await raw('/mcp', [line])
      expect([line, answer.slice(0, 12)]).toEqual([line, 'HTTP/1.1 401'])
    }
    expect(runtime.requests).toEqual([])
  })

  it("in two headers is none; of the victim's in the header and the attacker's in the query, the header counts and the query goes nowhere", async () => {
    const [ann, eve] = [await connects(world, 'ann'), await connects(world, 'eve')]
    runtime.requests.length = 0
    const [first, second] = [`Authorization: Bearer ${ann.access_token}`, `Authorization: Bearer ${eve.access_token}`]
    for (const lines of [
      [first, second],
      [second, first],
      [first, first],
      [first, 'authorization: '],
      [`Authorization: Bearer ${ann.access_token}, Bearer ${eve.access_token}`],
      [`Authorization: Bearer ${ann.access_token} ${eve.access_token}`],
    ]) {
      const answer = await raw('/mcp', lines)
      expect([answer.slice(0, 12), challengeOf(answer)]).toEqual(['HTTP/1.1 401', expect.stringContaining('error="invalid_token"')])
    }
    expect(runtime.requests).toEqual([])
    expect(await raw(`/mcp?access_token=${eve.access_token}`, [first])).toMatch(/^HTTP\/1\.1 200 /)
    expect(runtime.requests.map(({ lines, header }) => [lines[0], header('x-emcy-subject')])).toEqual([['POST /mcp HTTP/1.1', ['ann']]])
    expect(runtime.requests[0]?.bytes.includes('emcy_at_')).toBe(false)
  })
})
