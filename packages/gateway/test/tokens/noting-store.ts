import type { Store } from '../../src/store/store.ts'

/** The same store, which notes what is done in it: the operation and the kind of record, such as `get connection`. */
export function noting(store: Store, operations: string[]): Store {
  return new Proxy(store, {
    get(target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function' || name === 'close') return value
      return (...given: unknown[]) => {
        operations.push(`${String(name)} ${String(given[0]).split(':')[0]}`)
        return value.apply(target, given)
      }
    },
  })
}
