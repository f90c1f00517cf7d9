import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals'
import type { ProviderConfig } from '../../src/config.ts'
import { ProviderUnavailable, StoreUnavailable } from '../../src/errors/errors.ts'
import { createDownstream, type DownstreamTokens } from '../../src/grants/downstream.ts'
import { ownGrantKey } from '../../src/grants/grant-key.ts'
import { deleteGrant, readGrant, readGrantTokens, saveGrant } from '../../src/grants/grants.ts'
import { usableToken } from '../../src/grants/usable-grant.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import { gatewayClient, type Process, processOn, providerAt, signIn } from './given.ts'
import { type Oidc, startOidc } from './oidc.ts'

const key = ownGrantKey('default', 'connection')
const minute = 60_000

let oidc: Oidc
let provider: ProviderConfig
let here: Process
let first: DownstreamTokens

beforeAll(async () => {
  oidc = await startOidc([gatewayClient])
})
afterAll(() => oidc.close())

async function save(deps: Process, tokens: DownstreamTokens): Promise<void> {
  const identity = await deps.downstream.identify(tokens)
  await saveGrant(deps, key, { ...tokens, identity, provider: 'default', owner: 'connection', lifeSeconds: 2 * 3600 })
}

beforeEach(async () => {
  oidc.intercept = undefined
  provider = providerAt(oidc.issuer)
  here = processOn(provider)
  first = await signIn(oidc, here.downstream)
  await save(here, first)
  oidc.tokenRequests.length = 0
  oidc.mostAtOnce = 0
})

const grantOf = async (deps: Process) => (await readGrant(deps, key))?.value
const tokensOf = async (deps: Process) => {
  const grant = await grantOf(deps)
  return grant && readGrantTokens(deps, key, grant)
}
const expire = (...processes: Process[]) => {
  for (const process of processes) process.time.ahead += 5 * minute
}

describe('a usable token', () => {
  it('is the stored one while it is good: the provider is not asked', async () => {
    expect(await usableToken(here, key, await readGrant(here, key))).toEqual({ accessToken: first.accessToken, version: 1, isFresh: false })
    expect(oidc.tokenRequests).toEqual([])
  })

  it('is the same new one for 20 calls at once in two processes, and the provider sees one refresh (TK-16)', async () => {
    const there = { ...processOn(provider, here.store), keys: here.keys }
    expire(here, there)
    const stored = await readGrant(here, key)
    const all = await Promise.all(Array.from({ length: 20 }, (_, index) => usableToken(index % 2 ? here : there, key, stored)))
    expect(new Set(all.map(({ accessToken }) => accessToken)).size).toBe(1)
    expect(all[0]?.accessToken).not.toBe(first.accessToken)
    expect(all[0]?.version).toBe(2)
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
    expect(oidc.mostAtOnce).toBe(1)
    // The refresh token that came with it is stored: the next refresh works as well, with the provider's reuse detection on.
    expire(here, there)
    expect((await usableToken(there, key, undefined)).version).toBe(3)
    expect(oidc.tokenRequests).toEqual(['refresh_token', 'refresh_token'])
  })

  it('is one for two processes that share a SQLite file', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'emcy-grants-'))
    const stores = [1, 2].map(() => sqliteStore(join(folder, 'gateway.db')))
    try {
      const [one, two] = stores.map((store) => ({ ...processOn(provider, store), keys: here.keys })) as [Process, Process]
      await save(one, first)
      expire(one, two)
      const all = await Promise.all(Array.from({ length: 20 }, (_, index) => usableToken(index % 2 ? one : two, key, undefined)))
      expect(new Set(all.map(({ accessToken }) => accessToken)).size).toBe(1)
      expect(oidc.tokenRequests).toEqual(['refresh_token'])
    } finally {
      for (const store of stores) await store.close()
      rmSync(folder, { recursive: true })
    }
  })

  it('close to its end is given at once, and refreshed beside the call', async () => {
    here.time.ahead += 5 * minute - 30_000
    const done = here.eventOf('grant.refreshed')
    const all = await Promise.all(Array.from({ length: 5 }, () => usableToken(here, key, undefined)))
    expect(all.map(({ accessToken }) => accessToken)).toEqual(Array.from({ length: 5 }, () => first.accessToken))
    await done
    expect((await usableToken(here, key, undefined)).version).toBe(2)
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
  })

  it('is a new one when the runtime refused it, by one refresh for all who were refused', async () => {
    const stored = await readGrant(here, key)
    const all = await Promise.all(Array.from({ length: 8 }, () => usableToken(here, key, stored, { refused: first.accessToken })))
    expect(new Set(all.map(({ accessToken }) => accessToken)).size).toBe(1)
    expect(all[0]?.accessToken).not.toBe(first.accessToken)
    expect(await usableToken(here, key, stored, { refused: first.accessToken })).toEqual({ ...all[0], isFresh: false })
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
  })

  it('keeps its grant alive as long as it is used', async () => {
    here.time.ahead += 90 * minute
    const before = (await grantOf(here))?.expiresAt as number
    await usableToken(here, key, await readGrant(here, key))
    await usableToken(here, key, await readGrant(here, key))
    expect((await grantOf(here))?.expiresAt).toBeGreaterThanOrEqual(before + 89 * minute)
  })
})

