import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { BudgetCaller } from '../../src/budget/charge.ts'
import { type Reservation, reserve } from '../../src/budget/ledger.ts'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import type { LogEvent } from '../../src/log/events.ts'
import type { Budget } from '../../src/rules.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'

const start = Date.parse('2026-11-24T12:00:00Z')

function world(store?: (clock: () => number) => Store) {
  let now = start
  const clock = () => now
  const events: LogEvent[] = []
  const deps = { store: store?.(clock) ?? memoryStore({ clock }), clock, log: { write: (event: LogEvent) => void events.push(event), dropped: 0 } }
  return {
    deps,
    events,
    advance: (ms: number) => {
      now += ms
    },
  }
}

const caller = (over: Partial<BudgetCaller> = {}): BudgetCaller => ({
  subject: 'https://idp.example|ann',
  clientId: 'client-1',
  connectionId: 'connection-1',
  serverId: 'todo',
  method: 'tools/call',
  tool: 'add',
  claims: {},
  ...over,
})
const budget = (over: Partial<Budget> = {}): Budget => ({ name: 'calls', limit: 3, per: ['user'], window: 'day', ...over })
const granted = (reservation: Reservation) => {
  if (!reservation.granted) throw new Error(reservation.text)
  return reservation
}
const refused = (reservation: Reservation) => {
  if (reservation.granted) throw new Error('it was granted')
  return reservation
}

/** The same store, with the failures that a test asks for. */
function moody(inner: Store, fails: (cost: number, calls: number) => boolean): Store {
  let calls = 0
  return {
    ...inner,
    async spend(key, cost, limit, ttlMs) {
      if (fails(cost, ++calls)) throw new StoreUnavailable('gone')
      return inner.spend(key, cost, limit, ttlMs)
    },
  }
}

