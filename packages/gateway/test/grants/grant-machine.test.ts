import { describe, expect, it } from '@jest/globals'
import { authorize, extend, failed, type Lease, type OpenGrant, reconnect, refreshed, refused, type Wanted, want } from '../../src/grants/grant-machine.ts'
import type { Change } from '../../src/store/records.ts'

const t0 = 1_000_000_000
const hour = 3_600_000

const authorized = {
  tokens: { accessToken: 'at1', refreshToken: 'rt1' },
  identity: { issuer: 'https://login.example.com', sub: 'alice', claims: {} },
  scopes: ['read', 'write'],
  expiresInMs: hour as number | undefined,
  obtainedAt: t0,
  lifeMs: 24 * hour,
  provider: 'default',
  owner: 'c',
}

const wanted: Wanted = { holder: 'a', leaseMs: 30_000, aheadMs: 60_000, jitter: 0, refused: undefined, sinceVersion: undefined }

function written<A>(change: Change<OpenGrant, A>): OpenGrant {
  if (change.do !== 'write') throw new Error(`not written: ${JSON.stringify(change)}`)
  expect(change.ttlMs).toBe(change.next.expiresAt - now)
  return change.next
}

let now = t0
const at = (time: number) => {
  now = time
  return time
}

const grant = written(authorize(undefined, authorized, at(t0)))
const withoutRefresh = written(authorize(undefined, { ...authorized, tokens: { accessToken: 'at1' } }, at(t0)))
const due = t0 + hour - 60_000
const over = t0 + hour - 1_000

function leased(from: OpenGrant = grant, time = over, holder = 'a'): { grant: OpenGrant; lease: Lease } {
  const change = want(from, { ...wanted, holder }, at(time))
  if (change.answer.is !== 'refresh') throw new Error(change.answer.is)
  return { grant: written(change), lease: change.answer.lease }
}

describe('a downstream access token', () => {
  it('is used until it is due, 60 s before its end', () => {
    expect(want(grant, wanted, due - 1)).toEqual({ do: 'keep', answer: { is: 'use', accessToken: 'at1', version: 1 } })
    expect(want(grant, wanted, due)).toMatchObject({ do: 'write', answer: { is: 'refresh', meanwhile: 'at1', lease: { refreshToken: 'rt1', version: 1 } } })
  })

  it('is refreshed no earlier than in the last quarter of its life', () => {
    const short = written(authorize(undefined, { ...authorized, expiresInMs: 100_000 }, at(t0)))
    expect(want(short, wanted, t0 + 74_999).answer.is).toBe('use')
    expect(want(short, wanted, t0 + 75_000).answer.is).toBe('refresh')
  })

  it('is refreshed up to a fifth of that later by jitter', () => {
    expect(want(grant, { ...wanted, jitter: 1 }, t0 + hour - 48_001).answer.is).toBe('use')
    expect(want(grant, { ...wanted, jitter: 1 }, t0 + hour - 48_000).answer.is).toBe('refresh')
  })

  it('counts as expired one second early', () => {
    expect(want(grant, wanted, over - 1).answer).toMatchObject({ is: 'refresh', meanwhile: 'at1' })
    expect(want(grant, wanted, over).answer).toMatchObject({ is: 'refresh', meanwhile: undefined })
  })

  it('of unknown life is used until the runtime refuses it', () => {
    const endless = written(authorize(undefined, { ...authorized, expiresInMs: undefined }, at(t0)))
    expect(want(endless, wanted, t0 + 1_000 * hour).answer.is).toBe('use')
    expect(want(endless, { ...wanted, refused: 'at1' }, t0).answer).toMatchObject({ is: 'refresh', meanwhile: undefined })
    expect(want(endless, { ...wanted, refused: 'at0' }, t0).answer).toMatchObject({ is: 'use', accessToken: 'at1' })
  })

  it('without a refresh token is used to its end, then only a new authorization helps', () => {
    expect(want(withoutRefresh, wanted, over - 1).answer.is).toBe('use')
    const change = want(withoutRefresh, wanted, at(over))
    expect(change.answer).toMatchObject({ is: 'dead', news: { provider: 'default' } })
    expect(written(change).state).toBe('needs-reconnect')
    expect(want(written(change), wanted, over)).toEqual({ do: 'keep', answer: { is: 'dead', news: undefined } })
  })

  it('refused by the runtime and without a refresh token means a new authorization, whatever its expiry', () => {
    expect(written(want(withoutRefresh, { ...wanted, refused: 'at1' }, at(t0))).state).toBe('needs-reconnect')
  })

  it('of a grant that is gone cannot be had', () => {
    expect(want(undefined, wanted, t0)).toEqual({ do: 'keep', answer: { is: 'dead', news: undefined } })
  })
})

