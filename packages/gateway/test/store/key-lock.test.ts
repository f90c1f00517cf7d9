import { describe, expect, it } from '@jest/globals'
import { createKeyLock } from '../../src/store/key-lock.ts'

const turn = () => new Promise((resolve) => setImmediate(resolve))

describe('the lock by key', () => {
  it('runs tasks of one key in order and one at a time', async () => {
    const inTurn = createKeyLock()
    const events: string[] = []
    const task = (name: string) => async () => {
      events.push(`${name} begins`)
      await turn()
      events.push(`${name} ends`)
      return name
    }
    expect(await Promise.all(['a', 'b', 'c'].map((name) => inTurn('key', task(name))))).toEqual(['a', 'b', 'c'])
    expect(events).toEqual(['a begins', 'a ends', 'b begins', 'b ends', 'c begins', 'c ends'])
  })

  it('runs tasks of different keys side by side', async () => {
    const inTurn = createKeyLock()
    let release = (): void => undefined
    const first = inTurn('a', () => new Promise<void>((resolve) => (release = resolve)))
    await inTurn('b', turn)
    release()
    await first
  })

  it('goes on after a task that failed', async () => {
    const inTurn = createKeyLock()
    const failed = inTurn('key', () => Promise.reject(new Error('first')))
    const next = inTurn('key', async () => 'second')
    await expect(failed).rejects.toThrow('first')
    expect(await next).toBe('second')
  })
})
