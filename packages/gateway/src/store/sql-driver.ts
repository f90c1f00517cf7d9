/** What one statement did. */
export interface SqlAnswer {
  rows: Record<string, unknown>[]
  /** Rows inserted, changed or removed, as MySQL counts them; -1 where the driver does not tell. */
  affected: number
  /** MySQL's `LAST_INSERT_ID(…)` of this statement; 0 elsewhere. */
  insertId: number
}

/** Runs one statement of an operation; values stand for its placeholders. */
export type RunSql = (sql: string, values?: readonly unknown[]) => Promise<SqlAnswer>

/** How a SQL database is reached. */
export interface SqlDriver {
  /**
   * Runs one statement as a transaction of its own. Where it stands in line until `deadline` (by `performance.now()`), it rejects and has not run; where it
   * has no answer until then, it rejects, its connection is given up, and whether it ran is unknown.
   */
  run(sql: string, values: readonly unknown[], deadline: number): Promise<SqlAnswer>
  /** Whether the database says of a failed statement that it undid it for the sake of another, so that it may run again. */
  isConflict(error: unknown): boolean
  /** Ends what the driver itself opened. */
  end(): Promise<void>
}

/** Fails a statement whose time is over before it is sent, so that it surely does not happen. */
export function checkTime(deadline: number): void {
  if (performance.now() >= deadline) throw new Error('given up in line for a connection')
}

/** Settles as `answer` does, or rejects at the deadline. */
export async function untilDeadline<T>(answer: Promise<T>, deadline: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), Math.max(0, deadline - performance.now()))
  })
  answer.catch(() => undefined)
  try {
    return await Promise.race([answer, late])
  } finally {
    clearTimeout(timer)
  }
}
