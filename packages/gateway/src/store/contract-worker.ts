import type { Order, Report, Round } from './contract-processes.ts'
import type { Store } from './store.ts'

/*
 * One process of the store contract's checks with several: opens the store that the module in its first argument opens, says so, and then does what it is
 * told, with many callers at once.
 */

const minute = 60_000

try {
  const { open } = (await import(process.argv[2] ?? '')) as { open: () => Store | Promise<Store> }
  const store = await open()
  process.on('message', (round: Round) => {
    Promise.all(Array.from({ length: round.callers }, () => follow(store, round.order))).then((results) => tell({ results }), tellFailure)
  })
  tell({ results: [] })
} catch (error) {
  tellFailure(error)
}

function follow(store: Store, order: Order): Promise<unknown> {
  if (order.do === 'take') return store.take(order.key)
  if (order.do === 'compareAndSet') return store.compareAndSet(order.key, order.expected, 'mine', minute)
  return store.spend(order.key, order.cost, order.limit, minute)
}

function tell(report: Report): void {
  process.send?.(report)
}

function tellFailure(error: unknown): void {
  tell({ failed: error instanceof Error ? String(error.stack) : String(error) })
}
