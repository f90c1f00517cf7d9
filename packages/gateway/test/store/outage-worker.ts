import { setImmediate } from 'node:timers/promises'
import { StoreUnavailable } from '../../src/errors/errors.ts'
import { type Kind, openKind } from './open-backend.ts'

/** What a process saw of a store while its server came and went. */
export interface Seen {
  right: number
  unavailable: number
  /** Anything else: an absent record, another error. */
  wrong: string[]
  /** Longest operation, in milliseconds. */
  longestMs: number
}

/*
 * A process as a team would run it: no handler of uncaught errors, calls all the time, on several groups of keys at once. It says `ready`, then, whenever it is asked,
 * what it has seen since, by group.
 */
const [kind, ports, groups] = process.argv.slice(2) as [Kind, string, string]
const store = openKind(kind, ports.split(',').map(Number), 1_000)
const nothing = (): Seen => ({ right: 0, unavailable: 0, wrong: [], longestMs: 0 })
const prefixes = groups.split(',')
let seenBy = prefixes.map(nothing)
let over = false

async function once(group: number, operation: () => Promise<unknown>, right: (result: unknown) => boolean): Promise<void> {
  const started = performance.now()
  const count = (what: (seen: Seen) => void) => what(seenBy[group] as Seen)
  try {
    const result = await operation()
    count((seen) => (right(result) ? seen.right++ : seen.wrong.push(JSON.stringify(result) ?? 'undefined')))
  } catch (error) {
    count((seen) => (error instanceof StoreUnavailable ? seen.unavailable++ : seen.wrong.push(String(error))))
  }
  // A call that is refused at once must not keep the process from all else: in a team's process calls come from sockets.
  await setImmediate()
  count((seen) => {
    seen.longestMs = Math.max(seen.longestMs, performance.now() - started)
  })
}

async function call(group: number, index: number): Promise<void> {
  const prefix = prefixes[group]
  while (!over) {
    await once(
      group,
      () => store.get(`${prefix}kept`),
      (value) => value === 'value',
    )
    await once(
      group,
      () => store.set(`${prefix}other-${index}`, 'x', 60_000),
      () => true,
    )
    await once(
      group,
      () => store.compareAndSet(`${prefix}kept`, 'another', 'y', 60_000),
      (done) => done === false,
    )
    await once(
      group,
      () => store.spend(`${prefix}spend-${index}`, 1, 1_000_000, 600_000),
      (spent) => (spent as { allowed: boolean }).allowed,
    )
  }
}

/** The first call may come before there is a connection, where servers are down. */
async function keep(prefix: string): Promise<void> {
  await store.set(`${prefix}kept`, 'value', 600_000).catch(async (error: unknown) => {
    if (!(error instanceof StoreUnavailable)) throw error
    await setImmediate()
    return keep(prefix)
  })
}
for (const prefix of prefixes) await keep(prefix)
const calls = prefixes.flatMap((_, group) => [0, 1, 2, 3, 4, 5, 6, 7].map((index) => call(group, index)))
process.on('message', (message) => {
  process.send?.(seenBy)
  seenBy = prefixes.map(nothing)
  if (message !== 'end') return
  over = true
  void Promise.all(calls)
    .then(() => store.close())
    // What is still open is the adapter's own client, which is the team's to end; one of a cluster may not end while it tries to connect.
    .then(() => process.exit(0))
})
process.send?.('ready')