describe('reserving', () => {
  it('counts down to the limit and says so', async () => {
    const { deps } = world()
    const first = granted(await reserve(deps, [budget()], caller()))
    expect(first.notes).toEqual([{ name: 'calls', cost: 1, left: 2 }])
    expect(first.headers).toEqual({ ratelimit: '"calls";r=2;t=43200', 'ratelimit-policy': '"calls";q=3;w=86400' })
    await reserve(deps, [budget()], caller())
    expect(granted(await reserve(deps, [budget()], caller())).notes).toEqual([{ name: 'calls', cost: 1, left: 0 }])
    expect(await reserve(deps, [budget()], caller())).toEqual({
      granted: false,
      budget: 'calls',
      left: 0,
      resetsAt: Date.parse('2026-11-25T00:00:00Z'),
      retryAfterSeconds: 43_200,
      notes: [{ name: 'calls', cost: 1, left: 0, refused: true }],
      headers: { 'retry-after': '43200', ratelimit: '"calls";r=0;t=43200', 'ratelimit-policy': '"calls";q=3;w=86400' },
      text: 'The budget "calls" of this gateway (3 calls per day) is spent: 0 calls left, and this call costs 1 call. It resets 2026-11-25T00:00:00.000Z, in 43200 seconds. Do not repeat the call before that.',
    })
  })

  it('starts anew with the next window', async () => {
    const { deps, advance } = world()
    const hourly = budget({ limit: 1, window: 'hour' })
    granted(await reserve(deps, [hourly], caller()))
    refused(await reserve(deps, [hourly], caller()))
    advance(3_600_000)
    granted(await reserve(deps, [hourly], caller()))
  })

  it('lets a counter in seconds begin with its first unit', async () => {
    const { deps, advance } = world()
    const burst = budget({ limit: 2, window: { seconds: 10 } })
    granted(await reserve(deps, [burst], caller()))
    advance(9_000)
    granted(await reserve(deps, [burst], caller()))
    expect(refused(await reserve(deps, [burst], caller())).retryAfterSeconds).toBe(10)
    advance(1_000)
    granted(await reserve(deps, [burst], caller()))
  })

  it.each<[string, Partial<Budget>, Partial<BudgetCaller>, boolean]>([
    ['the same user', { per: ['user'] }, { clientId: 'other', connectionId: 'other', tool: 'other' }, true],
    ['another user', { per: ['user'] }, { subject: 'https://idp.example|bob' }, false],
    ['another client', { per: ['client'] }, { clientId: 'other' }, false],
    ['another connection', { per: ['connection'] }, { connectionId: 'other' }, false],
    ['another server', { per: ['server'] }, { serverId: 'other' }, false],
    ['another tool', { per: ['user', 'tool'] }, { tool: 'other' }, false],
    ['everyone', { per: [] }, { subject: 'x', clientId: 'x' }, true],
    ['the same claim', { per: ['claims.org'] }, { claims: { org: 'acme' }, subject: 'x' }, true],
    ['another claim', { per: ['claims.org'] }, { claims: { org: 'other' } }, false],
    ['no claim', { per: ['claims.org'] }, { claims: {} }, false],
    ['the claim "null"', { per: ['claims.org'] }, { claims: { org: 'null' } }, false],
  ])('%s: one counter is %j → %j: shared %s', async (_name, over, other, shared) => {
    const { deps } = world()
    const one = budget({ limit: 1, ...over })
    granted(await reserve(deps, [one], caller({ claims: { org: 'acme' } })))
    expect((await reserve(deps, [one], caller({ claims: { org: 'acme' }, ...other }))).granted).toBe(!shared)
  })

  it('counts those without the claim, or without a user, together', async () => {
    const { deps } = world()
    const one = budget({ limit: 1, per: ['claims.org', 'user'] })
    granted(await reserve(deps, [one], caller({ subject: undefined })))
    refused(await reserve(deps, [one], caller({ subject: undefined, clientId: 'other' })))
    granted(await reserve(deps, [one], caller()))
  })

  it('takes the cost of the tool', async () => {
    const { deps } = world()
    const spend = budget({ name: 'spend', limit: 30, unit: 'cent', cost: { search: 1, report: 25, free: 0, '*': 2 } })
    const left = async (tool: string) => granted(await reserve(deps, [spend], caller({ tool }))).notes.map((note) => note.left)
    expect(await left('report')).toEqual([5])
    expect(await left('other')).toEqual([3])
    expect(await left('free')).toEqual([])
    expect(await left('constructor')).toEqual([1])
    expect(refused(await reserve(deps, [spend], caller({ tool: 'other' }))).text).toContain('has too little left: 1 cent left, and this call costs 2 cent')
    expect(await left('search')).toEqual([0])
  })

  it('says when waiting does not help', async () => {
    const { deps } = world()
    expect(refused(await reserve(deps, [budget({ cost: 4 })], caller())).text).toContain('waiting does not help')
  })

  it.each<[string[] | undefined, string, boolean]>([
    [undefined, 'tools/call', true],
    [undefined, 'resources/read', false],
    [['resources/*'], 'resources/read', true],
    [['*'], 'tools/list', false],
    [['*'], 'initialize', false],
    [['*'], 'notifications/x', false],
  ])('methods %j: %s is counted: %s', async (methods, method, counted) => {
    const { deps } = world()
    const { notes } = await reserve(deps, [methods ? budget({ methods }) : budget()], caller({ method, tool: undefined }))
    expect(notes.length).toBe(counted ? 1 : 0)
  })
})

describe('several budgets', () => {
  const two = [budget({ name: 'a', limit: 10 }), budget({ name: 'b', limit: 1 })]
  it('charges all or none', async () => {
    const { deps } = world()
    expect(granted(await reserve(deps, two, caller())).notes).toEqual([
      { name: 'a', cost: 1, left: 9 },
      { name: 'b', cost: 1, left: 0 },
    ])
    const no = refused(await reserve(deps, two, caller()))
    expect(no.budget).toBe('b')
    expect(no.notes).toEqual([{ name: 'b', cost: 1, left: 0, refused: true }])
    expect(granted(await reserve(deps, [two[0] as Budget], caller())).notes).toEqual([{ name: 'a', cost: 1, left: 8 }])
  })
  it('refunds all of them, once', async () => {
    const { deps } = world()
    const reservation = granted(await reserve(deps, two, caller()))
    await reservation.refund()
    await reservation.refund()
    expect(granted(await reserve(deps, two, caller())).notes.map((note) => note.left)).toEqual([9, 0])
  })
})

describe('a refund that comes late', () => {
  it('does not touch the counter that began meanwhile', async () => {
    const { deps, advance } = world()
    const burst = [budget({ limit: 2, window: { seconds: 10 } })]
    granted(await reserve(deps, burst, caller()))
    advance(9_000)
    const late = granted(await reserve(deps, burst, caller()))
    advance(2_000)
    granted(await reserve(deps, burst, caller()))
    granted(await reserve(deps, burst, caller()))
    await late.refund()
    refused(await reserve(deps, burst, caller()))
  })
  it('does nothing after the window', async () => {
    const { deps, advance } = world()
    const hourly = [budget({ limit: 1, window: 'hour' })]
    const late = granted(await reserve(deps, hourly, caller()))
    advance(3_600_000)
    granted(await reserve(deps, hourly, caller()))
    await late.refund()
    refused(await reserve(deps, hourly, caller()))
  })
})

