import { describe, expect, it } from '@jest/globals'
import { GatewayError, StoreUnavailable } from '../../src/errors/errors.ts'
import { withDeadline } from '../../src/store/deadline.ts'
import { memoryStore } from '../../src/store/memory.ts'
import type { Store } from '../../src/store/store.ts'

const operations = ['get', 'set', 'delete', 'take', 'compareAndSet', 'spend'] as const

/** A store of which every operation does the same. */
function storeThat(does: () => Promise<never>): Store {
  return { ...memoryStore(), name: 'third party', get: does, set: does, delete: does, take: does, compareAndSet: does, spend: does }
}

function call(store: Store, operation: (typeof operations)[number]): Promise<unknown> {
  if (operation === 'set') return store.set('a', 'b', 1_000)
  if (operation === 'compareAndSet') return store.compareAndSet('a', undefined, 'b', 1_000)
  if (operation === 'spend') return store.spend('a', 1, 5, 1_000)
  return store[operation]('a')
}

describe('a store with a deadline', () => {
  it.each(operations)('rejects %s when the backend hangs', async (operation) => {
    const began = performance.now()
    const refusal = await call(
      withDeadline(
        storeThat(() => new Promise<never>(() => undefined)),
        30,
      ),
      operation,
    ).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(StoreUnavailable)
    expect(refusal).toMatchObject({ status: 503, headers: { 'retry-after': '2' }, reason: `third party: ${operation} took longer than 30 ms` })
    expect(performance.now() - began).toBeLessThan(1_000)
  })

  it.each(operations)('tells any failure of %s as an outage, with its cause', async (operation) => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    const refusal = await call(
      withDeadline(
        storeThat(() => Promise.reject(cause)),
        1_000,
      ),
      operation,
    ).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(StoreUnavailable)
    expect(refusal).toMatchObject({ cause, reason: `third party: ${operation} failed: connect ECONNREFUSED` })
    expect((refusal as Error).message).not.toContain('ECONNREFUSED')
  })

  it('tells what a backend throws at once, and what is no Error, the same way', async () => {
    const thrower = storeThat(() => {
      throw 'no connection'
    })
    await expect(withDeadline(thrower, 1_000).get('a')).rejects.toMatchObject({ code: 'store_unavailable', reason: 'third party: get failed: no connection' })
  })

  it('passes on a failure that is told as one of ours', async () => {
    const refusal = new StoreUnavailable('over quota')
    await expect(
      withDeadline(
        storeThat(() => Promise.reject(refusal)),
        1_000,
      ).get('a'),
    ).rejects.toBe(refusal)
  })

  it('leaves a mistake of the caller a mistake', async () => {
    const store = withDeadline(memoryStore(), 1_000)
    for (const mistake of [store.set('a', 'b', 0), store.compareAndSet('a', undefined, 'b', Number.NaN), store.spend('a', 0.5, 1, 1)]) {
      const error = await mistake.catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(RangeError)
      expect(error).not.toBeInstanceOf(GatewayError)
    }
  })

  it('a failure after the deadline disturbs nobody', async () => {
    let fail = (_: Error): void => undefined
    const backend = new Promise<never>((_, reject) => {
      fail = reject
    })
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    await expect(
      withDeadline(
        storeThat(() => backend),
        5,
      ).get('a'),
    ).rejects.toBeInstanceOf(StoreUnavailable)
    fail(new Error('late'))
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })

  it('keeps what the store says of itself', () => {
    expect(withDeadline({ ...memoryStore(), name: 'x', atomicAcrossProcesses: true }, 5)).toMatchObject({ name: 'x', atomicAcrossProcesses: true })
  })
})
