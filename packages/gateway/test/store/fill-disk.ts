import { sqliteStore } from '../../src/store/sqlite.ts'

/*
 * Does one kind of write to the SQLite file in its first argument until one fails, and prints how many were told done and why it ended. It runs where files
 * cannot grow beyond a size, which to SQLite is a full disk.
 */
const [, , path = '', kind] = process.argv
const store = sqliteStore(path)
let done = 0
try {
  for (; done < 1_000; done++) {
    if (kind === 'spend') await store.spend('counter', 1, 1_000_000, 60_000)
    else if (kind === 'take') await store.take(`value:${done}`)
    else await store.set('last', String(done + 1), 60_000)
  }
  console.log(JSON.stringify({ done }))
} catch (error) {
  console.log(JSON.stringify({ done, code: (error as { code: string }).code, reason: (error as { reason: string }).reason }))
}
