import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import {
  type Authorized,
  authorize,
  failed,
  type Lease,
  late,
  type OpenGrant,
  reconnect,
  refreshed,
  refused,
  spent,
  type Wanted,
  want,
} from '../../src/grants/grant-machine.ts'
import type { Change } from '../../src/store/records.ts'

/*
 * Three processes with clocks up to 5 s apart share one grant at a provider that rotates refresh tokens and takes each one once. Calls come, requests leave
 * late, answers are late or lost, processes die between any two steps, users authorize anew, sign in again from links old and new, and disconnect. Each promise of the design is checked at each step.
 */

const seconds = 1_000
const timeoutMs = 10 * seconds
const leaseMs = 30 * seconds
const skewMs = 5 * seconds
const tokenMs = 300 * seconds

interface Answer {
  accessToken: string
  refreshToken: string
}

type Process = { skew: number } & (
  | { at: 'idle' }
  | { at: 'leased'; lease: Lease }
  | { at: 'sent'; lease: Lease; sentAt: number; answer: Answer | 'refused' | 'down' }
  | { at: 'answered'; lease: Lease; sentAt: number; answer: Answer | 'refused' | 'down' }
)

type Step =
  | { do: 'call'; by: number; runtimeRefuses: boolean }
  | { do: 'go on'; by: number }
  | { do: 'die' | 'lose'; by: number }
  | { do: 'wait'; ms: number }
  | { do: 'clock'; by: number; skew: number }
  | { do: 'authorize'; withRefreshToken: boolean }
  | { do: 'ask' }
  | { do: 'come back'; link: number; withRefreshToken: boolean }
  | { do: 'disconnect' }
  | { do: 'outage'; on: boolean }

interface Line {
  /** The one that the provider takes now. */
  current: string
  /** Whether the answer that carried it was lost on the way. */
  lost: boolean
  /** The spent one whose answer was waited for during a whole lease. */
  waitedFor: string | undefined
}

function lineName(refreshToken: string): string {
  return refreshToken.replace(/\..*/, '')
}

class World {
  now = 1_000_000_000
  grant: OpenGrant | undefined
  processes: Process[] = [0, 1, 2].map(() => ({ skew: 0, at: 'idle' }))
  down = false
  /** Each line of refresh tokens at the provider. */
  lines = new Map<string, Line>()
  accessTokens = new Map<string, number>()
  count = 0
  seen = new Set<string>()
  /** Versions of dead grants that links were made for; whether somebody has come back from one with success. */
  links: { version: number; used: boolean }[] = []

  clock(process: Process): number {
    return this.now + process.skew
  }

  apply<A>(change: Change<OpenGrant, A>): A {
    if (change.do === 'write') this.grant = change.next
    expect(change.do).not.toBe('remove')
    return change.answer
  }

  issue(): string {
    const token = `at${++this.count}`
    this.accessTokens.set(token, this.now + tokenMs)
    return token
  }

  lineOf(refreshToken: string): Line {
    return this.lines.get(lineName(refreshToken)) as Line
  }

  /** What the provider does with a refresh token, at the moment the request reaches it. */
  present(refreshToken: string): Answer | 'refused' | 'down' {
    if (this.down) return 'down'
    const line = this.lineOf(refreshToken)
    if (line.current !== refreshToken) {
      // A strict provider ends the family for this. Nobody does it while the answer may still come, unless that was waited for already.
      expect(line.lost || line.waitedFor === refreshToken).toBe(true)
      return 'refused'
    }
    line.current = `${lineName(refreshToken)}.${++this.count}`
    return { accessToken: this.issue(), refreshToken: line.current }
  }
}

function take(world: World, step: Step): void {
  switch (step.do) {
    case 'wait':
      world.now += step.ms
      for (const [by, process] of world.processes.entries()) {
        if (process.at !== 'sent') continue
        // No call waits for longer than the time-out; the answer is listened for almost as long as the lease lasts.
        if (world.now >= process.sentAt + timeoutMs) world.apply(late(world.grant, process.lease, world.clock(process)))
        if (world.clock(process) >= process.lease.deadline - skewMs) lose(world, by, process)
      }
      break
    case 'clock':
      world.processes[step.by] = { ...(world.processes[step.by] as Process), skew: step.skew }
      break
    case 'outage':
      world.down = step.on
      break
    case 'disconnect':
      world.grant = undefined
      break
    case 'authorize':
      authorizeAnew(world, step.withRefreshToken)
      break
    case 'ask':
      // A connection that has ended asks nobody for anything.
      if (world.grant?.state === 'needs-reconnect') world.links.push({ version: world.grant.version, used: false })
      break
    case 'come back':
      comeBack(world, step)
      break
    case 'call':
      call(world, step.by, step.runtimeRefuses)
      break
    case 'go on':
      goOn(world, step.by)
      break
    case 'lose': {
      const process = world.processes[step.by] as Process
      if (process.at === 'sent') lose(world, step.by, process)
      break
    }
    case 'die':
      die(world, step.by)
  }
}

