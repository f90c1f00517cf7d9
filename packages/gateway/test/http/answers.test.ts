import { createHash } from 'node:crypto'
import { afterEach, describe, expect, it } from '@jest/globals'
import { GatewayError, ProviderUnavailable, StoreUnavailable } from '../../src/errors/errors.ts'
import { OAuthError } from '../../src/errors/oauth-error.ts'
import { challenge } from '../../src/http/challenge.ts'
import { cookieName, readCookie, setCookie } from '../../src/http/cookies.ts'
import { cors } from '../../src/http/cors.ts'
import { sendEmpty, sendJson, sendPage, sendRedirect } from '../../src/http/respond.ts'
import { sendOAuthError, toOAuthAnswer } from '../../src/http/send-error.ts'
import { ask, type Listening, listen } from './listen.ts'

let server: Listening | undefined
afterEach(() => server?.close())

async function answered(handler: Parameters<typeof listen>[0], options: Parameters<typeof ask>[1] = {}) {
  await server?.close()
  server = await listen(handler)
  return ask(server.port, options)
}

describe('sendJson', () => {
  it('answers without negotiating, and HEAD without a body', async () => {
    const answer = await answered((_, res) => sendJson(res, 200, { a: 'ü' }), { headers: { accept: 'text/html' } })
    expect(answer.headers).toMatchObject({
      'content-type': 'application/json',
      'cache-control': 'no-store',
      'content-length': '10',
      'x-content-type-options': 'nosniff',
    })
    expect(answer.text).toBe('{"a":"ü"}')
    expect(await answered((_, res) => sendJson(res, 200, { a: 1 }), { method: 'HEAD' })).toMatchObject({
      status: 200,
      text: '',
      headers: { 'content-length': '7' },
    })
  })
})

describe('sendPage', () => {
  it('AZ-8 cannot be framed, runs no script, allows its own style by hash', async () => {
    const { headers } = await answered((_, res) => sendPage(res, 200, '<html><style>a{}</style><p>x</p></html>', { formAction: ['https://client.example'] }))
    const policy = String(headers['content-security-policy'])
    expect(policy.split('; ')).toEqual([
      "default-src 'none'",
      `style-src 'sha256-${createHash('sha256').update('a{}').digest('base64')}'`,
      "img-src 'self' data: https:",
      "form-action 'self' https://client.example",
      "frame-ancestors 'none'",
      "base-uri 'none'",
    ])
    expect(headers).toMatchObject({
      'x-frame-options': 'DENY',
      'referrer-policy': 'no-referrer',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
    })
  })

  it('lets no redirect host write into the policy', async () => {
    const hostile = new URL("https://a;script-src*,'unsafe-inline'.example/").origin
    expect(hostile).toContain(';')
    const { headers } = await answered((_, res) => sendPage(res, 200, '', { formAction: [hostile, 'http://127.0.0.1:8080', "'unsafe-inline'", '*'] }))
    expect(headers['content-security-policy']).toContain("form-action 'self' http://127.0.0.1:8080; frame")
  })
})

describe('sendRedirect', () => {
  it('sends the URL on to the character, and encodes what a header cannot hold', async () => {
    expect((await answered((_, res) => sendRedirect(res, 'http://localhost:1/cb?a=%2f&b=[x]'))).headers.location).toBe('http://localhost:1/cb?a=%2f&b=[x]')
    const { status, headers } = await answered((_, res) => sendRedirect(res, 'https://a.example/ü\r\nSet-Cookie:x=1 \u{d800}'))
    expect(status).toBe(303)
    expect(headers.location).toBe('https://a.example/%C3%BC%0D%0ASet-Cookie:x=1%20%EF%BF%BD')
    expect(headers['set-cookie']).toBeUndefined()
    expect(headers['referrer-policy']).toBe('no-referrer')
  })
})

describe('cookies', () => {
  it('AZ-9 go out with the __Host- prefix, Secure, HttpOnly and SameSite=Lax, each beside the others', async () => {
    const name = cookieName({ loopback: false }, 'emcy-tx-1')
    const { headers } = await answered((_, res) => {
      setCookie(res, { name, value: 'abc', maxAgeSeconds: 600, secure: true })
      setCookie(res, { name: cookieName({ loopback: true }, 'emcy-b'), value: '', maxAgeSeconds: 0, secure: false })
      sendEmpty(res, 204)
    })
    expect(headers['set-cookie']).toEqual([
      '__Host-emcy-tx-1=abc; Path=/; Max-Age=600; HttpOnly; SameSite=Lax; Secure',
      'emcy-b=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax',
    ])
  })

  it('are read by their whole name', async () => {
    const read = (cookie: string) => answered((req, res) => res.end(String(readCookie(req, 'tx'))), { headers: { cookie } })
    expect((await read('a=1; tx=two==; tx=two==')).text).toBe('two==')
    expect((await read('tx=two; tx=3')).text).toBe('undefined')
    expect((await read('xtx=1; tx2=2; tx')).text).toBe('undefined')
  })

  it('refuse values that would end them', () => {
    for (const value of ['a;b', 'a b', 'a"', 'ü', 'a\r\n']) {
      expect(() => setCookie({ appendHeader: () => undefined } as never, { name: 'a', value, maxAgeSeconds: 1, secure: true })).toThrow('cannot be set')
    }
  })
})