describe('the lease of a refresh', () => {
  it('is for one caller: the others use the token while it is good, and wait after that (TK-16)', () => {
    const early = leased(grant, due)
    expect(early.grant.lease).toEqual({ holder: 'a', deadline: due + 30_000 })
    expect(want(early.grant, { ...wanted, holder: 'b' }, due + 1)).toMatchObject({ do: 'keep', answer: { is: 'use', accessToken: 'at1' } })
    const late = leased()
    expect(want(late.grant, { ...wanted, holder: 'b' }, over + 29_999)).toEqual({ do: 'keep', answer: { is: 'wait', version: 1 } })
  })

  it('passes on at its deadline when its holder died', () => {
    expect(leased(leased().grant, over + 30_000, 'b').lease).toMatchObject({ holder: 'b', refreshToken: 'rt1' })
  })

  it('ends with the answer', () => {
    const { grant: held, lease } = leased()
    const change = refreshed(held, { lease, accessToken: 'at2', refreshToken: 'rt2', expiresInMs: hour, obtainedAt: over, scopes: ['read'] }, at(over + 100))
    expect(change.answer).toBe('stored')
    expect(written(change)).toMatchObject({
      tokens: { accessToken: 'at2', refreshToken: 'rt2' },
      version: 2,
      obtainedAt: over,
      accessExpiresAt: over + hour,
      scopes: ['read'],
      lease: undefined,
      state: 'live',
    })
  })
})

describe('the answer of a refresh', () => {
  const { grant: held, lease } = leased()

  it('without a refresh token leaves the old one good, without scopes those as they were', () => {
    const next = written(
      refreshed(held, { lease, accessToken: 'at2', refreshToken: undefined, expiresInMs: undefined, obtainedAt: over, scopes: undefined }, at(over)),
    )
    expect(next).toMatchObject({ tokens: { accessToken: 'at2', refreshToken: 'rt1' }, scopes: ['read', 'write'], accessExpiresAt: undefined })
  })

  const answer = { lease, accessToken: 'at2', refreshToken: 'rt2', expiresInMs: hour, obtainedAt: over, scopes: undefined }

  it('that comes after another has taken the lease is stored, never dropped, and leaves the other its lease', () => {
    const taken = leased(held, over + 30_000, 'b').grant
    expect(written(refreshed(taken, answer, at(over + 31_000)))).toMatchObject({ tokens: { refreshToken: 'rt2' }, version: 2, lease: { holder: 'b' } })
  })

  it('that comes after the other was refused brings the grant back to life', () => {
    const second = leased(held, over + 30_000, 'b')
    const dead = written(refused(second.grant, second.lease, at(over + 31_000)))
    expect(dead.state).toBe('needs-reconnect')
    expect(written(refreshed(dead, answer, at(over + 32_000)))).toMatchObject({ state: 'live', tokens: { accessToken: 'at2', refreshToken: 'rt2' } })
  })

  it('that comes after the other’s answer was stored belongs to a line that has ended', () => {
    const second = leased(held, over + 30_000, 'b')
    const newer = written(refreshed(second.grant, { ...answer, lease: second.lease, accessToken: 'at3', refreshToken: 'rt3' }, at(over + 31_000)))
    expect(refreshed(newer, answer, over + 32_000)).toEqual({ do: 'keep', answer: 'outdated' })
  })

  it('brings its refresh token to a new authorization that came without one, and leaves it its access token', () => {
    const renewed = written(authorize(held, { ...authorized, tokens: { accessToken: 'new' } }, at(over + 1)))
    expect(written(refreshed(renewed, answer, at(over + 2)))).toMatchObject({ tokens: { accessToken: 'new', refreshToken: 'rt2' }, lease: undefined })
  })

  it('never brings back a grant that was deleted', () => {
    expect(refreshed(undefined, answer, over)).toEqual({ do: 'keep', answer: 'outdated' })
    expect(refused(undefined, lease, over)).toEqual({ do: 'keep', answer: undefined })
    expect(failed(undefined, { lease, retryMs: 1 }, over)).toEqual({ do: 'keep', answer: undefined })
  })
})

