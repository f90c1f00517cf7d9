import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { describe, expect, it } from '@jest/globals'
import { memoryStore } from '../../src/store/memory.ts'

const minute = 60_000

describe('the memory store', () => {
  it('counts time by the clock it is given', async () => {
    let now = 0
    const store = memoryStore({ clock: () => now })
    await store.set('a', 'b', 10)
    now = 9
    expect(await store.get('a')).toBe('b')
    now = 10
    expect(await store.get('a')).toBeUndefined()
  })

  it('keeps a counter and a value apart', async () => {
    const store = memoryStore()
    await store.set('a', '5', minute)
    await expect(store.spend('a', 1, 10, minute)).rejects.toBeInstanceOf(TypeError)
    expect(await store.get('a')).toBe('5')
  })

  it('does not grow by entries that expired and are never read', async () => {
    let now = 0
    const store = memoryStore({ clock: () => now })
    // Made of bytes: strings that are put together share their parts, and would weigh nothing.
    const value = (index: number) => Buffer.alloc(10_000, 97 + (index % 26)).toString('latin1')
    // What is garbage already says nothing: how soon it is collected is the machine's matter.
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const heapUsed = () => {
      collect()
      return process.memoryUsage().heapUsed
    }
    const heapBefore = heapUsed()
    for (let index = 0; index < 50_000; index++) {
      now = index
      await store.set(`key:${index}`, value(index), 100)
    }
    // 50,000 values of 10 kB are 500 MB; those that live, and the few not yet come by, are about 2 MB.
    expect(heapUsed() - heapBefore).toBeLessThan(50_000_000)
    expect(await store.get('key:49999')).toBe(value(49_999))
  })
})