function die(world: World, by: number): void {
  const process = world.processes[by] as Process
  if (process.at === 'sent' || process.at === 'answered') noteLoss(world, process)
  if (process.at !== 'idle') world.seen.add(`died ${process.at}`)
  world.processes[by] = { skew: process.skew, at: 'idle' }
}

function authorizeAnew(world: World, withRefreshToken: boolean): void {
  world.apply(authorize(world.grant, signIn(world, withRefreshToken), world.now))
}

/** The user of a link has signed in, whatever became of the grant meanwhile; links are kept and opened again. */
function comeBack(world: World, { link, withRefreshToken }: Step & { do: 'come back' }): void {
  const used = world.links[link % Math.max(1, world.links.length)]
  if (!used) return
  const before = world.grant
  const outcome = world.apply(reconnect(before, { ...signIn(world, withRefreshToken), deadVersion: used.version }, world.now))
  world.seen.add(outcome)
  if (outcome === 'over') {
    expect(world.grant).toBe(before)
    return
  }
  expect(before).toMatchObject({ state: 'needs-reconnect', version: used.version })
  expect(world.grant).toMatchObject({ state: 'live', version: used.version + 1 })
  // Of all links of one death one counts, once.
  expect(world.links.filter(({ version }) => version === used.version).map((one) => one.used)).not.toContain(true)
  used.used = true
}

function signIn(world: World, withRefreshToken: boolean): Authorized {
  const line = `rt${++world.count}`
  if (withRefreshToken) world.lines.set(line, { current: line, lost: false, waitedFor: undefined })
  const tokens = { accessToken: world.issue(), ...(withRefreshToken && { refreshToken: line }) }
  const identity = { issuer: 'https://login.example.com', sub: 'alice', claims: {} }
  return { tokens, identity, scopes: [], expiresInMs: tokenMs, obtainedAt: world.now, lifeMs: 1e9, provider: 'default', owner: 'c' }
}

function call(world: World, by: number, runtimeRefuses: boolean): void {
  const process = world.processes[by] as Process
  const refusedToken = runtimeRefuses ? world.grant?.tokens.accessToken : undefined
  const event: Wanted = { holder: `${by}/${++world.count}`, leaseMs, aheadMs: 60 * seconds, jitter: 0.5, refused: refusedToken, sinceVersion: undefined }
  const answer = world.apply(want(world.grant, event, world.clock(process)))
  world.seen.add(answer.is)
  const usable = answer.is === 'use' ? answer.accessToken : answer.is === 'refresh' ? answer.meanwhile : undefined
  if (usable !== undefined) {
    expect(world.grant).toBeDefined()
    expect(usable).not.toBe(refusedToken)
    // Never one that has ended, as far as clocks that are 5 s apart can tell.
    expect(world.now).toBeLessThan((world.accessTokens.get(usable) as number) + skewMs)
  }
  if (answer.is !== 'refresh') return
  // A process does one refresh of a grant at a time.
  if (process.at === 'sent' || process.at === 'answered') noteLoss(world, process)
  world.processes[by] = { skew: process.skew, at: 'leased', lease: answer.lease }
}

function goOn(world: World, by: number): void {
  const process = world.processes[by] as Process
  if (process.at === 'leased') world.processes[by] = send(world, process)
  else if (process.at === 'sent') world.processes[by] = { ...process, at: 'answered' }
  else if (process.at === 'answered') {
    store(world, process)
    world.processes[by] = { skew: process.skew, at: 'idle' }
  }
}

function send(world: World, process: Process & { at: 'leased' }): Process {
  const { lease, skew } = process
  const now = world.clock(process)
  if (now > lease.deadline - timeoutMs - skewMs) {
    world.seen.add('gave the lease back')
    world.apply(failed(world.grant, { lease, retryMs: 0 }, now))
    return { skew, at: 'idle' }
  }
  if (lease.inDoubt && world.down) {
    world.apply(late(world.grant, lease, now))
    return { skew, at: 'idle' }
  }
  const line = world.lineOf(lease.refreshToken)
  if (lease.inDoubt && line.current !== lease.refreshToken) {
    world.seen.add('spent')
    line.waitedFor = lease.refreshToken
    world.apply(spent(world.grant, lease, now))
    return { skew, at: 'idle' }
  }
  // Of one line of refresh tokens never two at once; a new authorization begins a line of its own.
  for (const other of world.processes) if (other.at === 'sent') expect(lineName(other.lease.refreshToken)).not.toBe(lineName(lease.refreshToken))
  return { skew, at: 'sent', lease, sentAt: world.now, answer: world.present(lease.refreshToken) }
}