describe('challenge', () => {
  const resourceMetadata = 'https://mcp.example.com/.well-known/oauth-protected-resource/mcp'

  it('PR-3, BC-7, BC-8 names the metadata and the scopes', () => {
    expect(challenge('Bearer', { resourceMetadata, scope: 'a b' })).toBe(`Bearer resource_metadata="${resourceMetadata}", scope="a b"`)
    expect(challenge('Bearer', { resourceMetadata, scope: '', error: 'invalid_token' })).toBe(
      `Bearer resource_metadata="${resourceMetadata}", error="invalid_token"`,
    )
  })

  it('BC-14 drops quotes, backslashes, control and non-ASCII characters', () => {
    const shown = challenge('Bearer', { resourceMetadata, error: 'insufficient_scope', errorDescription: 'tool "x\\", scope="all"\r\nü' })
    expect(shown).toBe(`Bearer resource_metadata="${resourceMetadata}", error="insufficient_scope", error_description="tool x, scope=all"`)
  })
})

describe('cors', () => {
  const preflight = (origin: string, headers: Record<string, string> = {}) => ({
    method: 'OPTIONS',
    headers: { origin, 'access-control-request-method': 'POST', ...headers },
  })
  const handler = (origin: '*' | string[]): Parameters<typeof listen>[0] => {
    return (req, res) => {
      if (cors(req, res, { origin, methods: ['GET', 'POST'] }) === 'go-on') sendJson(res, 401, {}, { 'www-authenticate': 'Bearer' })
    }
  }

  it('answers a preflight with the headers that real browser clients need, without credentials', async () => {
    const { status, headers } = await answered(
      handler('*'),
      preflight('https://app.example', { 'access-control-request-headers': 'Mcp-Param-Region, x-other' }),
    )
    expect(status).toBe(204)
    expect(headers['access-control-allow-origin']).toBe('*')
    expect(headers['access-control-allow-methods']).toBe('GET, POST')
    expect(headers['access-control-allow-headers']).toBe(
      'authorization, content-type, dpop, mcp-protocol-version, mcp-session-id, mcp-method, mcp-name, last-event-id, mcp-param-region',
    )
    expect(headers['access-control-allow-credentials']).toBeUndefined()
  })

  it('lets a page read a 401', async () => {
    const { status, headers } = await answered(handler('*'), { method: 'POST', headers: { origin: 'https://app.example' } })
    expect(status).toBe(401)
    expect(headers['access-control-allow-origin']).toBe('*')
    expect(headers['access-control-expose-headers']).toContain('WWW-Authenticate, Mcp-Session-Id')
  })

  it('names a listed origin and no other', async () => {
    const listed = ['https://app.example']
    const known = await answered(handler(listed), preflight('https://app.example'))
    expect(known.headers).toMatchObject({ 'access-control-allow-origin': 'https://app.example', vary: 'Origin' })
    for (const origin of ['https://app.example.evil', 'null', 'https://APP.example']) {
      const other = await answered(handler(listed), preflight(origin))
      expect(other.headers['access-control-allow-origin']).toBeUndefined()
      expect(other.headers.vary).toBe('Origin')
    }
  })

  it('leaves a plain OPTIONS to the route', async () => {
    expect((await answered(handler('*'), { method: 'OPTIONS' })).status).toBe(401)
  })
})

describe('sendOAuthError', () => {
  it('TK-12 answers an OAuth error with its status, headers and JSON', async () => {
    const error = new OAuthError('invalid_client', 'No "such" client.', { headers: { 'www-authenticate': 'Basic realm="token"' }, reason: 'secret reason' })
    const { status, headers, text } = await answered((_, res) => sendOAuthError(res, error))
    expect(status).toBe(401)
    expect(headers['www-authenticate']).toBe('Basic realm="token"')
    expect(headers['cache-control']).toBe('no-store')
    expect(JSON.parse(text)).toEqual({ error: 'invalid_client', error_description: 'No ?such? client.' })
  })

  it('says temporarily_unavailable, never 401, when store or provider is down', () => {
    expect(toOAuthAnswer(new StoreUnavailable('redis://secret'))).toMatchObject({
      status: 503,
      error: 'temporarily_unavailable',
      headers: { 'retry-after': '2' },
    })
    expect(toOAuthAnswer(new ProviderUnavailable('timeout'))).toMatchObject({ status: 503, error: 'temporarily_unavailable' })
    expect(toOAuthAnswer(new GatewayError('grant_dead'))).toMatchObject({ status: 400, error: 'invalid_grant' })
  })

  it('leaks nothing of what failed inside, and gives its id', async () => {
    for (const error of [new Error('password=hunter2'), new GatewayError('config_invalid', { message: 'hunter2' }), 'hunter2']) {
      const { status, text } = await answered((_, res) => sendOAuthError(res, error, 'req-1'))
      expect(status).toBe(500)
      expect(JSON.parse(text)).toEqual({ error: 'server_error', error_description: 'Something failed inside the gateway. Its id in the log is req-1.' })
      expect(toOAuthAnswer(error).reason).toContain('hunter2')
    }
  })

  it('closes the socket when another answer has begun', async () => {
    const cut = answered((_, res) => {
      res.writeHead(200, { 'content-length': '10' })
      res.write('half', () => sendOAuthError(res, new Error('late')))
    })
    await expect(cut).rejects.toThrow('aborted')
  })
})
