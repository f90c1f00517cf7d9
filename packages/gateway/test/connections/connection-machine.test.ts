import { describe, expect, it } from '@jest/globals'
import type { Connection } from '../../src/connections/connection.ts'
import {
  type ExchangeAnswer,
  lastUsedStepMs,
  maxAccessTokens,
  type Redemption,
  type Refreshment,
  redeem,
  refresh,
  use,
} from '../../src/connections/connection-machine.ts'
import { clockSkewMs } from '../../src/lib/clock-skew.ts'
import type { Change } from '../../src/store/records.ts'

const lives = { accessMs: 600_000, refreshMs: 3_000_000, graceMs: 60_000 }
const t0 = 1_000_000_000

const pending: Connection = {
  v: 1,
  id: 'c',
  identity: { issuer: 'https://login.example.com', sub: 'alice', claims: {} },
  clientId: 'client',
  clientName: 'A client',
  clientTrust: 'dynamic',
  server: 'todo',
  resource: 'https://mcp.example.com/mcp',
  scopes: ['read', 'write'],
  grantKey: 'grant:default:c',
  provider: 'default',
  createdAt: t0,
  lastUsedAt: t0,
  expiresAt: t0 + 60_000,
  code: { hash: 'code', expiresAt: t0 + 60_000, challenge: 'challenge', redirectUri: 'http://127.0.0.1/cb' },
  usedCodeHash: undefined,
  accessTokens: [],
  refresh: undefined,
}

/** Names stand for hashes and sealed tokens: `at1` is a first access token, `sealed at1` its sealed form. */
const fresh = (name: string, keyId = 'key1') => ({
  accessHash: `at${name}`,
  refreshHash: `rt${name}`,
  sealedAccess: `sealed at${name}`,
  sealedRefresh: `sealed rt${name}`,
  keyId,
})

const redemption: Redemption = {
  codeHash: 'code',
  clientId: 'client',
  challenge: 'challenge',
  redirectUri: 'http://127.0.0.1/cb',
  resource: 'https://mcp.example.com/mcp',
  fresh: fresh('1'),
  lives,
}

const refreshment = (generation: number, name: string, more: Partial<Refreshment> = {}): Refreshment => ({
  tokenHash: `rt${generation}`,
  generation,
  clientId: 'client',
  scopes: undefined,
  resource: undefined,
  fresh: fresh(name),
  lives,
  ...more,
})

function written<A>(change: Change<Connection, A>): Connection {
  if (change.do !== 'write') throw new Error(`not written: ${JSON.stringify(change)}`)
  expect(change.ttlMs).toBeGreaterThan(0)
  return change.next
}

const refusedWith = (reason: string, error = 'invalid_grant'): Change<Connection, ExchangeAnswer> =>
  ({ do: 'keep', answer: { is: 'refused', error, reason } }) as Change<Connection, ExchangeAnswer>

const first = written(redeem(pending, redemption, t0 + 1_000))
const t1 = t0 + 100_000
const second = written(refresh(first, refreshment(1, '2'), t1))

describe('an authorization code', () => {
  it('gives the first tokens, and the connection the life of its refresh token', () => {
    const change = redeem(pending, redemption, t0 + 1_000)
    expect(change.answer).toMatchObject({ is: 'issued', sealedAccess: 'sealed at1', sealedRefresh: 'sealed rt1' })
    expect(first).toMatchObject({
      code: undefined,
      usedCodeHash: 'code',
      accessTokens: [{ hash: 'at1', generation: 1, expiresAt: t0 + 601_000, used: false }],
      refresh: { hash: 'rt1', generation: 1, expiresAt: t0 + 3_001_000, used: false },
      expiresAt: t0 + 3_001_000,
    })
  })

  it.each([
    ['wrong verifier', { challenge: 'anything' }, 'invalid_grant'],
    ['other client', { clientId: 'mallory' }, 'invalid_grant'],
    ['other redirect_uri', { redirectUri: 'http://127.0.0.1/cb2' }, 'invalid_grant'],
    ['other resource', { resource: 'https://mcp.example.com/other' }, 'invalid_target'],
    ['unknown code', { codeHash: 'cede' }, 'invalid_grant'],
  ])('is refused for "%s" and not consumed by that (TK-2, TK-3, TK-5)', (reason, wrong, error) => {
    expect(redeem(pending, { ...redemption, ...wrong }, t0)).toEqual(refusedWith(reason, error))
  })

  it('needs neither redirect_uri nor resource (TK-3), and takes the resource with a trailing slash', () => {
    expect(redeem(pending, { ...redemption, redirectUri: undefined, resource: undefined }, t0).do).toBe('write')
    expect(redeem(pending, { ...redemption, resource: 'https://mcp.example.com/mcp/' }, t0).do).toBe('write')
  })

  it('ends with its time, to the millisecond', () => {
    expect(redeem(pending, redemption, t0 + 59_999).do).toBe('write')
    expect(redeem(pending, redemption, t0 + 60_000)).toEqual(refusedWith('code expired'))
  })

  it('ends the connection when used a second time, even long after (TK-2)', () => {
    const ended = { do: 'remove', answer: { is: 'ended', connection: first, reason: 'code used twice' } }
    expect(redeem(first, redemption, t0 + 2_000)).toEqual(ended)
    expect(redeem(first, { ...redemption, clientId: 'mallory' }, t0 + 2_000_000)).toEqual(ended)
    expect(redeem(second, redemption, t1 + 1).do).toBe('remove')
  })

  it('of a connection that is gone is refused', () => {
    expect(redeem(undefined, redemption, t0)).toEqual(refusedWith('no such connection'))
  })
})