describe('a provider that refuses for good', () => {
  it('ends the grant: the user must sign in again, and the provider is not asked any more', async () => {
    await here.downstream.revoke(first.refreshToken as string)
    expire(here)
    const noted = here.eventOf('grant.needs_reconnect')
    await expect(usableToken(here, key, undefined)).rejects.toMatchObject({ code: 'grant_dead', status: 401 })
    expect(await noted).toMatchObject({ subject: `${oidc.issuer}|alice`, reason: 'refresh: 400 invalid_grant' })
    await expect(usableToken(here, key, undefined)).rejects.toMatchObject({ code: 'grant_dead' })
    expect((await grantOf(here))?.state).toBe('needs-reconnect')
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
    await save(here, await signIn(oidc, here.downstream))
    expect(await usableToken(here, key, undefined)).toMatchObject({ version: 2 })
  })

  it('or gave no refresh token: the grant ends with the access token, or when the runtime refuses it', async () => {
    await save(here, first)
    await deleteGrant(here, key)
    await save(here, { ...first, refreshToken: undefined })
    expect((await usableToken(here, key, undefined)).accessToken).toBe(first.accessToken)
    await expect(usableToken(here, key, undefined, { refused: first.accessToken })).rejects.toMatchObject({ code: 'grant_dead' })
    expect(here.events).toContainEqual(expect.objectContaining({ event: 'grant.needs_reconnect' }))
    expect((await grantOf(here))?.state).toBe('needs-reconnect')
  })

  it('a grant that was deleted stays so', async () => {
    await deleteGrant(here, key)
    await expect(usableToken(here, key, undefined)).rejects.toMatchObject({ code: 'grant_dead' })
  })

  it('a grant whose secret has left the ring reads as over', async () => {
    const stranger = processOn(provider, here.store)
    stranger.keys = { ...here.keys, open: () => undefined }
    await expect(usableToken(stranger, key, undefined)).rejects.toMatchObject({ code: 'grant_dead' })
    expect((await usableToken(here, key, undefined)).accessToken).toBe(first.accessToken)
  })
})

