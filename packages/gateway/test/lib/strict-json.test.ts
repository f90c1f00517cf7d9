import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { parseExactJson, parseStrictJson, StrictJsonError, stringifyExactJson } from '../../src/lib/strict-json.ts'

const faultOf = (text: string | Buffer, maxDepth = 8) => {
  try {
    parseStrictJson(Buffer.from(text as string), maxDepth)
    return undefined
  } catch (error) {
    return error instanceof StrictJsonError ? error.fault : error
  }
}

describe('RFC 7493 RFC 8259: JSON with one meaning', () => {
  it('parses whatever JSON.parse parses, when nothing is there twice', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), (text) => {
        expect(parseStrictJson(Buffer.from(text), 100)).toEqual(JSON.parse(text))
      }),
    )
  })

  it.each([
    ['{"a":1,"a":2}'],
    ['{"id":1,"\\u0069d":2}'],
    ['{"x":{"a":[{"b":1,"c":{},"b":2}]}}'],
    ['{"a":{},"b":[],"a":""}'],
    ['{"__proto__":1,"__proto__":2}'],
    ['{"":1,"":2}'],
    ['{"a\\"":1,"a\\"":2}'],
  ])('finds a member name twice: %s', (text) => expect(faultOf(text)).toBe('duplicate member'))

  it.each([['{"a":"a","b":"b"}'], ['[{"a":1},{"a":1}]'], ['{"a":{"a":{"a":1}}}'], ['{"a":["a","a"],"b":"{\\"a\\":1,\\"a\\":2}"}'], ['{"a\\\\":1,"a":2}']])(
    'and not where there is none: %s',
    (text) => expect(faultOf(text)).toBeUndefined(),
  )

  it('bounds the depth exactly, and brackets in strings do not count', () => {
    expect(faultOf('[[[]]]', 3)).toBeUndefined()
    expect(faultOf('[[[[]]]]', 3)).toBe('too deep')
    expect(faultOf(`{"a":"${'['.repeat(99)}"}`, 3)).toBeUndefined()
    expect(faultOf('['.repeat(1_000_000), 64)).toBe('too deep')
  })

  it.each([['{'], ['{"a":1,}'], ['nul'], ['"'], ['"a'], ['{"a\\":1}'], [''], ['{"\\uD":1}'], ['\ufeff{}'], ["{'a':1}"], ['[1] x']])(
    'refuses what is no JSON: %j',
    (text) => expect(faultOf(text)).toBe('not JSON'),
  )

  it('refuses what is no UTF-8', () => {
    expect(faultOf(Buffer.from([0x22, 0xff, 0x22]))).toBe('not UTF-8')
    expect(faultOf(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toBe('not UTF-8')
  })

  it('takes linear time on runs of backslashes and quotes', () => {
    const text = JSON.stringify({ a: '\\"'.repeat(500_000) })
    const startedAt = performance.now()
    expect(faultOf(text)).toBeUndefined()
    expect(performance.now() - startedAt).toBeLessThan(2000)
  })
})

describe('exact numbers', () => {
  it('come out as they came in', () => {
    const text = '{"a":1.0,"b":9007199254740993,"c":[1E2,-0.0,5],"d":"1.0"}'
    expect(stringifyExactJson(parseExactJson(text))).toBe(text)
  })
})