describe('a refresh token', () => {
  it('is rotated at each use, which renews its idle life (TK-6, TK-8)', () => {
    expect(refresh(first, refreshment(1, '2'), t1).answer).toMatchObject({ is: 'issued', sealedAccess: 'sealed at2', sealedRefresh: 'sealed rt2' })
    expect(second.refresh).toEqual({
      hash: 'rt2',
      generation: 2,
      issuedAt: t1,
      expiresAt: t1 + 3_000_000,
      used: false,
      previous: { hash: 'rt1', generation: 1, graceUntil: t1 + 60_000, sealedAccess: 'sealed at2', sealedRefresh: 'sealed rt2' },
    })
    expect(second.expiresAt).toBe(t1 + 3_000_000)
    expect(second.accessTokens.map(({ hash }) => hash)).toEqual(['at1', 'at2'])
  })

  it('ends with its idle time, to the millisecond', () => {
    expect(refresh(first, refreshment(1, '2'), t0 + 3_000_999).do).toBe('write')
    expect(refresh(first, refreshment(1, '2'), t0 + 3_001_000)).toEqual(refusedWith('refresh token expired'))
  })

  it('of another client is refused and ends nothing, whatever its age', () => {
    const third = written(refresh(second, refreshment(2, '3'), t1 + 1))
    for (const generation of [1, 2, 3])
      expect(refresh(third, refreshment(generation, '4', { clientId: 'mallory' }), t1 + 90_000)).toEqual(refusedWith('other client'))
  })

  it('with another resource is refused; without one, or with a trailing slash, it is answered', () => {
    expect(refresh(first, refreshment(1, '2', { resource: 'https://mcp.example.com/other' }), t1)).toEqual(refusedWith('other resource', 'invalid_target'))
    expect(refresh(first, refreshment(1, '2', { resource: 'https://mcp.example.com/mcp/' }), t1).do).toBe('write')
  })

  it('gets no scope that was not granted; a narrower scope narrows only the new access token (TK-8)', () => {
    expect(refresh(first, refreshment(1, '2', { scopes: ['read', 'admin'] }), t1)).toEqual(refusedWith('scope not granted', 'invalid_scope'))
    const narrow = written(refresh(first, refreshment(1, '2', { scopes: ['read'] }), t1))
    expect(narrow.accessTokens.at(-1)).toMatchObject({ hash: 'at2', scopes: ['read'] })
    const wide = written(refresh(narrow, refreshment(2, '3', { scopes: ['write', 'read'] }), t1 + 1))
    expect(wide.accessTokens.at(-1)).not.toHaveProperty('scopes')
    expect(wide.scopes).toEqual(['read', 'write'])
  })

  it('keeps a few access tokens at most, and none that has expired', () => {
    let connection = first
    for (let generation = 1; generation < 20; generation++)
      connection = written(refresh(connection, refreshment(generation, `${generation + 1}`), t1 + generation))
    expect(connection.accessTokens.map(({ generation }) => generation)).toEqual([13, 14, 15, 16, 17, 18, 19, 20])
    expect(connection.accessTokens).toHaveLength(maxAccessTokens)
    const later = written(refresh(connection, refreshment(20, '21'), t1 + 700_000))
    expect(later.accessTokens.map(({ generation }) => generation)).toEqual([21])
  })
})

