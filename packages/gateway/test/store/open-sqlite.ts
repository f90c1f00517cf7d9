import { sqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'

/** Opens the store whose file stands in this module's own URL: `open-sqlite.ts?path=…`. For processes of the store contract. */
export function open(): Store {
  return sqliteStore(new URL(import.meta.url).searchParams.get('path') ?? '', { waitMs: 10_000 })
}
