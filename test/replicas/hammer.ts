// The clients of a run, in a process of their own, so that what they measure is the gateways and not the test.
import { setTimeout as pause } from 'node:timers/promises'
import { type ClientTokens, HammeredConnection, type Place } from './hammered-connection.ts'
import { emptyTally, type Tally } from './tally.ts'
import { watchMachine } from './timed-request.ts'

/** What the test asks of this process. */
export type Order = { do: 'begin'; place: Place; connections: ClientTokens[]; callsPerSecond: number } | { do: 'end' }

/** What it says in the end. */
export interface Report {
  tally: Tally
  /** Connections that did not work in the end, each with the last answer it had. */
  lost: { user: string; why: string }[]
}

/** So many calls may wait at one gateway; then the next go to the other, as with any load balancer. */
const mostWaiting = 40
/** Longer than any lease, and the wait of the one after it. */
const recoveryMs = 45_000

const waiting = [0, 0]
let isOver = false

async function load(connections: HammeredConnection[], callsPerSecond: number, tally: Tally): Promise<void> {
  const running = new Set<Promise<unknown>>()
  const startedAt = performance.now()
  for (let sent = 0, turn = 0; !isOver; ) {
    const due = ((performance.now() - startedAt) / 1000) * callsPerSecond
    for (; sent < due; sent++) {
      const gateway = [Math.random() < 0.5 ? 0 : 1].map((wanted) => ((waiting[wanted] as number) < mostWaiting ? wanted : 1 - wanted))[0] as number
      // Every connection in turn, with a few out of turn, so that calls of one connection meet too.
      const connection = connections[(Math.random() < 0.2 ? turn : turn++) % connections.length] as HammeredConnection
      if ((waiting[gateway] as number) >= mostWaiting) continue
      waiting[gateway] = (waiting[gateway] as number) + 1
      const call = connection.call(gateway, tally).finally(() => {
        waiting[gateway] = (waiting[gateway] as number) - 1
        running.delete(call)
      })
      running.add(call)
    }
    await pause(5)
  }
  await Promise.all(running)
}

/** Lets a connection call through both gateways, refresh, and call again. Says what it could not do. */
async function worksIn(connection: HammeredConnection, tally: Tally, until: number): Promise<string | undefined> {
  for (const gateway of [0, 1]) {
    const steps = [() => connection.call(gateway, tally), async () => ((await connection.refresh(gateway, tally)) ? 'right' : 'unreachable')]
    for (const step of [...steps, steps[0] as (typeof steps)[0]]) {
      const before = tally.wrong.length
      for (let verdict = await step(); verdict !== 'right'; verdict = await step()) {
        const wrong = tally.wrong.slice(before).find(({ user }) => user === connection.tokens.user)
        if (wrong) return wrong.what
        if (Date.now() > until) return `${verdict} for ${recoveryMs} ms`
        await pause(500)
      }
    }
  }
  return undefined
}

async function findLost(connections: HammeredConnection[], tally: Tally): Promise<Report['lost']> {
  const left = [...connections]
  const lost: Report['lost'] = []
  const until = Date.now() + recoveryMs
  const worker = async () => {
    for (let next = left.pop(); next; next = left.pop()) {
      const why = await worksIn(next, tally, until)
      if (why !== undefined) lost.push({ user: next.tokens.user, why })
    }
  }
  await Promise.all(Array.from({ length: 20 }, worker))
  return lost
}

process.on('message', async (order: Order) => {
  if (order.do === 'end') {
    isOver = true
    return
  }
  const { refreshAfterSeconds = Number.POSITIVE_INFINITY } = order.place
  const connections = order.connections.map((tokens) => {
    // Not all in one moment.
    const refreshAt = Math.min(tokens.refreshAt, Date.now() + Math.random() * refreshAfterSeconds * 1000)
    return new HammeredConnection(order.place, { ...tokens, refreshAt })
  })
  const tally = emptyTally()
  void watchMachine(order.place.control)
  await load(connections, order.callsPerSecond, tally)
  const report: Report = { tally: structuredClone(tally), lost: await findLost(connections, tally) }
  // What was seen at the end counts too, but for the answers of those that are lost: these were heard already.
  report.tally.wrong = tally.wrong
  process.send?.({ report })
})
process.once('SIGTERM', () => process.exit(0))
process.once('disconnect', () => process.exit(0))
process.send?.({ url: 'ready' })