describe('a refresh that failed', () => {
  const { grant: held, lease } = leased()

  it('for good means a new authorization', () => {
    const change = refused(held, lease, at(over + 1))
    expect(change.answer).toMatchObject({ state: 'needs-reconnect', identity: { sub: 'alice' } })
    expect(written(change).lease).toBeUndefined()
  })

  it('for good says nothing of a refresh token that is another one by now', () => {
    const renewed = written(authorize(held, { ...authorized, tokens: { accessToken: 'at9', refreshToken: 'rt9' } }, at(over + 1)))
    expect(refused(renewed, lease, over + 2)).toEqual({ do: 'keep', answer: undefined })
  })

  it('for good costs a new authorization that came without a refresh token only the old one', () => {
    const renewed = written(authorize(held, { ...authorized, tokens: { accessToken: 'new' } }, at(over + 1)))
    const next = written(refused(renewed, lease, at(over + 2)))
    expect(next).toMatchObject({ state: 'live', tokens: { accessToken: 'new' }, hasRefreshToken: false })
    expect(next.tokens).not.toHaveProperty('refreshToken')
  })

  it('for now keeps the grant: its token is used while it is good, and asked again in a moment', () => {
    const early = leased(grant, due)
    const waiting = written(failed(early.grant, { lease: early.lease, retryMs: 2_000 }, at(due + 10)))
    expect(want(waiting, wanted, due + 1_000)).toMatchObject({ do: 'keep', answer: { is: 'use', accessToken: 'at1' } })
    expect(want(waiting, wanted, due + 2_010).answer.is).toBe('refresh')
    const after = written(failed(held, { lease, retryMs: 2_000 }, at(over + 10)))
    expect(want(after, wanted, over + 2_009)).toEqual({ do: 'keep', answer: { is: 'unavailable' } })
    expect(want(after, wanted, over + 2_010).answer).toMatchObject({ is: 'refresh', lease: { refreshToken: 'rt1' } })
  })

  it('takes nobody else’s lease', () => {
    const taken = leased(held, over + 30_000, 'b').grant
    expect(failed(taken, { lease, retryMs: 2_000 }, over + 31_000).do).toBe('keep')
  })
})

describe('a new authorization', () => {
  it('replaces both tokens and revives the grant', () => {
    const dead = written(want(withoutRefresh, wanted, at(over)))
    const next = written(authorize(dead, { ...authorized, tokens: { accessToken: 'at5', refreshToken: 'rt5' } }, at(over)))
    expect(next).toMatchObject({ state: 'live', version: dead.version + 1, tokens: { accessToken: 'at5', refreshToken: 'rt5' } })
  })

  it('keeps the refresh token there is when none is sent, and with it the lease of its refresh', () => {
    const { grant: held } = leased()
    const next = written(authorize(held, { ...authorized, tokens: { accessToken: 'at5' } }, at(over + 1)))
    expect(next).toMatchObject({ tokens: { accessToken: 'at5', refreshToken: 'rt1' }, lease: { holder: 'a' }, version: 2 })
    const other = written(authorize(held, { ...authorized, tokens: { accessToken: 'at5', refreshToken: 'rt5' } }, at(over + 1)))
    expect(other.lease).toBeUndefined()
  })
})

describe('a call', () => {
  it('takes a token that was obtained since it began as it is, so that it never causes a second refresh', () => {
    const { grant: held, lease } = leased()
    const next = written(
      refreshed(held, { lease, accessToken: 'at1', refreshToken: undefined, expiresInMs: 0, obtainedAt: over, scopes: undefined }, at(over + 1)),
    )
    expect(want(next, { ...wanted, refused: 'at1', sinceVersion: 1 }, over + 2)).toMatchObject({ do: 'keep', answer: { is: 'use', accessToken: 'at1' } })
    expect(want(next, { ...wanted, sinceVersion: undefined }, over + 2).answer.is).toBe('refresh')
  })
})

describe('the life of a grant', () => {
  it('is prolonged when less than a connection’s is left', () => {
    expect(extend(grant, 24 * hour, t0)).toEqual({ do: 'keep', answer: undefined })
    expect(written(extend(grant, 24 * hour, at(t0 + 1))).expiresAt).toBe(t0 + 1 + 48 * hour)
    expect(extend(undefined, hour, t0)).toEqual({ do: 'keep', answer: undefined })
  })
})

describe('EL-6 EL-8: a sign-in that renews a dead grant', () => {
  const signedIn = { ...authorized, tokens: { accessToken: 'at9', refreshToken: 'rt9' }, deadVersion: 1 }
  const { lease } = leased()
  const dead = written(refused(leased().grant, lease, at(over)))

  it('makes the dead grant live, in the next version', () => {
    expect(dead.state).toBe('needs-reconnect')
    const next = written(reconnect(dead, signedIn, at(over)))
    expect(next).toMatchObject({ state: 'live', version: 2, tokens: signedIn.tokens, lease: undefined, retryAt: undefined })
  })

  it('stands in for a record that is gone, and only then has no version', () => {
    expect(written(reconnect(undefined, { ...signedIn, deadVersion: 0 }, at(over)))).toMatchObject({ state: 'live', version: 1 })
    expect(reconnect(undefined, signedIn, over)).toEqual({ do: 'keep', answer: 'over' })
    expect(reconnect(dead, { ...signedIn, deadVersion: 0 }, over)).toEqual({ do: 'keep', answer: 'over' })
  })

  it('leaves a grant that lives, or has died anew, as it is', () => {
    expect(reconnect(grant, signedIn, over)).toEqual({ do: 'keep', answer: 'over' })
    const again: OpenGrant = { ...written(reconnect(dead, signedIn, at(over))), state: 'needs-reconnect' }
    expect(reconnect(again, signedIn, over)).toEqual({ do: 'keep', answer: 'over' })
    expect(reconnect(again, { ...signedIn, deadVersion: 2 }, over).answer).toBe('reconnected')
  })
})
