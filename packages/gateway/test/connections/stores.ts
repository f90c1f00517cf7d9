import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from '@jest/globals'
import { memoryStore } from '../../src/store/memory.ts'
import { sqliteStore } from '../../src/store/sqlite.ts'
import type { Store } from '../../src/store/store.ts'

const folder = mkdtempSync(join(tmpdir(), 'emcy-connections-'))
const opened: Store[] = []
afterAll(async () => {
  for (const store of opened) await store.close()
  rmSync(folder, { recursive: true })
})

/** The stores that a test of connections runs on, by name. */
export const stores: [string, (clock: () => number) => Store][] = [
  ['memory', (clock) => memoryStore({ clock })],
  [
    'sqlite',
    (clock) => {
      const store = sqliteStore(join(folder, `${opened.length}.db`), { clock })
      opened.push(store)
      return store
    },
  ],
]
