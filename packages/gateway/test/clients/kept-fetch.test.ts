import { describe, expect, it } from '@jest/globals'
import { keepFetched } from '../../src/clients/kept-fetch.ts'
import { memoryStore } from '../../src/store/memory.ts'
import { recordKey } from '../../src/store/schema.ts'

const dayMs = 86_400_000
const largest = 'x'.repeat(1024 * 1024)

/** A store by a clock of the test, and what names the record of one more stranger. */
function setUp() {
  let now = 1_000_000
  const store = memoryStore({ clock: () => now })
  const keyOf = (kind: string, index: number) => recordKey('document', kind, String(index))
  return { store, keyOf, advance: (ms: number) => (now += ms) }
}

describe('CR-11 CR-15: what is fetched for strangers', () => {
  it('has 64 MiB a day for new records of each kind, and renews those that are there', async () => {
    const { store, keyOf, advance } = setUp()
    const isKept = async (kind: string, index: number) => (await store.get(keyOf(kind, index))) !== undefined
    for (let index = 0; index < 70; index++) await keepFetched({ store }, 'keys', keyOf('keys', index), largest, 2 * dayMs)
    expect([await isKept('keys', 0), await isKept('keys', 63), await isKept('keys', 64), await isKept('keys', 69)]).toEqual([true, true, false, false])
    await keepFetched({ store }, 'document', keyOf('document', 0), largest, 2 * dayMs)
    expect(await isKept('document', 0)).toBe(true)
    await keepFetched({ store }, 'keys', keyOf('keys', 63), 'renewed', 2 * dayMs)
    expect(await store.get(keyOf('keys', 63))).toBe('renewed')
    advance(dayMs)
    await keepFetched({ store }, 'keys', keyOf('keys', 69), largest, 2 * dayMs)
    expect(await isKept('keys', 69)).toBe(true)
  })
})
