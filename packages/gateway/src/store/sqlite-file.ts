import { closeSync, openSync } from 'node:fs'
import type { DatabaseSync } from 'node:sqlite'
import { ConfigError } from '../errors/errors.ts'
import { isBusy } from './sqlite-busy.ts'

/** Version of the tables below, kept in the file's `user_version`. */
const layout = 1

/** How long opening may wait, blocking, while other processes open the same file: start-up only. */
const openingMs = 5_000

const tables = `
  CREATE TABLE IF NOT EXISTS entries (key TEXT PRIMARY KEY NOT NULL, value ANY NOT NULL, expires INTEGER NOT NULL) STRICT;
  CREATE INDEX IF NOT EXISTS entries_by_expiry ON entries (expires);
  PRAGMA user_version = ${layout};
`

/**
 * Opens, and where needed creates, the SQLite file of a store: write-ahead log (readers never wait for a writer), every commit on disk before it counts.
 *
 * @param path file path; its folder must exist
 * @param busyMs how long one statement may block this process while another holds the write lock, in milliseconds
 * @param prepare prepares the statements
 * @throws ConfigError when the file cannot be opened or was written by a newer gateway
 */
export function openSqliteFile<T>(path: string, busyMs: number, prepare: (database: DatabaseSync) => T): { database: DatabaseSync; statements: T } {
  try {
    // SQLite would create it readable for every user of the machine.
    closeSync(openSync(path, 'a', 0o600))
    const deadline = performance.now() + openingMs
    for (;;) {
      try {
        return openOnce(path, busyMs, prepare)
      } catch (error) {
        // Several processes that turn one new file to write-ahead mode are refused at once, whatever their time-out.
        if (!isBusy(error) || performance.now() > deadline) throw error
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 5 + Math.random() * 20)
      }
    }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError('store', `cannot open the SQLite file ${path}: ${(error as Error).message}`)
  }
}

function openOnce<T>(path: string, busyMs: number, prepare: (database: DatabaseSync) => T): { database: DatabaseSync; statements: T } {
  // Looked up only here: importing node:sqlite prints a warning on some Node versions, which concerns nobody who uses another store.
  const { DatabaseSync } = process.getBuiltinModule('node:sqlite')
  const database = new DatabaseSync(path, { timeout: openingMs })
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
    const found = Number(database.prepare('PRAGMA user_version').get()?.user_version)
    if (found > layout) throw new ConfigError('store', `${path} was written by a newer version of the gateway`)
    if (found < layout) database.exec(`BEGIN IMMEDIATE; ${tables} COMMIT`)
    const statements = prepare(database)
    database.exec(`PRAGMA busy_timeout = ${busyMs}`)
    return { database, statements }
  } catch (error) {
    database.close()
    throw error
  }
}
