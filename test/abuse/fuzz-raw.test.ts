import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type BareGateway, startBareGateway } from '../harness/bare-gateway.ts'
import { type RawAnswer, sendBytes } from '../harness/raw-http.ts'

let gateway: BareGateway
beforeAll(async () => {
  gateway = await startBareGateway()
}, 60_000)
afterAll(() => gateway?.close())

const send = (text: string) => sendBytes(gateway.issuer, text)
const head = (line: string, ...headers: string[]) => [line, 'Host: x', 'Connection: close', ...headers, '', ''].join('\r\n')
const form = 'Content-Type: application/x-www-form-urlencoded'
const leaks = /\bat .{1,200}:\d+:\d+\)?|node:internal|node_modules|packages\/gateway|HPE_|Parse Error|Error:/

/** Nothing leaks, and what is not an answer is an end of the connection. */
async function statusOf(text: string): Promise<number | undefined> {
  const answer = await send(text)
  expect(answer.whole).not.toMatch(leaks)
  return answer.status
}

describe('request targets', () => {
  it.each<[string, number]>([
    // RFC 9112 §3.2.2: the absolute form is taken, and its host means nothing.
    ['GET http://evil.example/authorize HTTP/1.1', 400],
    ['GET http://evil.example/.well-known/oauth-authorization-server HTTP/1.1', 200],
    ['GET https://evil.example:99999/jwks/.. HTTP/1.1', 404],
    ['GET ftp://evil.example/authorize HTTP/1.1', 404],
    // Nothing is decoded or normalised: a path has one spelling, but for one slash at its end.
    ['GET /authorize/ HTTP/1.1', 400],
    ['GET //authorize HTTP/1.1', 404],
    ['GET /authorize// HTTP/1.1', 404],
    ['GET /%61uthorize HTTP/1.1', 404],
    ['GET /authorize%2f HTTP/1.1', 404],
    ['GET /authorize%00 HTTP/1.1', 404],
    ['GET /AUTHORIZE HTTP/1.1', 404],
    ['GET /./authorize HTTP/1.1', 404],
    ['GET /x/../authorize HTTP/1.1', 404],
    ['GET /authorize;a=b HTTP/1.1', 404],
    ['GET /authorize/..;/token HTTP/1.1', 404],
    ['GET /authorize\\ HTTP/1.1', 404],
    ['GET \\authorize HTTP/1.1', 400],
    ['GET authorize HTTP/1.1', 400],
    ['GET //evil.example/%2f.. HTTP/1.1', 404],
    ['GET ?client_id=x HTTP/1.1', 400],
    ['OPTIONS * HTTP/1.1', 404],
    ['GET * HTTP/1.1', 404],
    ['GET /authorize?%ff HTTP/1.1', 400],
    ['GET /authorize??a=b&&&=&client_id HTTP/1.1', 400],
    ['GET /authorize?client_id=a#&client_id=b HTTP/1.1', 400],
    ['GET /consent?transaction=%ed%a0%80 HTTP/1.1', 400],
    ['GET /.well-known/oauth-protected-resource/../../mcp HTTP/1.1', 404],
  ])('%s', async (line, expected) => {
    expect(await statusOf(head(line))).toBe(expected)
  })

  it('a line and a head of any length: Node answers 431 from 16 KiB on, and nothing of ours is asked', async () => {
    for (const length of [1_000, 8_000, 15_000])
      expect([length, await statusOf(head(`GET /authorize?client_id=${'x'.repeat(length)} HTTP/1.1`))]).toEqual([length, 400])
    for (const length of [17_000, 100_000, 1_000_000])
      expect([length, await statusOf(head(`GET /authorize?client_id=${'x'.repeat(length)} HTTP/1.1`))]).toEqual([length, 431])
    expect(await statusOf(head('GET /authorize HTTP/1.1', ...Array.from({ length: 2_000 }, (_, index) => `X-${index}: ${'y'.repeat(20)}`)))).toBe(431)
    expect(await statusOf(head('POST /mcp HTTP/1.1', 'Content-Length: 2', `Authorization: Bearer ${'a'.repeat(20_000)}`))).toBe(431)
  })
})

