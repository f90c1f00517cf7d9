import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { createGuardedFetch, type GuardedFetchOptions } from '../../src/http/guarded-fetch.ts'
import { isLoopbackAddress, isPublicAddress, sourceNetwork } from '../../src/lib/addresses.ts'
import { selfSigned } from './certificate.ts'
import { type Listening, listen } from './listen.ts'

const limits = { maxBytes: 100, timeoutMs: 2_000, accept: 'application/json' }
const never = () => Promise.reject(new Error('resolved a name'))
const loopback = [{ address: '127.0.0.1', family: 4 }]

/** Whatever connects to this has got past the guard. */
let connections = 0
const trap = net.createServer((socket) => {
  connections++
  socket.destroy()
})
let port = 0

const certificate = selfSigned('client.example')
const secure = https.createServer({ ...certificate }, (req, res) => {
  res.setHeader('x-host', req.headers.host ?? '')
  if (req.url === '/redirect') res.writeHead(302, { location: '/ok' }).end()
  else if (req.url === '/large') res.end('x'.repeat(101))
  else if (req.url === '/encoded') res.writeHead(200, { 'content-encoding': 'gzip' }).end('x')
  else if (req.url === '/slow') res.write('x')
  else res.end(JSON.stringify(req.headers))
})
let securePort = 0

beforeAll(async () => {
  await new Promise<void>((resolve) => trap.listen(0, '::', resolve))
  port = (trap.address() as AddressInfo).port
  await new Promise<void>((resolve) => secure.listen(0, '127.0.0.1', resolve))
  securePort = (secure.address() as AddressInfo).port
})
afterAll(async () => {
  secure.closeAllConnections()
  await Promise.all([new Promise((resolve) => trap.close(resolve)), new Promise((resolve) => secure.close(resolve))])
})

describe('CR-13 CR-14 the guard on addresses', () => {
  const guarded = (resolve: NonNullable<GuardedFetchOptions['resolve']> = never) => createGuardedFetch({ allowPrivateAddresses: false, resolve })

  it.each([
    ['literal', '127.0.0.1'],
    ['decimal', '2130706433'],
    ['hex', '0x7f000001'],
    ['dotted hex', '0x7f.0x0.0x0.0x1'],
    ['octal', '0177.0.0.1'],
    ['octal as a whole', '017700000001'],
    ['short', '127.1'],
    ['with a trailing dot', '127.0.0.1.'],
    ['full-width digits', '１２７.０.０.１'],
    ['unspecified', '0.0.0.0'],
    ['unspecified, short', '0'],
    ['private 10/8', '10.0.0.1'],
    ['private 172.16/12', '172.16.0.1'],
    ['private 192.168/16', '192.168.1.1'],
    ['link-local, cloud metadata', '169.254.169.254'],
    ['carrier-grade NAT', '100.64.0.1'],
    ['benchmarking', '198.18.0.1'],
    ['multicast', '224.0.0.1'],
    ['broadcast', '255.255.255.255'],
    ['IPv6 loopback', '[::1]'],
    ['IPv6 unspecified', '[::]'],
    ['v4-mapped', '[::ffff:127.0.0.1]'],
    ['v4-mapped, hex', '[::ffff:7f00:1]'],
    ['v4-compatible', '[::127.0.0.1]'],
    ['NAT64', '[64:ff9b::7f00:1]'],
    ['local NAT64', '[64:ff9b:1::7f00:1]'],
    ['6to4', '[2002:7f00:1::]'],
    ['Teredo', '[2001::1]'],
    ['unique local', '[fd00::1]'],
    ['link-local IPv6', '[fe80::1]'],
    ['site-local IPv6', '[fec0::1]'],
    ['documentation', '[2001:db8::1]'],
  ])('refuses an address: %s %s', async (_, host) => {
    const before = connections
    await expect(guarded()(`https://${host}:${port}/`, limits)).rejects.toMatchObject({ failure: 'refused_address' })
    expect(connections).toBe(before)
  })

  it.each([
    ['127.0.0.1', 4],
    ['10.1.2.3', 4],
    ['::1', 6],
    ['::ffff:127.0.0.1', 6],
    ['64:ff9b::a00:1', 6],
    ['fd00::1', 6],
    ['fe80::1%lo', 6],
    ['rubbish', 4],
  ])('refuses a name that resolves to %s', async (address, family) => {
    const before = connections
    await expect(guarded(async () => [{ address, family }])(`https://rebound.example:${port}/`, limits)).rejects.toMatchObject({ failure: 'refused_name' })
    expect(connections).toBe(before)
  })

  it('refuses a name as soon as one of its addresses is private', async () => {
    const mixed = async () => [{ address: '8.8.8.8', family: 4 }, ...loopback]
    await expect(guarded(mixed)(`https://mixed.example:${port}/`, limits)).rejects.toMatchObject({ failure: 'refused_name' })
  })

  it('refuses localhost by the real resolver', async () => {
    const before = connections
    const fetch = createGuardedFetch({ allowPrivateAddresses: false })
    for (const host of ['localhost', 'LOCALHOST', 'any.localhost'])
      await expect(fetch(`https://${host}:${port}/`, limits)).rejects.toMatchObject({ failure: 'refused_address' })
    expect(connections).toBe(before)
  })

  it.each([
    'http://example.com/',
    'http://127.0.0.1/',
    'ftp://example.com/',
    'file:///etc/passwd',
    'data:text/plain,x',
    'https://user:pass@example.com/',
    'nonsense',
  ])('refuses the URL %s', async (url) => {
    await expect(guarded()(url, limits)).rejects.toMatchObject({ failure: 'refused_url' })
  })

  it('judges random addresses as the special-use registry does', () => {
    const special: [number, number][] = [
      [0, 8],
      [10, 8],
      [127, 8],
      [224, 3],
    ].map(([first = 0, bits = 0]) => [first << 24, bits])
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffffffff }), (value) => {
        const address = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.')
        if (special.some(([base, bits]) => value >>> (32 - bits) === base >>> (32 - bits))) expect(isPublicAddress(address)).toBe(false)
        expect(isPublicAddress(`::ffff:${address}`)).toBe(isPublicAddress(address))
      }),
    )
    expect(['8.8.8.8', '1.1.1.1', '2606:4700:4700::1111', '64:ff9b::808:808'].every(isPublicAddress)).toBe(true)
    expect(isLoopbackAddress('127.9.9.9') && isLoopbackAddress('::1') && isLoopbackAddress('::ffff:127.0.0.1')).toBe(true)
    expect(isLoopbackAddress('10.0.0.1')).toBe(false)
  })

  it('counts an IPv6 /64 as one source', () => {
    expect(sourceNetwork('2001:db8:1:2:3:4:5:6')).toBe(sourceNetwork('2001:db8:1:2::9'))
    expect(sourceNetwork('2001:db8:1:3::9')).not.toBe(sourceNetwork('2001:db8:1:2::9'))
    expect(sourceNetwork('::ffff:10.0.0.1')).toBe('10.0.0.1')
    expect(sourceNetwork('unix')).toBe('unix')
  })
})