describe('a provider that cannot be reached', () => {
  const answering = (status: number) => {
    oidc.intercept = (_req, res) => {
      res.writeHead(status, { 'content-type': 'text/html' }).end('<p>try later</p>')
      return true
    }
  }

  it.each([500, 503, 429, 404])('with %i keeps the grant, which is used while its token is good and tried again soon', async (status) => {
    answering(status)
    here.time.ahead += 5 * minute - 30_000
    const failure = here.eventOf('grant.refresh_failed')
    expect((await usableToken(here, key, undefined)).accessToken).toBe(first.accessToken)
    expect(await failure).toMatchObject({ reason: expect.stringContaining(`${status}`) })
    // The failure is stored by the time a caller with an expired token has been answered.
    here.time.ahead += 30_000
    const unavailable = await usableToken(here, key, undefined).catch((error: unknown) => error)
    expect(unavailable).toBeInstanceOf(ProviderUnavailable)
    expect(unavailable).toMatchObject({ headers: { 'retry-after': '5' } })
    oidc.intercept = undefined
    here.time.ahead += 2_000
    expect((await usableToken(here, key, undefined)).version).toBe(2)
  })

  it('in time counts as such, and is never asked twice at once', async () => {
    const slow = processOn({ ...provider, timeoutSeconds: 0.2 }, here.store)
    slow.keys = here.keys
    let asked = 0
    oidc.intercept = () => {
      asked++
      return new Promise(() => undefined)
    }
    expire(slow)
    await expect(Promise.all([usableToken(slow, key, undefined), usableToken(slow, key, undefined)])).rejects.toBeInstanceOf(ProviderUnavailable)
    expect(asked).toBe(1)
    expect(slow.events).toContainEqual(expect.objectContaining({ event: 'grant.refresh_failed', reason: expect.stringContaining('no answer within 0.2 s') }))
    // And the next call does not wait at all.
    await expect(usableToken(slow, key, undefined)).rejects.toBeInstanceOf(ProviderUnavailable)
    expect(asked).toBe(1)
    expect((await grantOf(slow))?.state).toBe('live')
  })

  it('or that refuses the gateway’s own credentials, leaves the grant: its user can do nothing about that', async () => {
    const misconfigured = processOn({ ...provider, clientSecret: 'wrong' }, here.store)
    misconfigured.keys = here.keys
    expire(misconfigured, here)
    await expect(usableToken(misconfigured, key, undefined)).rejects.toBeInstanceOf(ProviderUnavailable)
    here.time.ahead += 2_000
    expect((await usableToken(here, key, undefined)).version).toBe(2)
  })
})

describe('the lease', () => {
  it('of a holder that died passes on at its deadline', async () => {
    const stored = await readGrant(here, key)
    const grant = { ...stored?.value, lease: { holder: 'dead', deadline: here.clock() + 5 * minute + 300 } }
    await here.store.set(key, JSON.stringify(grant), minute * 60)
    expire(here)
    expect((await usableToken(here, key, undefined)).version).toBe(2)
    expect(here.clock()).toBeGreaterThanOrEqual(grant.lease.deadline)
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
  })

  it('that is nearly over when the request would leave is given back, so that no refresh token is presented late', async () => {
    const { compareAndSet } = here.store
    let paused = false
    here.store.compareAndSet = async (...given) => {
      const done = await compareAndSet(...given)
      // The process stood still for 20 s between taking the lease and sending.
      if (!paused) here.time.ahead += 20_000
      paused = true
      return done
    }
    expire(here)
    expect((await usableToken(here, key, undefined)).version).toBe(2)
    expect(here.events).toContainEqual(expect.objectContaining({ event: 'grant.refresh_failed', reason: expect.stringContaining('lease is nearly over') }))
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
  })
})

/** A process that has sent its refresh, and stands still before it hears the answer; `goOn` lets it hear. */
async function holderAtStandstill(deps: Process): Promise<{ goOn: () => void; done: Promise<unknown> }> {
  const { refresh } = deps.downstream
  let goOn: () => void = () => undefined
  const standstill = new Promise<void>((resolve) => {
    goOn = resolve
  })
  let answered: () => void = () => undefined
  const spent = new Promise<void>((resolve) => {
    answered = resolve
  })
  deps.downstream = {
    ...deps.downstream,
    async refresh(...given) {
      const answer = await refresh(...given)
      answered()
      await standstill
      return answer
    },
  }
  const done = usableToken(deps, key, undefined)
  await spent
  return { goOn, done }
}