function store(world: World, process: Process & { at: 'answered' }): void {
  const { lease, answer } = process
  const now = world.clock(process)
  const wasDead = world.grant?.state === 'needs-reconnect'
  if (answer === 'down') world.apply(failed(world.grant, { lease, retryMs: 2 * seconds }, now))
  else if (answer === 'refused') world.apply(refused(world.grant, lease, now))
  else {
    const event = { lease, ...answer, expiresInMs: tokenMs, obtainedAt: process.sentAt + process.skew, scopes: undefined }
    const outcome = world.apply(refreshed(world.grant, event, now))
    world.seen.add(outcome)
    // Nobody goes on waiting for what has come.
    if (outcome === 'stored') expect(world.grant?.lease?.waits).toBeUndefined()
  }
  if (wasDead && world.grant?.state === 'live') world.seen.add('revived')
}

/** The provider has rotated, and nobody will ever store what it gave. */
function noteLoss(world: World, process: Process & { at: 'sent' | 'answered' }): void {
  if (typeof process.answer === 'object') world.lineOf(process.answer.refreshToken).lost = true
}

function lose(world: World, by: number, process: Process & { at: 'sent' }): void {
  noteLoss(world, process)
  world.seen.add('lost')
  world.apply(failed(world.grant, { lease: process.lease, retryMs: 2 * seconds }, world.clock(process)))
  world.processes[by] = { skew: process.skew, at: 'idle' }
}

const by = fc.nat(2)
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: fc.record({ do: fc.constant('call' as const), by, runtimeRefuses: fc.nat(4).map((n) => n === 0) }) },
  { weight: 12, arbitrary: fc.record({ do: fc.constant('go on' as const), by }) },
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('wait' as const), ms: fc.constantFrom(1, 2, 9, 14, 16, 26, 31, 235, 299, 310).map((s) => s * seconds) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('die' as const, 'lose' as const), by }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('clock' as const), by, skew: fc.integer({ min: -2_500, max: 2_500 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('authorize' as const), withRefreshToken: fc.boolean() }) },
  { weight: 2, arbitrary: fc.constant({ do: 'ask' as const }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('come back' as const), link: fc.nat(5), withRefreshToken: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('outage' as const), on: fc.boolean() }) },
  { weight: 1, arbitrary: fc.constant({ do: 'disconnect' as const }) },
)

/** A holder that stands still between the answer and its storing, for longer than its lease: chance alone hardly ever gets there. */
const standstill: Step[] = [
  { do: 'call', by: 0, runtimeRefuses: true },
  { do: 'go on', by: 0 },
  { do: 'go on', by: 0 },
  { do: 'wait', ms: leaseMs },
  { do: 'call', by: 1, runtimeRefuses: true },
  { do: 'go on', by: 1 },
]
/** And for one lease more, in which it was only waited for. */
const longStandstill: Step[] = [
  ...standstill,
  { do: 'wait', ms: leaseMs },
  { do: 'call', by: 2, runtimeRefuses: true },
  { do: 'go on', by: 2 },
  { do: 'go on', by: 2 },
  { do: 'go on', by: 2 },
]

describe('a downstream grant', () => {
  it('is never refreshed twice at once, never loses a refresh token that arrived, and never comes back after its end', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(fc.constantFrom([], [], standstill, longStandstill), fc.array(step, { minLength: 5, maxLength: 80 }), (begin, steps) => {
        const world = new World()
        world.seen = seen
        authorizeAnew(world, true)
        for (const next of [...begin, ...steps]) {
          const wasGone = world.grant === undefined
          take(world, next)
          if (wasGone && next.do !== 'authorize') expect(world.grant).toBeUndefined()
        }
        settles(world)
      }),
      { numRuns: 3_000 },
    )
    // The steps reached every case, or the property has shown nothing.
    const cases = [
      'dead',
      'died answered',
      'died leased',
      'died sent',
      'gave the lease back',
      'lost',
      'outdated',
      'over',
      'reconnected',
      'refresh',
      'revived',
      'spent',
      'stored',
    ]
    expect([...seen].sort()).toEqual([...cases, 'unavailable', 'use', 'wait'].sort())
  })
})

/** When all that is under way has ended, the record holds what the provider takes now, unless that was lost on the way. */
function settles(world: World): void {
  world.down = false
  for (let round = 0; round < 3; round++) for (const process of [0, 1, 2]) goOn(world, process)
  const refreshToken = world.grant?.tokens.refreshToken
  if (refreshToken === undefined) return
  const line = world.lineOf(refreshToken)
  if (line.lost) return
  expect(refreshToken).toBe(line.current)
  expect(world.grant?.state).toBe('live')
  // And so the next refresh works, whoever does it, once the lease of the dead is over.
  world.now += tokenMs + leaseMs + 2 * skewMs
  const before = world.grant?.version as number
  call(world, 0, false)
  goOn(world, 0)
  goOn(world, 0)
  goOn(world, 0)
  expect(world.grant).toMatchObject({ version: before + 1, state: 'live' })
}
