import { sqliteStore } from '../../src/store/sqlite.ts'

/* Opens each SQLite file that it is told to, writes into it, closes it, and tells how that went. */
process.on('message', async (path: string) => {
  try {
    const store = sqliteStore(path)
    await store.set(`by ${process.pid}`, 'here', 60_000)
    await store.close()
    process.send?.('done')
  } catch (error) {
    process.send?.(String(error))
  }
})
process.send?.('ready')