describe('a lease that ran out with its holder silent', () => {
  it('leaves its refresh token in doubt: where it is spent it is not presented again, and the late answer is stored and used', async () => {
    const there = { ...processOn(provider, here.store), keys: here.keys }
    expire(here, there)
    const { goOn, done } = await holderAtStandstill(here)
    there.time.ahead += 31_000
    // The one that takes the lease over finds the token spent, and says so at once to all who come.
    for (let turn = 0; turn < 3; turn++) await expect(usableToken(there, key, undefined)).rejects.toBeInstanceOf(ProviderUnavailable)
    expect(there.events).toContainEqual(expect.objectContaining({ event: 'grant.refresh_failed', reason: expect.stringContaining('is spent') }))
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
    here.time.ahead += 31_000
    goOn()
    await done
    // 31 s later by everyone's clock its token is still good, nobody holds the lease any more, and the next refresh works: the family has not ended.
    expect((await usableToken(there, key, undefined)).version).toBe(2)
    expect((await grantOf(there))?.lease).toBeUndefined()
    expire(there)
    expect((await usableToken(there, key, undefined)).version).toBe(3)
    expect(oidc.tokenRequests).toEqual(['refresh_token', 'refresh_token'])
  })

  it('has the last word from the provider after one lease more', async () => {
    const there = { ...processOn(provider, here.store), keys: here.keys }
    expire(here, there)
    const { goOn, done } = await holderAtStandstill(here)
    there.time.ahead += 31_000
    await expect(usableToken(there, key, undefined)).rejects.toBeInstanceOf(ProviderUnavailable)
    there.time.ahead += 31_000
    await expect(usableToken(there, key, undefined)).rejects.toMatchObject({ code: 'grant_dead' })
    expect(oidc.tokenRequests).toEqual(['refresh_token', 'refresh_token'])
    goOn()
    await done
  })

  it('is presented where the provider cannot be asked', async () => {
    const there = { ...processOn(provider, here.store), keys: here.keys }
    const { isSpent } = there.downstream
    there.downstream = createDownstream({ ...provider, endpoints: { authorization: `${oidc.issuer}/auth`, token: `${oidc.issuer}/token` } as never }, there)
    expect(await there.downstream.isSpent('unknown')).toBe(false)
    expect(await isSpent('unknown')).toBe(true)
    expect(await isSpent(first.refreshToken as string)).toBe(false)
    const stored = await readGrant(here, key)
    expire(there)
    const grant = { ...stored?.value, lease: { holder: 'dead', deadline: there.clock() } }
    await here.store.set(key, JSON.stringify(grant), minute * 60)
    expect((await usableToken(there, key, undefined)).version).toBe(2)
  })
})

describe('a lease that an outage hid from its taker', () => {
  it('is given back, so that nobody waits for a refresh that nobody makes', async () => {
    const { compareAndSet } = here.store
    let calls = 0
    here.store.compareAndSet = async (...given) => {
      const done = await compareAndSet(...given)
      if (++calls === 1) throw new StoreUnavailable('the answer was lost')
      return done
    }
    expire(here)
    await expect(usableToken(here, key, undefined)).rejects.toBeInstanceOf(StoreUnavailable)
    const startedAt = performance.now()
    expect((await usableToken(here, key, undefined)).version).toBe(2)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
  })
})

