import type { Order, Report, Round } from './contract-processes.ts'
import type { Store } from './store.ts'

/*
 * One process of the store contract's checks with several: opens the store that the module in its first argument opens, says so, and then does what it is
 * told, with many callers at once.
 */

const minute = 60_000

const { open } = (await import(process.argv[2] ?? '')) as { open: () => Store | Promise<Store> }
const store = await open()
process.on('message', (round: Round) => {
  Promise.all(Array.from({ length: round.callers }, () => follow(round.order))).then(
    (results) => tell({ results }),
    (error: Error) => tell({ failed: String(error.stack) }),
  )
})
tell({ results: [] })

function follow(order: Order): Promise<unknown> {
  if (order.do === 'take') return store.take(order.key)
  if (order.do === 'compareAndSet') return store.compareAndSet(order.key, order.expected, 'mine', minute)
  return store.spend(order.key, order.cost, order.limit, minute)
}

function tell(report: Report): void {
  process.send?.(report)
}
