import { describe, expect, it } from '@jest/globals'
import { randomText } from '../../src/keys/random.ts'

describe('random bytes', () => {
  it('are as many as asked, across the ends of the supply too', () => {
    for (let round = 0; round < 500; round++)
      for (const bytes of [1, 9, 12, 16, 32, 33, 1_000]) expect(Buffer.from(randomText(bytes), 'base64url')).toHaveLength(bytes)
    expect(Buffer.from(randomText(4_096), 'base64url')).toHaveLength(4_096)
    expect(() => randomText(4_097)).toThrow(RangeError)
  })

  it('never come twice, nor as the zeros that replace what was given', () => {
    const seen = new Set<string>()
    for (let count = 0; count < 20_000; count++) seen.add(randomText(16))
    expect(seen.size).toBe(20_000)
    const bits = Buffer.concat([...seen].map((text) => Buffer.from(text, 'base64url')))
    // 320,000 bytes: each value comes 1,250 times, give or take 35; ten times that is no chance.
    const counts = new Array<number>(256).fill(0)
    for (const byte of bits) counts[byte] = (counts[byte] ?? 0) + 1
    for (const count of counts) expect(Math.abs(count - 1_250)).toBeLessThan(350)
  })
})
