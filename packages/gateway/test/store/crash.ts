import { sqliteStore } from '../../src/store/sqlite.ts'

/* Writes without end into the SQLite file in its first argument, and tells after each write what it wrote, until it is killed. */
const store = sqliteStore(process.argv[2] ?? '')
for (let index = 0; ; index++) {
  await store.set('last', String(index), 60_000)
  await new Promise<void>((resolve) => process.send?.(index, () => resolve()))
}
