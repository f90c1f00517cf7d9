/** Sees to it that expired entries of a Keyv on a Map go away though nobody reads them again. */
export interface Removal {
  /** To be called at each write; looks at a few older entries. */
  written(key: string, expires: number): void
  removed(key: string): void
}

/** How many entries each write looks at: more than one, so that removal outruns growth. */
const seenByWrite = 4

/** @param read reads an entry, by which Keyv removes it when it has expired */
export function createRemoval(read: (key: string) => Promise<unknown>): Removal {
  const expiries = new Map<string, number>()
  let cursor = expiries.entries()
  return {
    written(key, expires) {
      expiries.set(key, expires)
      const now = Date.now()
      for (let step = 0; step < seenByWrite; step++) {
        const next = cursor.next()
        if (next.done) {
          cursor = expiries.entries()
          return
        }
        const [seen, ends] = next.value
        // Keyv counts an entry as expired one millisecond after its end.
        if (ends + 1 >= now) continue
        expiries.delete(seen)
        read(seen).catch(() => undefined)
      }
    },
    removed(key) {
      expiries.delete(key)
    },
  }
}
