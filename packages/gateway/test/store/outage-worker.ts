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
 * A process as a team would run it: no handler of uncaught errors, calls all the time. It says `ready`, then, whenever it is asked, what it has seen since.
 */
const [kind, ports] = process.argv.slice(2) as [Kind, string]
const store = openKind(kind, ports.split(',').map(Number), 1_000)
let seen: Seen = { right: 0, unavailable: 0, wrong: [], longestMs: 0 }
let over = false

async function once(operation: () => Promise<unknown>, right: (result: unknown) => boolean): Promise<void> {
  const started = performance.now()
  try {
    const result = await operation()
    if (right(result)) seen.right++
    else seen.wrong.push(JSON.stringify(result) ?? 'undefined')
  } catch (error) {
    if (error instanceof StoreUnavailable) seen.unavailable++
    else seen.wrong.push(String(error))
  }
  seen.longestMs = Math.max(seen.longestMs, performance.now() - started)
}

async function call(index: number): Promise<void> {
  while (!over) {
    await once(
      () => store.get('kept'),
      (value) => value === 'value',
    )
    await once(
      () => store.set(`other-${index}`, 'x', 60_000),
      () => true,
    )
    await once(
      () => store.compareAndSet('kept', 'another', 'y', 60_000),
      (done) => done === false,
    )
    await once(
      () => store.spend(`spend-${index}`, 1, 1_000_000, 600_000),
      (spent) => (spent as { allowed: boolean }).allowed,
    )
  }
}

await store.set('kept', 'value', 600_000)
const calls = [0, 1, 2, 3, 4, 5, 6, 7].map(call)
process.on('message', (message) => {
  process.send?.(seen)
  seen = { right: 0, unavailable: 0, wrong: [], longestMs: 0 }
  if (message !== 'end') return
  over = true
  void Promise.all(calls)
    .then(() => store.close())
    // What is still open is the adapter's own client, which is the team's to end; one of a cluster may not end while it tries to connect.
    .then(() => process.exit(0))
})
process.send?.('ready')
