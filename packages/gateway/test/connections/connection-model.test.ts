import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { checkAccessToken, endConnection, noteUse, openConnection, redeemCode, refreshTokens, type TokenResponse } from '../../src/connections/connections.ts'
import { clockSkewMs } from '../../src/lib/clock-skew.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'
import { authorization, clientId, type Given, given, tokens, verifier } from './given.ts'

/*
 * The connection against a model that knows nothing of records: it remembers what was handed out and says what the design's sentences promise. First one step
 * after another over a long time, then several at once with every order of the store's operations.
 */

interface Handed extends TokenResponse {
  generation: number
  expiresAt: number
}

/** What the sentences of the design come to. */
class Model {
  alive = true
  readonly handed: Handed[] = []
  generation = 1
  successorUsed = false
  graceUntil = 0
  familyUntil = 0

  /** What a refresh token of a generation must get. */
  expected(generation: number, now: number): 'rotated' | 'repeated' | 'refused' | 'ended' {
    if (!this.alive) return 'refused'
    if (generation === this.generation) return now < this.familyUntil ? 'rotated' : 'refused'
    if (generation === this.generation - 1 && (now < this.graceUntil || !this.successorUsed)) return now < this.familyUntil ? 'repeated' : 'refused'
    return 'ended'
  }

  lastOf(generation: number): Handed {
    return this.handed.findLast((handed) => handed.generation === generation) as Handed
  }
}

type Step =
  | { do: 'refresh'; back: number; asForeigner: boolean }
  | { do: 'use'; back: number }
  | { do: 'wait'; seconds: number }
  | { do: 'repeat code' }
  | { do: 'revoke' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('refresh' as const), back: fc.constantFrom(0, 0, 0, 1, 1, 1, 2, 3), asForeigner: fc.nat(9).map((n) => n === 0) }),
  },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('use' as const), back: fc.nat(3) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('wait' as const), seconds: fc.constantFrom(1, 59, 60, 61, 599, 601, 2900, 3001) }) },
  { weight: 1, arbitrary: fc.constantFrom({ do: 'repeat code' as const }, { do: 'revoke' as const }) },
)

describe('a connection', () => {
  it('keeps every promise over any sequence of refreshes, lost answers, replays, uses, waits and revocations', async () => {
    const seen = new Set<string>()
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40 }), async (steps) => {
        const deps = given()
        const model = new Model()
        const { code, connectionId } = await openConnection(deps, authorization)
        hand(deps, model, 1, (await redeemCode(deps, { code, clientId, verifier })).response)
        model.familyUntil = deps.time.now + tokens.refreshTokenSeconds * 1000
        for (const next of steps) seen.add(await take(deps, model, { code, connectionId }, next))
        await holdsWhatItSaid(deps, model)
      }),
      { numRuns: 400 },
    )
    // The sequences reached every case, or the property has shown nothing.
    expect([...seen].sort()).toEqual(['ended', 'foreigner', 'refused', 'repeat code', 'repeated', 'revoke', 'rotated', 'use', 'wait'])
  })

  it('has one successor for each rotation and no live token after its end, whatever the order in which parallel work reaches the store', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), fc.array(fc.constantFrom('refresh', 'use', 'revoke'), { minLength: 2, maxLength: 8 }), async (scheduler, works) => {
        const deps = given()
        const { code, connectionId } = await openConnection(deps, authorization)
        const { response: first } = await redeemCode(deps, { code, clientId, verifier })
        const idle = track(deps, scheduled(deps.store, scheduler))
        const responses: TokenResponse[] = []
        const all = works.map(async (work) => {
          if (work === 'revoke') return void (await endConnection(deps, connectionId))
          if (work === 'use') return noteUse(deps, await checkAccessToken(deps, first.access_token, 'todo'))
          responses.push((await refreshTokens(deps, { refreshToken: first.refresh_token, clientId })).response)
        })
        const outcomes = Promise.allSettled(all)
        await scheduler.waitFor(outcomes)
        await scheduler.waitFor(idle())
        for (const outcome of await outcomes) {
          if (outcome.status === 'rejected') expect(['invalid_token', 'invalid_grant']).toContain(outcome.reason.code)
        }
        expect(new Set(responses.map((response) => JSON.stringify(response))).size).toBeLessThanOrEqual(1)
        const isOver = works.includes('revoke')
        if (!isOver && works.includes('refresh')) expect(responses).toHaveLength(works.filter((work) => work === 'refresh').length)
        for (const { access_token: token } of [first, ...responses]) {
          const check = scheduler.waitFor(
            checkAccessToken(deps, token, 'todo').then(
              () => 'good',
              () => 'refused',
            ),
          )
          expect(await check).toBe(isOver ? 'refused' : 'good')
        }
      }),
      { numRuns: 300 },
    )
  })
})