describe('what is no request', () => {
  it.each<[string, string, (number | undefined)[]]>([
    ['nothing that HTTP is', 'hello\r\n\r\n', [400]],
    ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', [400]],
    ['an HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', [400, 404, undefined]],
    ['HTTP/0.9', 'GET /authorize\r\n\r\n', [400]],
    ['HTTP/3', 'GET /authorize HTTP/3.0\r\nHost: x\r\n\r\n', [400]],
    ['no Host', 'GET /authorize HTTP/1.1\r\nConnection: close\r\n\r\n', [400]],
    ['two Hosts', 'GET /authorize HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n', [400]],
    ['an unknown method', head('FOO /token HTTP/1.1'), [400]],
    ['a method in lower case', head('get /authorize HTTP/1.1'), [400]],
    ['CONNECT', head('CONNECT evil.example:443 HTTP/1.1'), [undefined, 404]],
    ['a tab in the line', head('GET\t/authorize HTTP/1.1'), [400]],
    ['a NUL in the target', head('GET /authorize\0 HTTP/1.1'), [400]],
    ['a NUL in a header', head('GET /authorize HTTP/1.1', 'Cookie: a\0b'), [400]],
    ['a bare line feed', 'GET /authorize HTTP/1.1\nHost: x\nConnection: close\n\n', [400]],
    ['a folded header', head('GET /authorize HTTP/1.1', 'X-A: b\r\n folded'), [400]],
    ['a header without a name', head('GET /authorize HTTP/1.1', ': x'), [400]],
    ['a space before the colon', head('GET /authorize HTTP/1.1', 'Content-Length : 3'), [400]],
    ['bytes above ASCII in a header', head('GET /authorize HTTP/1.1', 'Cookie: \xff\xfe=\x80'), [400]],
    ['two lengths', `${head('POST /token HTTP/1.1', form, 'Content-Length: 3', 'Content-Length: 4')}a=b&`, [400]],
    ['a negative length', head('POST /token HTTP/1.1', form, 'Content-Length: -1'), [400]],
    ['a length that is no number', head('POST /token HTTP/1.1', form, 'Content-Length: 1e3'), [400]],
    ['a length of twenty digits', head('POST /token HTTP/1.1', form, 'Content-Length: 99999999999999999999'), [400]],
    ['length and chunks', `${head('POST /token HTTP/1.1', form, 'Content-Length: 3', 'Transfer-Encoding: chunked')}0\r\n\r\n`, [400]],
    ['an unknown transfer coding', `${head('POST /token HTTP/1.1', form, 'Transfer-Encoding: gzip')}abc`, [400, 501]],
    ['chunked, not last', `${head('POST /token HTTP/1.1', form, 'Transfer-Encoding: chunked, gzip')}0\r\n\r\n`, [400]],
    ['a chunk size that is none', `${head('POST /token HTTP/1.1', form, 'Transfer-Encoding: chunked')}zz\r\nabc\r\n0\r\n\r\n`, [400]],
    ['a chunk that is longer than it says', `${head('POST /token HTTP/1.1', form, 'Transfer-Encoding: chunked')}2\r\nabcdef\r\n0\r\n\r\n`, [400]],
    ['a chunk of 2^64', `${head('POST /token HTTP/1.1', form, 'Transfer-Encoding: chunked')}10000000000000000\r\nabc`, [400]],
    ['an expectation that nobody meets', head('POST /token HTTP/1.1', form, 'Content-Length: 0', 'Expect: the-unexpected'), [417]],
    ['an expectation that is met', `${head('POST /token HTTP/1.1', form, 'Content-Length: 3', 'Expect: 100-continue')}a=b`, [401]],
    [
      'an upgrade to HTTP/2',
      head('GET /authorize HTTP/1.1', 'Connection: Upgrade, HTTP2-Settings, close', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__'),
      [400],
    ],
    ['an upgrade to a web socket', head('GET /mcp HTTP/1.1', 'Connection: Upgrade, close', 'Upgrade: websocket', 'Sec-WebSocket-Key: x'), [401]],
  ])('%s ends with its status or at once', async (_, bytes, expected) => {
    expect(expected).toContain(await statusOf(bytes))
  })

  it('a chunk extension and trailers mean nothing', async () => {
    const body = '3;name=value\r\na=b\r\n0\r\nAuthorization: Basic eDp5\r\n\r\n'
    const answer = await send(head('POST /token HTTP/1.1', form, 'Transfer-Encoding: chunked') + body)
    expect([answer.status, JSON.parse(answer.body.replace(/^[^{]*|[^}]*$/g, '')).error]).toEqual([401, 'invalid_client'])
  })

  it('two requests in one go get two answers, in order and each its own', async () => {
    const first = 'POST /token HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n'
    const { whole } = await send(`${first}${head('GET /jwks-none HTTP/1.1')}`)
    expect([...whole.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => match[1])).toEqual(['400', '404'])
  })

  it('a client that leaves in the middle of its request, two hundred times, leaves nothing open and nothing in the log as a failure', async () => {
    const left: Promise<RawAnswer>[] = []
    for (let index = 0; index < 200; index++) {
      const path = ['/token', '/register', '/par', '/consent', '/mcp'][index % 5]
      left.push(sendBytes(gateway.issuer, `${head(`POST ${path} HTTP/1.1`, form, 'Content-Length: 100')}a=`, { leaveAfterMs: 20 + (index % 10) }))
    }
    await Promise.all(left)
    expect(await statusOf(head('GET /.well-known/oauth-authorization-server HTTP/1.1'))).toBe(200)
  })
})

describe('after all this', () => {
  it('the gateway has met nothing that it did not expect, and stored nothing', () => {
    expect(gateway.events().filter(({ level }) => level === 'error')).toEqual([])
    expect(gateway.records()).toEqual({})
  })
})
