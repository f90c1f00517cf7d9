import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals'
import { callbackOf } from '../harness/browser.ts'
import { type Answer, pkce, rpc, ScriptedClient } from '../harness/scripted-client.ts'
import { startTodo, type TodoWorld } from '../harness/todo.ts'

/*
 * PKCE downgrade (RFC 9700 §4.8.2, RFC 7636): whoever can change a victim's authorization request takes the challenge out of it, or makes it weaker, so that the code works without the
 * victim's verifier. The victim here has approved the client before, so nothing but these checks stands between the request and a code.
 */

let world: TodoWorld
let victim: ScriptedClient
beforeAll(async () => {
  world = await startTodo({ runtime: 'local' })
  victim = await new ScriptedClient(world.issuer, world.mcpUrl).register()
  await victim.signIn('ann')
}, 60_000)
afterAll(() => world?.close())

const list = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 'list_todos', arguments: {} } }
const s256 = (verifier: string) => createHash('sha256').update(verifier).digest('base64url')
const long = (length: number) => 'v'.repeat(length)

type Members = Record<string, string | undefined>

const { challenge } = pkce()
const weakened: [string, Members, string][] = [
  [
    'without a challenge',
    { code_challenge: undefined, code_challenge_method: undefined },
    'The parameter code_challenge is missing. PKCE with S256 is required.',
  ],
  ['with a method alone', { code_challenge: undefined }, 'The parameter code_challenge is missing. PKCE with S256 is required.'],
  ['with an empty challenge', { code_challenge: '' }, 'The parameter code_challenge is missing. PKCE with S256 is required.'],
  ['with plain', { code_challenge_method: 'plain' }, 'Only code_challenge_method=S256 is supported.'],
  ['with plain by leaving the method out (RFC 7636 §4.3)', { code_challenge_method: undefined }, 'Only code_challenge_method=S256 is supported.'],
  ['with an empty method', { code_challenge_method: '' }, 'Only code_challenge_method=S256 is supported.'],
  ['with s256', { code_challenge_method: 's256' }, 'Only code_challenge_method=S256 is supported.'],
  ['with S256 and a space', { code_challenge_method: 'S256 ' }, 'Only code_challenge_method=S256 is supported.'],
  ['with two methods in one', { code_challenge_method: 'S256 plain' }, 'Only code_challenge_method=S256 is supported.'],
  ['with a challenge of 42 characters', { code_challenge: challenge.slice(1) }, 'The code_challenge is not the base64url of a SHA-256 hash.'],
  ['with a challenge of 44 characters', { code_challenge: `${challenge}A` }, 'The code_challenge is not the base64url of a SHA-256 hash.'],
  ['with a padded challenge', { code_challenge: `${challenge}=` }, 'The code_challenge is not the base64url of a SHA-256 hash.'],
  ['with base64 instead of base64url', { code_challenge: `+/${challenge.slice(2)}` }, 'The code_challenge is not the base64url of a SHA-256 hash.'],
  ['with a challenge and a line break', { code_challenge: `${challenge}\n` }, 'The code_challenge is not the base64url of a SHA-256 hash.'],
]

describe('TK-1 AZ-4: an authorization request that was weakened on its way, of a client that the user approved before', () => {
  it('is the one thing that is wrong: as it was, it gets a code without a page', async () => {
    const page = await victim.browser.open(victim.authorizeUrl(challenge))
    expect(page.trail.some((url) => url.pathname === '/consent')).toBe(false)
    expect(callbackOf(page).get('code')).toMatch(/^emcy_ac_/)
  })

  it.each(weakened)('%s gets no code and does not get as far as the provider', async (_how, members, description) => {
    const page = await victim.browser.open(victim.authorizeUrl(challenge, { state: 'kept', ...members }))
    expect(Object.fromEntries(callbackOf(page))).toEqual({ error: 'invalid_request', error_description: description, state: 'kept', iss: world.issuer })
    expect(page.trail).toHaveLength(1)
  })

  it.each(weakened)('%s is not taken at PAR either (RFC 9126 §2.1)', async (_how, members, description) => {
    const answer = await push(victim.authorizeUrl(challenge, members))
    expect([answer.status, answer.body]).toEqual([400, { error: 'invalid_request', error_description: description }])
  })
})

async function push(request: URL): Promise<Answer> {
  const response = await fetch(`${world.issuer}/par`, { method: 'POST', body: request.searchParams })
  return { status: response.status, headers: response.headers, body: (await response.json()) as Record<string, unknown> }
}

describe('TK-1 RFC 9126 §4: a pushed request keeps its challenge', () => {
  it('whatever challenge stands beside it in the URL: the attacker has no verifier for its code', async () => {
    const [own, attackers] = [pkce(), pkce()]
    const pushed = await push(victim.authorizeUrl(own.challenge))
    expect(pushed.status).toBe(201)
    const url = victim.authorizeUrl(attackers.challenge, { request_uri: String(pushed.body.request_uri) })
    const code = callbackOf(await victim.browser.open(url)).get('code') ?? ''
    expectInvalidGrant(await victim.redeem<Record<string, unknown>>(code, attackers.verifier))
    expect((await victim.redeem(code, own.verifier)).status).toBe(200)
  })
})

function expectInvalidGrant(answer: Answer): void {
  expect([answer.status, answer.body]).toEqual([400, { error: 'invalid_grant', error_description: expect.any(String) }])
  expect(answer.headers.get('cache-control')).toContain('no-store')
}

describe('TK-1 TK-2 RFC 7636 §4.1 §4.6: what an attacker with a stolen code can send as its verifier', () => {
  const verifier = long(43)
  const attempts: [string, string | undefined, string][] = [
    ['none', undefined, 'invalid_request'],
    ['an empty one', '', 'invalid_request'],
    ['the challenge itself, which plain would take', s256(verifier), 'invalid_grant'],
    ['the hash of the challenge', s256(s256(verifier)), 'invalid_grant'],
    ['one of 42 characters', long(42), 'invalid_grant'],
    ['one character more', long(44), 'invalid_grant'],
    ['one in capitals', verifier.toUpperCase(), 'invalid_grant'],
    ['it with a space behind', `${verifier} `, 'invalid_grant'],
    ['it with a line break behind', `${verifier}\n`, 'invalid_grant'],
    ['one of 128 characters', long(128), 'invalid_grant'],
    ['one of 129 characters', long(129), 'invalid_grant'],
  ]

  it.each(attempts)('%s: refused, and the code still works for who has the verifier', async (_what, sent, error) => {
    const code = callbackOf(await victim.browser.open(victim.authorizeUrl(s256(verifier)))).get('code') ?? ''
    const answer = await victim.redeem<Record<string, unknown>>(code, '', { code_verifier: sent })
    expect([answer.status, answer.body.error, Object.keys(answer.body)]).toEqual([400, error, ['error', 'error_description']])
    const redeemed = await victim.redeem(code, verifier)
    expect((await rpc(world.mcpUrl, redeemed.body.access_token, list)).status).toBe(200)
  })

  it.each([
    ['a character that RFC 7636 does not have', `${long(42)}+`],
    ['a letter outside of ASCII', `${long(42)}é`],
    ['42 characters', long(42)],
    ['129 characters', long(129)],
  ])('a verifier of %s is none, though the challenge is its hash', async (_what, weak) => {
    const code = callbackOf(await victim.browser.open(victim.authorizeUrl(s256(weak)))).get('code') ?? ''
    expectInvalidGrant(await victim.redeem<Record<string, unknown>>(code, weak))
  })
})
