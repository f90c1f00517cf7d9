/** Runs tasks of the same key one after the other, in the order they came; tasks of different keys run side by side. */
export type InTurn = <T>(key: string, task: () => Promise<T>) => Promise<T>

/** Makes a lock by key, for this process. A task that hangs holds its key: to let others pass would let its late end overwrite theirs. */
export function createKeyLock(): InTurn {
  const tails = new Map<string, Promise<unknown>>()
  return async (key, task) => {
    const turn = (tails.get(key) ?? Promise.resolve()).then(task)
    const tail = turn.catch(() => undefined)
    tails.set(key, tail)
    try {
      return await turn
    } finally {
      if (tails.get(key) === tail) tails.delete(key)
    }
  }
}