async function take(deps: Given, model: Model, made: { code: string; connectionId: string }, next: Step): Promise<string> {
  switch (next.do) {
    case 'wait':
      deps.time.now += next.seconds * 1000
      return 'wait'
    case 'revoke':
      await endConnection(deps, made.connectionId)
      model.alive = false
      return 'revoke'
    case 'repeat code':
      await expect(redeemCode(deps, { code: made.code, clientId, verifier })).rejects.toMatchObject({ code: 'invalid_grant' })
      model.alive = false
      return 'repeat code'
    case 'use': {
      const handed = model.handed.at(-1 - (next.back % model.handed.length)) as Handed
      if (model.alive && deps.time.now < handed.expiresAt + clockSkewMs && isAmongTheLive(model, handed, deps.time.now)) {
        await noteAndWait(deps, handed.access_token)
        if (handed.generation === model.generation) model.successorUsed = true
      } else {
        await expect(checkAccessToken(deps, handed.access_token, 'todo')).rejects.toMatchObject({ code: 'invalid_token' })
      }
      return 'use'
    }
    case 'refresh':
      return refreshStep(deps, model, Math.max(1, model.generation - next.back), next.asForeigner)
  }
}

async function refreshStep(deps: Given, model: Model, generation: number, asForeigner: boolean): Promise<string> {
  const { refresh_token: refreshToken } = model.lastOf(generation)
  const { now } = deps.time
  if (asForeigner) {
    await expect(refreshTokens(deps, { refreshToken, clientId: 'mallory' })).rejects.toMatchObject({ code: 'invalid_grant' })
    return 'foreigner'
  }
  const expected = model.expected(generation, now)
  const answer = refreshTokens(deps, { refreshToken, clientId })
  if (expected === 'refused' || expected === 'ended') {
    await expect(answer).rejects.toMatchObject({ code: 'invalid_grant' })
    if (expected === 'ended') model.alive = false
    return expected
  }
  const { response } = await answer
  if (expected === 'rotated') {
    for (const handed of model.handed) {
      expect(response.refresh_token).not.toBe(handed.refresh_token)
      expect(response.access_token).not.toBe(handed.access_token)
    }
    model.generation = generation + 1
    model.successorUsed = false
    model.graceUntil = now + tokens.refreshGraceSeconds * 1000
    model.familyUntil = now + tokens.refreshTokenSeconds * 1000
  } else {
    const successor = model.lastOf(model.generation)
    expect(response.refresh_token).toBe(successor.refresh_token)
    if (successor.expiresAt - now >= 1000) expect(response.access_token).toBe(successor.access_token)
  }
  hand(deps, model, model.generation, response)
  return expected
}

function hand(deps: Given, model: Model, generation: number, response: TokenResponse): void {
  expect(response.expires_in).toBeGreaterThan(0)
  model.handed.push({ ...response, generation, expiresAt: deps.time.now + response.expires_in * 1000 })
}

/** Eight are kept: an older one may be gone before its time. */
function isAmongTheLive(model: Model, handed: Handed, now: number): boolean {
  const live = [...new Set(model.handed.filter((other) => now < other.expiresAt + clockSkewMs).map((other) => other.access_token))]
  return live.slice(-8).includes(handed.access_token)
}

async function noteAndWait(deps: Given, token: string): Promise<void> {
  const idle = track(deps, deps.store)
  noteUse(deps, await checkAccessToken(deps, token, 'todo'))
  await idle()
}

async function holdsWhatItSaid(deps: Given, model: Model): Promise<void> {
  for (const handed of model.handed) {
    const isGood = model.alive && deps.time.now < handed.expiresAt + clockSkewMs && isAmongTheLive(model, handed, deps.time.now)
    const check = checkAccessToken(deps, handed.access_token, 'todo')
    await (isGood ? check : expect(check).rejects.toMatchObject({ code: 'invalid_token' }))
  }
}

/** Every operation waits for its turn before it happens. */
function scheduled(store: Store, scheduler: fc.Scheduler): Store {
  const turn = async <T>(name: string, run: () => Promise<T>): Promise<T> => {
    await scheduler.schedule(Promise.resolve(), name)
    return run()
  }
  return {
    ...memoryStore(),
    get: (key) => turn('get', () => store.get(key)),
    delete: (key) => turn('delete', () => store.delete(key)),
    take: (key) => turn('take', () => store.take(key)),
    compareAndSet: (...given) => turn('compareAndSet', () => store.compareAndSet(...given)),
  }
}

/** Puts the store into the deps so that the end of all work on it, that in the background included, can be awaited. */
function track(deps: Given, store: Store): () => Promise<void> {
  const open = new Set<Promise<unknown>>()
  const follow = <T>(work: Promise<T>): Promise<T> => {
    open.add(work)
    const done = () => void open.delete(work)
    work.then(done, done)
    return work
  }
  deps.store = {
    ...store,
    get: (key) => follow(store.get(key)),
    delete: (key) => follow(store.delete(key)),
    take: (key) => follow(store.take(key)),
    compareAndSet: (...given) => follow(store.compareAndSet(...given)),
  }
  return async () => {
    while (open.size > 0) {
      await Promise.allSettled(open)
      // What continues after an operation may begin the next one.
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