describe('the fetch itself', () => {
  let asked = 0
  const resolve = async () => {
    asked++
    return loopback
  }
  const fetch = createGuardedFetch({ allowPrivateAddresses: true, resolve, ca: certificate.cert })
  const url = (path: string) => `https://client.example:${securePort}${path}`

  it('connects to the one address that was checked: the name is resolved once', async () => {
    asked = 0
    const answer = await fetch(url('/ok'), { ...limits, maxBytes: 5000 })
    expect(asked).toBe(1)
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-host')).toBe(`client.example:${securePort}`)
    expect(Object.keys(JSON.parse(answer.body.toString('utf8'))).sort()).toEqual(['accept', 'accept-encoding', 'connection', 'host', 'user-agent'])
  })

  it('CR-12 follows no redirect', async () => {
    expect((await fetch(url('/redirect'), limits)).status).toBe(302)
  })

  it('CR-15 stops at its bounds', async () => {
    await expect(fetch(url('/large'), limits)).rejects.toMatchObject({ failure: 'too_large' })
    await expect(fetch(url('/encoded'), limits)).rejects.toMatchObject({ failure: 'encoded' })
    await expect(fetch(url('/slow'), { ...limits, timeoutMs: 150 })).rejects.toMatchObject({ failure: 'timeout' })
  })

  it('does not take another certificate', async () => {
    const untrusting = createGuardedFetch({ allowPrivateAddresses: true, resolve })
    await expect(untrusting(url('/ok'), limits)).rejects.toMatchObject({ failure: 'failed' })
  })

  it('with the development switch, takes http on loopback only', async () => {
    const server: Listening = await listen((_, res) => res.end('{}'))
    try {
      expect((await fetch(`${server.origin}/`, limits)).body.toString('utf8')).toBe('{}')
      const elsewhere = createGuardedFetch({ allowPrivateAddresses: true, resolve: async () => [{ address: '10.0.0.1', family: 4 }] })
      await expect(elsewhere('http://inside.example/', limits)).rejects.toMatchObject({ failure: 'refused_name' })
      await expect(elsewhere('http://10.0.0.1/', limits)).rejects.toMatchObject({ failure: 'refused_address' })
    } finally {
      await server.close()
    }
  })

  it('fails when nobody answers or the name is unknown', async () => {
    await expect(fetch('https://127.0.0.1:1/', limits)).rejects.toMatchObject({ failure: 'failed' })
    const unknown = createGuardedFetch({ allowPrivateAddresses: false, resolve: () => Promise.reject(new Error('ENOTFOUND')) })
    await expect(unknown('https://nowhere.example/', limits)).rejects.toMatchObject({ failure: 'failed' })
    const empty = createGuardedFetch({ allowPrivateAddresses: false, resolve: async () => [] })
    await expect(empty('https://nowhere.example/', limits)).rejects.toMatchObject({ failure: 'failed' })
  })
})