describe('the answer of a refresh', () => {
  it('that comes after the time-out is stored all the same: calls have been told "unavailable", the next one has it', async () => {
    const slow = processOn({ ...provider, timeoutSeconds: 0.2 }, here.store)
    slow.keys = here.keys
    let answer: () => void = () => undefined
    oidc.intercept = () =>
      new Promise((go) => {
        answer = () => go(false)
      })
    expire(slow)
    await expect(usableToken(slow, key, undefined)).rejects.toBeInstanceOf(ProviderUnavailable)
    const stored = slow.eventOf('grant.refreshed')
    answer()
    await stored
    expect((await usableToken(slow, key, undefined)).version).toBe(2)
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
  })

  it('is kept while the store is down, and no call waits for the store', async () => {
    const { compareAndSet } = here.store
    let down = false
    here.store.compareAndSet = async (...given) => {
      if (down) throw new StoreUnavailable('down')
      return compareAndSet(...given)
    }
    oidc.intercept = () => {
      down = true
      return false
    }
    expire(here)
    const startedAt = performance.now()
    await expect(usableToken(here, key, undefined)).rejects.toBeInstanceOf(StoreUnavailable)
    expect(performance.now() - startedAt).toBeLessThan(5_000)
    const stored = here.eventOf('grant.refreshed')
    down = false
    await stored
    expect((await usableToken(here, key, undefined)).version).toBe(2)
    expect(oidc.tokenRequests).toEqual(['refresh_token'])
  })

  it('is stored although the store fails a few times: it carries the only refresh token that is still good', async () => {
    const { compareAndSet } = here.store
    let calls = 0
    here.store.compareAndSet = (...given) => {
      calls++
      return calls === 2 || calls === 3 ? Promise.reject(new StoreUnavailable('down for a moment')) : compareAndSet(...given)
    }
    expire(here)
    expect((await usableToken(here, key, undefined)).version).toBe(2)
    expect(calls).toBe(4)
    expect((await tokensOf(here))?.refreshToken).not.toBe(first.refreshToken)
    expire(here)
    expect((await usableToken(here, key, undefined)).version).toBe(3)
  })

  it('that comes when its lease has passed on is stored', async () => {
    let answer: (() => void) | undefined
    const arrived = new Promise<void>((resolve) => {
      oidc.intercept = () => {
        resolve()
        return new Promise((go) => {
          answer = () => go(false)
        })
      }
    })
    expire(here)
    const waiting = usableToken(here, key, undefined)
    await arrived
    here.time.ahead += 31_000
    const stored = await readGrant(here, key)
    await here.store.set(key, JSON.stringify({ ...stored?.value, lease: { holder: 'other', deadline: here.clock() + minute } }), minute * 60)
    answer?.()
    expect((await waiting).version).toBe(2)
    expect((await grantOf(here))?.lease).toMatchObject({ holder: 'other' })
    expect((await tokensOf(here))?.refreshToken).not.toBe(first.refreshToken)
  })
})

describe('a stored grant', () => {
  it('holds no token in the clear and opens under no other key (TK-10)', async () => {
    const stored = await readGrant(here, key)
    for (const secret of [first.accessToken, first.refreshToken, first.idToken]) expect(stored?.raw).not.toContain(secret)
    expect(stored && readGrantTokens(here, key, stored.value)).toEqual({
      accessToken: first.accessToken,
      refreshToken: first.refreshToken,
      idToken: first.idToken,
    })
    expect(stored && readGrantTokens(here, ownGrantKey('default', 'another'), stored.value)).toBeUndefined()
  })

  it('that is shared keeps its refresh token when a new authorization brings none', async () => {
    await save(here, { ...first, accessToken: 'a newer one', refreshToken: undefined })
    expect(await tokensOf(here)).toMatchObject({ accessToken: 'a newer one', refreshToken: first.refreshToken })
    expect((await usableToken(here, key, undefined)).accessToken).toBe('a newer one')
    expire(here)
    expect((await usableToken(here, key, undefined)).version).toBe(3)
  })
})

it.each([
  { timeoutSeconds: 1, waits: 1_200 },
  { timeoutSeconds: 20, waits: 10_000 },
])("no call waits for another's refresh longer than the provider may take ($timeoutSeconds s), nor than 10 s", async ({ timeoutSeconds, waits }) => {
  const store = memoryStore()
  const deps = processOn(providerAt(oidc.issuer, { timeoutSeconds }), store)
  deps.keys = here.keys
  await save(deps, first)
  const stored = await readGrant(deps, key)
  expire(deps)
  await store.set(key, JSON.stringify({ ...stored?.value, lease: { holder: 'busy', deadline: deps.clock() + minute } }), minute * 60)
  const startedAt = performance.now()
  await expect(usableToken(deps, key, undefined)).rejects.toBeInstanceOf(ProviderUnavailable)
  const waited = performance.now() - startedAt
  expect(waited).toBeGreaterThan(waits - 100)
  expect(waited).toBeLessThan(waits + 500)
})
