import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import { type BareGateway, startBareGateway } from '../harness/bare-gateway.ts'
import { answers, type Behaviour, type HostileHost, sendsForever, startHostileHost } from '../harness/hostile-host.ts'
import { visibleText } from '../harness/html-form.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'
import { pkce } from '../harness/scripted-client.ts'

/** Where a host would like to send the gateway. */
let reached = 0
const inside = net.createServer((socket) => {
  reached++
  socket.destroy()
})
let target = ''

let host: HostileHost
let stranger: HostileHost
let gateway: BareGateway
beforeAll(async () => {
  await once(inside.listen(0, '127.0.0.1'), 'listening')
  target = `127.0.0.1:${(inside.address() as AddressInfo).port}`
  ;[host, stranger] = await Promise.all([startHostileHost(), startHostileHost()])
  // The switch lets it fetch from loopback, where the hostile host is; every other bound is as ever.
  const clients = { metadataDocuments: { dangerouslyAllowPrivateAddresses: true } }
  gateway = await startBareGateway({ gateway: { clients }, env: { NODE_EXTRA_CA_CERTS: host.caFile } })
}, 60_000)
afterAll(async () => {
  await Promise.all([gateway?.close(), host?.close(), stranger?.close(), new Promise((closed) => inside.close(closed))])
})
// A minute has room for sixty fetches of one host.
beforeEach(() => gateway.advanceClock(61_000))

const request = (clientId: string) =>
  new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: nativeRedirectUri,
    code_challenge: pkce().challenge,
    code_challenge_method: 'S256',
  })

interface Page {
  status: number
  headers: Headers
  text: string
  ms: number
}

async function authorize(clientId: string): Promise<Page> {
  const startedAt = Date.now()
  const response = await fetch(`${gateway.issuer}/authorize?${request(clientId)}`, { redirect: 'manual', signal: AbortSignal.timeout(25_000) })
  const html = await response.text()
  return { status: response.status, headers: response.headers, text: visibleText(html), ms: Date.now() - startedAt }
}

const document = (path: string, members: object = {}) => JSON.stringify({ client_id: host.origin + path, ...nativeClientMetadata, ...members })
const json = { 'content-type': 'application/json' }

/** A document of exactly so many bytes. */
function documentOf(path: string, bytes: number): string {
  const filler = (length: number) => document(path, { padding: 'x'.repeat(length) })
  return filler(bytes - Buffer.byteLength(filler(0)))
}

const stall = 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n'