describe('dry-run', () => {
  it('counts, notes and never refuses', async () => {
    const { deps } = world()
    const trial = [budget({ name: 'trial', limit: 1, mode: 'dry-run' }), budget({ limit: 2 })]
    expect(granted(await reserve(deps, trial, caller())).headers.ratelimit).not.toContain('trial')
    expect(granted(await reserve(deps, trial, caller())).notes).toEqual([
      { name: 'calls', cost: 1, left: 0 },
      { name: 'trial', cost: 1, left: 0, refused: true, dryRun: true },
    ])
    expect(refused(await reserve(deps, trial, caller())).budget).toBe('calls')
  })
})

describe('an outage', () => {
  it('refuses, gives back what was charged, and says unavailable', async () => {
    const inner = memoryStore({ clock: () => start })
    const { deps } = world(() => moody(inner, (_cost, calls) => calls === 2))
    await expect(reserve(deps, [budget({ name: 'a' }), budget({ name: 'b' })], caller())).rejects.toBeInstanceOf(StoreUnavailable)
    expect(granted(await reserve({ ...deps, store: inner }, [budget({ name: 'a' })], caller())).notes).toEqual([{ name: 'a', cost: 1, left: 2 }])
  })
  it('lets calls pass uncounted where the budget says so', async () => {
    const { deps } = world((clock) => moody(memoryStore({ clock }), () => true))
    const reservation = granted(await reserve(deps, [budget({ onOutage: 'allow' })], caller()))
    expect(reservation.notes).toEqual([{ name: 'calls', cost: 1, uncounted: true }])
    expect(reservation.headers).toEqual({})
    granted(await reserve(deps, [budget({ mode: 'dry-run' })], caller()))
  })
  it('rethrows what is no outage even then', async () => {
    const { deps } = world((clock) => ({ ...memoryStore({ clock }), spend: () => Promise.reject(new TypeError('bug')) }))
    await expect(reserve(deps, [budget({ onOutage: 'allow' })], caller())).rejects.toBeInstanceOf(TypeError)
  })
  it('never fails a refund', async () => {
    const { deps, events } = world((clock) => moody(memoryStore({ clock }), (cost) => cost < 0))
    await granted(await reserve(deps, [budget()], caller())).refund()
    expect(events).toEqual([{ event: 'gateway.warning', level: 'warn', message: 'units of budget calls could not be given back', reason: 'gone' }])
  })
})

describe('over any interleaving', () => {
  /** A store whose every operation waits for its turn, which fast-check hands out in any order. */
  const scheduled = (scheduler: fc.Scheduler, inner: Store): Store => ({
    ...inner,
    spend: async (...args) => {
      await scheduler.schedule(Promise.resolve(), 'spend')
      return inner.spend(...args)
    },
  })

  it('no budget admits more than its limit, and what is left can be spent to the last unit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.record({ cost: fc.integer({ min: 1, max: 4 }), refunds: fc.boolean() }), { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 0, max: 12 }),
        fc.integer({ min: 0, max: 12 }),
        async (scheduler, calls, first, second) => {
          const { deps } = world((clock) => scheduled(scheduler, memoryStore({ clock })))
          const budgets = (cost: number) => [budget({ name: 'a', limit: first, cost }), budget({ name: 'b', limit: second, cost, window: { seconds: 60 } })]
          let admitted = 0
          const running = calls.map(async ({ cost, refunds }) => {
            const reservation = await reserve(deps, budgets(cost), caller())
            if (!reservation.granted) return
            admitted += cost
            expect(admitted).toBeLessThanOrEqual(Math.min(first, second))
            if (!refunds) return
            admitted -= cost
            await reservation.refund()
          })
          await scheduler.waitFor(Promise.all(running))
          let more = 0
          const rest = async () => {
            while ((await reserve(deps, budgets(1), caller())).granted) more++
          }
          await scheduler.waitFor(rest())
          expect(admitted + more).toBe(Math.min(first, second))
        },
      ),
      { numRuns: 150 },
    )
  })
})