describe('the refresh token before', () => {
  const used = written(use(second, { tokenHash: 'at2' }, t1 + 10))
  const same = { sealedAccess: 'sealed at2', sealedRefresh: 'sealed rt2' }

  it('gets the same successor within the grace window, used or not (TK-7)', () => {
    for (const connection of [second, used]) {
      expect(refresh(connection, refreshment(1, 'x'), t1 + 59_999)).toMatchObject({ do: 'keep', answer: { is: 'issued', ...same } })
    }
  })

  it('gets it after the window too, as long as nobody used the successor: a lost response', () => {
    expect(refresh(second, refreshment(1, 'x'), t1 + 500_000)).toMatchObject({ do: 'keep', answer: { is: 'issued', ...same } })
  })

  it('gets a new access token with the same refresh token when the successor has expired, and so does whoever asks after that', () => {
    const change = refresh(second, refreshment(1, 'x'), t1 + 600_000)
    expect(change.answer).toMatchObject({ is: 'issued', sealedAccess: 'sealed atx', sealedRefresh: 'sealed rt2', access: { hash: 'atx', generation: 2 } })
    const again = written(change)
    expect(again.refresh).toMatchObject({ hash: 'rt2', generation: 2, expiresAt: t1 + 3_000_000, used: false })
    expect(refresh(again, refreshment(1, 'y'), t1 + 600_001)).toMatchObject({ do: 'keep', answer: { sealedAccess: 'sealed atx', sealedRefresh: 'sealed rt2' } })
  })

  it('never gets a token in its last second, which would say expires_in 0', () => {
    expect(refresh(second, refreshment(1, 'x'), t1 + 599_000)).toMatchObject({ do: 'keep', answer: same })
    expect(refresh(second, refreshment(1, 'x'), t1 + 599_001).do).toBe('write')
  })

  it('gets a new access token when it asks for other scopes than the successor has', () => {
    const change = refresh(second, refreshment(1, 'x', { scopes: ['read'] }), t1 + 1)
    expect(change.answer).toMatchObject({ access: { hash: 'atx', scopes: ['read'] }, sealedRefresh: 'sealed rt2' })
    expect(refresh(written(change), refreshment(1, 'y', { scopes: ['read'] }), t1 + 2)).toMatchObject({ do: 'keep', answer: { sealedAccess: 'sealed atx' } })
  })

  it('is a replay after the window once the successor was used: by its access token …', () => {
    expect(refresh(used, refreshment(1, 'x'), t1 + 60_000)).toEqual({
      do: 'remove',
      answer: { is: 'ended', connection: used, reason: 'refresh token replayed' },
    })
  })

  it('… a replaced access token of it …', () => {
    const replaced = written(refresh(second, refreshment(1, 'x'), t1 + 600_000))
    const usedLater = written(use(replaced, { tokenHash: 'atx' }, t1 + 600_010))
    expect(refresh(usedLater, refreshment(1, 'y'), t1 + 600_020).do).toBe('remove')
  })

  it('… or its refresh token, even within the window', () => {
    const third = written(refresh(second, refreshment(2, '3'), t1 + 1))
    expect(refresh(third, refreshment(1, 'x'), t1 + 2).do).toBe('remove')
    expect(refresh(third, refreshment(2, 'x'), t1 + 2)).toMatchObject({ do: 'keep', answer: { sealedRefresh: 'sealed rt3' } })
  })

  it('is still one use, when only the access token from before it was used', () => {
    const usedOld = written(use(second, { tokenHash: 'at1' }, t1 + 10))
    expect(refresh(usedOld, refreshment(1, 'x'), t1 + 60_001)).toMatchObject({ do: 'keep', answer: same })
  })
})

describe('a refresh token that the record does not know', () => {
  it('proves nothing when it is not older than those that it knows, as after a store that lost writes', () => {
    expect(refresh(second, refreshment(3, 'x'), t1)).toEqual(refusedWith('unknown refresh token'))
    expect(refresh(second, refreshment(1, 'x', { tokenHash: 'another of generation 1' }), t1)).toEqual(refusedWith('unknown refresh token'))
    expect(refresh(pending, refreshment(1, 'x'), t0)).toEqual(refusedWith('unknown refresh token'))
    expect(refresh(undefined, refreshment(1, 'x'), t0)).toEqual(refusedWith('no such connection'))
  })
})

describe('the use of an access token', () => {
  it('is written the first time, then hourly', () => {
    const change = use(first, { tokenHash: 'at1' }, t0 + 5_000)
    const used = written(change)
    expect(used).toMatchObject({ lastUsedAt: t0 + 5_000, accessTokens: [{ used: true }], refresh: { used: true } })
    expect(use(used, { tokenHash: 'at1' }, t0 + 4_999 + lastUsedStepMs)).toEqual({ do: 'keep', answer: false })
    expect(use(used, { tokenHash: 'at1' }, t0 + 5_000 + lastUsedStepMs).do).toBe('write')
  })

  it('of a token or connection that is gone writes nothing', () => {
    expect(use(first, { tokenHash: 'at9' }, t0).do).toBe('keep')
    expect(use(undefined, { tokenHash: 'at1' }, t0).do).toBe('keep')
  })
})

describe('the keys that signed the tokens of a connection', () => {
  it('are known, each until the last token under it expires', () => {
    expect(first.signedUntil).toEqual({ key1: t0 + 3_001_000 })
    const turned = written(refresh(first, refreshment(1, '2', { fresh: fresh('2', 'key2') }), t1))
    expect(turned.signedUntil).toEqual({ key1: t0 + 3_001_000, key2: t1 + 3_000_000 })
    const later = written(refresh(turned, refreshment(2, '3', { fresh: fresh('3', 'key2') }), t0 + 3_001_000))
    expect(later.signedUntil).toEqual({ key2: t0 + 6_001_000 })
  })

  it('count as long as the access token that lives longest', () => {
    const long = { ...lives, accessMs: 9_000_000 }
    expect(written(redeem(pending, { ...redemption, lives: long }, t0)).signedUntil).toEqual({ key1: t0 + 9_000_000 + clockSkewMs })
  })
})
