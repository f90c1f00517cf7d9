import { DatabaseSync } from 'node:sqlite'

/*
 * A process that takes the write lock of the SQLite file in its first argument, says so, and lets go when told (or when killed).
 */
const database = new DatabaseSync(process.argv[2] ?? '', { timeout: 5_000 })
database.exec('BEGIN IMMEDIATE')
process.on('message', () => {
  database.exec('COMMIT')
  database.close()
  process.disconnect()
})
process.send?.('locked')