describe('CR-15: a host that never comes to an end', () => {
  const endless: [string, Behaviour & { sent?(): number }][] = [
    ['says nothing', () => {}],
    ['sends its head byte by byte', sendsForever('', 'X', 200)],
    ['sends header after header', sendsForever(stall, 'X-A: b\r\n', 100)],
    ['sends its body byte by byte', sendsForever(`${stall}Content-Length: 4000\r\n\r\n`, ' ', 200)],
    ['sends small chunks', sendsForever(`${stall}Transfer-Encoding: chunked\r\n\r\n`, '1\r\n \r\n', 200)],
    ['sends a body without an end', sendsForever(`${stall}Transfer-Encoding: chunked\r\n\r\n`, `1000\r\n${' '.repeat(4096)}\r\n`, 0)],
    ['sends a body until it closes', sendsForever(`${stall}Connection: close\r\n\r\n`, ' '.repeat(65_536), 0)],
    ['sends headers without an end', sendsForever(stall, `X-A: ${'b'.repeat(1024)}\r\n`, 0)],
    ['sends interim answers without an end', sendsForever('', 'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n', 20)],
    ['promises a terabyte', (socket) => void socket.write(`${stall}Content-Length: 1099511627776\r\n\r\n`)],
    ['switches protocols', (socket) => void socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')],
    ['ends before its body does', (socket) => void socket.end(`${stall}Content-Length: 4000\r\n\r\n{`)],
    ['hangs up', (socket) => void socket.destroy()],
    ['speaks another protocol', (socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n')],
  ]

  it('gets five seconds and a few kilobytes; the user gets a page, the host no open connection, and the gateway no heap', async () => {
    const before = await gateway.heapBytes()
    const pages = await Promise.all(
      endless.map(([name, behaviour], index) => authorize(host.on(`/endless-${index}`, behaviour)).then((page) => ({ name, page }))),
    )
    for (const { name, page } of pages) {
      const isTooLarge = name.includes('body without an end') || name.includes('until it closes') || name.includes('terabyte')
      expect([name, page.status, page.headers.get('content-type')]).toEqual([name, isTooLarge ? 400 : 503, 'text/html; charset=utf-8'])
      expect(page.text).toContain(isTooLarge ? 'larger than 5120 bytes' : 'cannot be fetched right now')
      // Five seconds are the bound; the rest is a loaded machine's.
      expect([name, page.ms < 15_000]).toEqual([name, true])
    }
    // What the kernel's buffers and TLS records hold, not what an endless body would have brought in five seconds.
    for (const [name, { sent }] of endless) if (sent) expect([name, sent() < 8_000_000]).toEqual([name, true])
    while (host.open() > 0) await new Promise((next) => setTimeout(next, 20))
    expect((await gateway.heapBytes()) - before).toBeLessThan(8_000_000)
  }, 60_000)
})

describe('CR-7 CR-8 CR-12 CR-15: a host that answers something else', () => {
  it('CR-15: takes 5 KB, and not a byte more', async () => {
    const path = ['/bytes-5120', '/bytes-5121'] as const
    const pages = await Promise.all([
      authorize(host.on(path[0], answers('200 OK', json, documentOf(path[0], 5120)))),
      authorize(host.on(path[1], answers('200 OK', json, documentOf(path[1], 5121)))),
    ])
    expect(pages.map(({ status }) => status)).toEqual([303, 400])
  })

  it('inflates nothing: a compressed answer is refused by its header', async () => {
    const bomb = gzipSync(Buffer.alloc(20_000_000, ' '), { level: 9 })
    for (const encoding of ['gzip', 'br', 'deflate', 'zstd', 'gzip, gzip', 'x-gzip', 'GZIP']) {
      const page = await authorize(
        host.on(`/encoded-${encoding.length}${encoding[0]}`, answers('200 OK', { ...json, 'content-encoding': encoding }, bomb.subarray(0, 4000))),
      )
      expect([encoding, page.status]).toEqual([encoding, 400])
    }
  })

  it('CR-12: goes nowhere else, whatever the host says', async () => {
    reached = 0
    const elsewhere = [`https://${target}/`, `http://${target}/`, `//${target}/`, `${host.origin}/good`, 'file:///etc/passwd']
    for (const [index, location] of elsewhere.entries()) {
      for (const status of ['301 Moved', '302 Found', '303 See Other', '307 Temporary', '308 Permanent', '300 Multiple']) {
        const path = `/moved-${index}-${status.slice(0, 3)}`
        const page = await authorize(
          host.on(path, answers(status, { ...json, location, refresh: `0;url=${location}`, link: `<${location}>; rel=canonical` }, document(path))),
        )
        expect([path, page.status]).toEqual([path, 400])
        expect(page.text).not.toContain(target)
      }
    }
    expect([reached, host.asked.includes('/good')]).toEqual([0, false])
  }, 30_000)

  it('CR-12: takes a good document with status 200 only; a host that fails may be asked again', async () => {
    for (const [status, expected] of [
      ['201 Created', 400],
      ['203 Non-Authoritative', 400],
      ['206 Partial Content', 400],
      ['226 IM Used', 400],
      ['401 Unauthorized', 400],
      ['403 Forbidden', 400],
      ['404 Not Found', 400],
      ['410 Gone', 400],
      ['429 Too Many Requests', 503],
      ['500 Internal Server Error', 503],
      ['503 Service Unavailable', 503],
    ] as const) {
      const path = `/status-${status.slice(0, 3)}`
      expect([status, (await authorize(host.on(path, answers(status, json, document(path))))).status]).toEqual([status, expected])
    }
  })

  it('CR-7 CR-8: takes nothing but a JSON object in UTF-8 that says it is this very client', async () => {
    const good = (path: string) => document(path)
    const bodies: Record<string, (path: string) => string | Buffer> = {
      nothing: () => '',
      html: () => '<!doctype html><title>x</title>',
      text: () => 'root:x:0:0:root:/root:/bin/bash',
      null: () => 'null',
      list: (path) => `[${good(path)}]`,
      two: (path) => good(path) + good(path),
      'a trailing comma': (path) => good(path).replace(/}$/, ',}'),
      'UTF-16': (path) => Buffer.from(good(path), 'utf16le'),
      'invalid UTF-8': (path) => Buffer.concat([Buffer.from(good(path).slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')]),
      'deep lists': () => '['.repeat(5000),
      'deep objects': () => '{"a":'.repeat(850),
      'another client': (path) => good(path).replace(`"${host.origin}${path}"`, `"${host.origin}/another"`),
      'another client behind it': (path) =>
        good(path)
          .replace('{', `{"client_id":"${host.origin}${path}",`)
          .replace(/"client_id":"[^"]*"(?=,"client_name")/, `"client_id":"${host.origin}/b"`),
      'only a prototype': (path) => JSON.stringify({}).replace('}', `"__proto__":${good(path)}}`),
      'a client id that is no text': (path) => good(path).replace(/"client_id":"[^"]*"/, '"client_id":["x"]'),
    }
    for (const [name, bodyOf] of Object.entries(bodies)) {
      const path = `/body-${name.replaceAll(' ', '-')}`
      const page = await authorize(host.on(path, answers('200 OK', json, bodyOf(path))))
      expect([name, page.status]).toEqual([name, 400])
      expect(page.text).not.toMatch(/SyntaxError|Unexpected|position \d|root:x/)
    }
  }, 30_000)

  it('nothing in a document becomes a header, markup or a second line', async () => {
    const split = 'x\r\nSet-Cookie: stolen=1\r\n\r\n<script>alert(1)</script>'
    const path = '/split'
    const id = host.on(
      path,
      answers('200 OK', { ...json, 'x-note': 'fine' }, document(path, { client_name: split, client_uri: 'https://a.example/\r\nX-A: b', logo_uri: split })),
    )
    const page = await authorize(id)
    expect(page.status).toBe(303)
    expect([page.headers.getSetCookie().length, page.headers.get('x-a')]).toEqual([1, null])
    const cookie = page.headers.getSetCookie()[0]?.split(';', 1)[0] ?? ''
    const consent = await fetch(page.headers.get('location') ?? '', { headers: { cookie } })
    const html = await consent.text()
    expect([consent.status, consent.headers.getSetCookie()]).toEqual([200, []])
    expect(html).not.toContain('<script>alert')
    for (const uri of [`${nativeRedirectUri}\r\nSet-Cookie: a=b`, 'https://a.example/\r\n\r\nx', 'https://a.example/\tx', 'javascript:alert(1)//https://a']) {
      const splitPath = `/split-${uri.length}`
      const refused = await authorize(host.on(splitPath, answers('200 OK', json, document(splitPath, { redirect_uris: [uri] }))))
      expect([uri, refused.status, refused.headers.get('set-cookie')]).toEqual([uri, 400, null])
    }
  })

  it('a header of the host that Node does not take is no answer', async () => {
    for (const [index, head] of [
      'HTTP/1.1 200 OK\nContent-Length: 2\n\n{}',
      'HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n',
      'HTTP/9.9 200 OK\r\n\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}',
    ].entries()) {
      const page = await authorize(host.on(`/head-${index}`, (socket) => void socket.end(head)))
      expect([head, [400, 503].includes(page.status)]).toEqual([head, true])
      expect(page.text).not.toMatch(/HPE_|Parse Error/)
    }
  })

  it('CR-14: a certificate that nobody vouches for, or of another name, is no host', async () => {
    stranger.on('/client', answers('200 OK', json, JSON.stringify({ client_id: `${stranger.origin}/client`, ...nativeClientMetadata })))
    const foreign = await authorize(`${stranger.origin}/client`)
    // The certificate is of localhost, and says nothing of addresses.
    const otherName = await authorize(host.on('/client', answers('200 OK', json, document('/client'))).replace('localhost', '127.0.0.1'))
    const plain = await authorize(`https://${target}/client`)
    expect([foreign.status, otherName.status, plain.status]).toEqual([503, 503, 503])
    expect([stranger.asked, host.asked.includes('/client')]).toEqual([[], false])
    for (const { text } of [foreign, otherName, plain]) {
      expect(text).toContain('cannot be fetched right now')
      expect(text).not.toMatch(/certificate|self-signed|altname|TLS|SSL|ECONN/i)
    }
    expect((await authorize(`${host.origin}/client`)).status).toBe(303)
  })
})

describe('after all this', () => {
  it('nothing of what failed was kept, and the gateway is well', async () => {
    const good = await authorize(host.on('/well', answers('200 OK', json, document('/well'))))
    expect(good.status).toBe(303)
    expect(gateway.events().filter(({ level, outcome }) => level === 'error' && outcome === 'server_error')).toEqual([])
    // Those that were good: the largest that may be, the one with the odd name, /client and this one.
    expect(gateway.records()['client-document']).toBe(4)
  })
})
