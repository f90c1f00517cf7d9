import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { workerContract } from '@emcy/gateway/worker'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { type BareGateway, startBareGateway } from '../harness/bare-gateway.ts'
import { nativeClientMetadata, nativeRedirectUri } from '../harness/oauth-provider.ts'

const source = fileURLToPath(new URL('../../packages/gateway/src', import.meta.url))

/** Names of what an attacker would like to find out bit by bit. */
const secretName = /(hash|mac|secret|token|challenge|verifier|nonce|cookie|password|fingerprint|signature|assertion)$/i

/** Comparisons of such names that tell nobody anything: both sides are ours, or public. */
const harmless: Record<string, string> = {
  'clients/approvals.ts: current?.metadataHash === request.client.metadataHash': 'of public metadata',
  'clients/approvals.ts: approval.metadataHash !== request.client.metadataHash': 'of public metadata',
  'log/clean.ts: .includes(secret)': 'looks for our secrets in a log line, to take them out; what it finds is told to nobody',
  'keys/key-ring.ts: .indexOf(secret)': 'of the options among themselves, at start',
  'grants/grant-machine.ts: tokens.accessToken !== event.refused': 'both from our own store',
  'grants/grant-machine.ts: grant.tokens.refreshToken !== lease.refreshToken': 'both from our own store',
}

