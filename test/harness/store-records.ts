import { DatabaseSync } from 'node:sqlite'

/** How many live records of each prefix stand in a gateway's SQLite store, by the machine's clock. */
export function recordsIn(file: string): Record<string, number> {
  const database = new DatabaseSync(file, { readOnly: true })
  try {
    const rows = database
      .prepare("SELECT substr(key, 1, instr(key, ':') - 1) AS prefix, count(*) AS count FROM entries WHERE expires > ? GROUP BY 1")
      .all(Date.now())
    return Object.fromEntries(rows.map((row) => [String(row.prefix), Number(row.count)]))
  } finally {
    database.close()
  }
}