/** Every `===`, `!==`, `includes`, `indexOf` and `startsWith` on a secret's name in one file. */
function comparisons(text: string): string[] {
  const operand = String.raw`[\w$.?!()[\]']+`
  const found = [...text.matchAll(new RegExp(`(?:typeof )?(${operand}) ([!=]==?) (${operand})`, 'g'))]
    .filter(([whole]) => !whole.startsWith('typeof '))
    .map(([, left = '', operator = '', right = '']) => [left.replace(/^[(!]+/, ''), operator, right.replace(/[)]+$/, '')] as const)
    .filter(([left, , right]) => secretName.test(left) || secretName.test(right))
    // Presence and kind are no secret: undefined, null, text literals, numbers, keys of our own tables.
    .filter(([left, , right]) => ![left, right].some((each) => /^(undefined|null|true|false|-?\d+|'[^']*'?)$/.test(each)))
    .map((parts) => parts.join(' '))
  const searches = [...text.matchAll(/\.(includes|indexOf|startsWith|endsWith|localeCompare)\((\w+(?:\.\w+)*)\)/g)]
    .filter(([, , name = '']) => secretName.test(name))
    .map(([whole]) => whole)
  return [...found, ...searches]
}

describe('comparisons of secrets', () => {
  it('go through the constant-time helper: no other comparison of a secret’s name stands in the sources', async () => {
    const files = (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'))
    expect(files.length).toBeGreaterThan(150)
    const found: string[] = []
    for (const file of files) for (const each of comparisons(await readFile(join(source, file), 'utf8'))) found.push(`${file}: ${each}`)
    expect(found.filter((each) => harmless[each] === undefined)).toEqual([])
    // An entry that nothing needs any more would hide the next one.
    expect(Object.keys(harmless).filter((each) => !found.includes(each))).toEqual([])
  })

  it('would be found', () => {
    for (const bad of [
      'if (client.secretHash === fingerprint) return',
      'entry.hash !== tokenHash',
      'a.find(({ hash }) => hash === given)',
      'challenge === s256Challenge(verifier)',
      'secrets.includes(secret)',
      'if (cookie == stored.cookie) x()',
    ])
      expect([bad, comparisons(bad).length]).toEqual([bad, 1])
    for (const good of ["grant === 'refresh_token'", 'token === undefined', "typeof secret !== 'string'", 'sameFingerprint(hash, other)'])
      expect([good, comparisons(good)]).toEqual([good, []])
  })

  it('the helper and the worker’s copy of it rest on timingSafeEqual, and nothing else in the sources does', async () => {
    const files = (await readdir(source, { recursive: true })).filter((name) => name.endsWith('.ts'))
    const users: string[] = []
    for (const file of files) if ((await readFile(join(source, file), 'utf8')).includes('timingSafeEqual(')) users.push(file)
    expect(users.sort()).toEqual(['keys/fingerprint.ts', 'worker.ts'])
  })
})

describe('whatever is presented in a secret’s place', () => {
  const right = 'correct-horse-battery-staple-0123456789'
  /** Of the same length, one character off at either end, shorter, longer, empty, other alphabets. */
  const wrong = [
    `${right.slice(0, -1)}x`,
    `x${right.slice(1)}`,
    'x'.repeat(right.length),
    right.slice(0, -1),
    `${right}x`,
    right.toUpperCase(),
    'x',
    'x'.repeat(5_000),
    'ｃorrect-horse',
    '💥',
    '\ud800'.toWellFormed(),
    `${right}\u0301`,
  ]
  let gateway: BareGateway
  beforeAll(async () => {
    gateway = await startBareGateway({
      gateway: {
        clients: {
          preregistered: [{ clientId: 'confidential', clientSecret: right, redirectUris: [nativeRedirectUri], name: 'Confidential', introspect: true }],
          registration: { initialAccessToken: right, perSourcePerHour: 1_000 },
        },
      },
    })
  }, 60_000)
  afterAll(() => gateway?.close())

  /** Status and body of each, as one set: a set of one is an answer that tells nothing. */
  async function answersTo(values: string[], ask: (value: string) => Promise<Response>): Promise<Set<string>> {
    const seen = new Set<string>()
    for (const value of values) {
      const response = await ask(value)
      seen.add(`${response.status} ${response.headers.get('www-authenticate') ?? ''} ${await response.text()}`)
    }
    return seen
  }

  const post = (path: string, members: Record<string, string>, headers: Record<string, string> = {}) =>
    fetch(gateway.issuer + path, { method: 'POST', body: new URLSearchParams(members), headers })

  it.each(['/token', '/introspect', '/revoke', '/par'])('%s: a client secret, in the body and in the header', async (path) => {
    const members = { grant_type: 'refresh_token', refresh_token: 'x', token: 'x' }
    const inBody = await answersTo(wrong, (value) => post(path, { ...members, client_id: 'confidential', client_secret: value }))
    const basic = (value: string) => ({ authorization: `Basic ${Buffer.from(`confidential:${encodeURIComponent(value)}`).toString('base64')}` })
    const inHeader = await answersTo(wrong, (value) => post(path, members, basic(value)))
    expect([inBody.size, inHeader.size]).toEqual([1, 1])
    expect([...inBody, ...inHeader].every((each) => each.startsWith('401 '))).toBe(true)
    expect((await post(path, { ...members, client_id: 'confidential', client_secret: right })).status).not.toBe(401)
  })

  it('an initial access token, and a registration access token of this client or none', async () => {
    const ascii = wrong.filter((value) => /^[\x21-\x7e]+$/.test(value))
    const register = (value: string) =>
      fetch(`${gateway.issuer}/register`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${value}` },
        body: JSON.stringify(nativeClientMetadata),
      })
    expect((await answersTo(ascii, register)).size).toBe(1)
    const { client_id, registration_access_token } = (await (await register(right)).json()) as Record<string, string>
    const manage = (clientId: string) => (value: string) =>
      fetch(`${gateway.issuer}/register?client_id=${clientId}`, { headers: { authorization: `Bearer ${value}` } })
    const near = [`${registration_access_token?.slice(0, -1)}_`, `_${registration_access_token?.slice(1)}`, ...ascii]
    const seen = await answersTo(near, manage(client_id as string))
    for (const each of await answersTo(near, manage('dcr_nobody'))) seen.add(each)
    expect(seen.size).toBe(1)
    expect((await manage(client_id as string)(registration_access_token as string)).status).toBe(200)
  })

  it('a worker secret at the runtime', async () => {
    const contract = workerContract({ secret: [right, 'another-secret-of-the-rotation'] })
    const runtime = createServer((req, res) => contract(req, res, () => res.writeHead(204).end())).listen(0, '127.0.0.1')
    await once(runtime, 'listening')
    const url = `http://127.0.0.1:${(runtime.address() as AddressInfo).port}/`
    const ask = (value: string) => fetch(url, { headers: { 'x-emcy-worker-secret': value } })
    try {
      expect((await answersTo([...wrong.filter((value) => /^[\x21-\x7e]+$/.test(value)), '', `${right}, ${right}`], ask)).size).toBe(1)
      expect([(await ask(right)).status, (await ask('another-secret-of-the-rotation')).status]).toEqual([204, 204])
    } finally {
      runtime.closeAllConnections()
      runtime.close()
    }
  })

  it('an access token: of the right form or none, it is one answer', async () => {
    const tokens = [...wrong.filter((value) => /^[\x21-\x7e]+$/.test(value)), `emcy_at_${'A'.repeat(24)}.1.${'A'.repeat(43)}.${'A'.repeat(22)}`, 'a.b.c']
    const seen = await answersTo(tokens, (value) => fetch(gateway.mcpUrl, { method: 'POST', headers: { authorization: `Bearer ${value}` }, body: '{}' }))
    expect(seen.size).toBe(1)
  })
})
