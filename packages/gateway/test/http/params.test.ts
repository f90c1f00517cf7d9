import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { OAuthError } from '../../src/errors/oauth-error.ts'
import { parseParams } from '../../src/http/params.ts'

describe('parseParams', () => {
  it('decodes form encoding', () => {
    const params = parseParams('scope=a+b%20c&state=%F0%9F%94%91&x==&__proto__=p')
    expect([...params.entries()]).toEqual([
      ['scope', 'a b c'],
      ['state', '🔑'],
      ['x', '='],
      ['__proto__', 'p'],
    ])
    expect(params.get('constructor')).toBeUndefined()
  })

  it('takes a parameter without a value for one that is missing (RFC 6749 §3.1)', () => {
    const params = parseParams('scope=&state&&client_id=c')
    expect(params.get('scope')).toBeUndefined()
    expect(params.get('state')).toBeUndefined()
    expect(params.get('client_id')).toBe('c')
  })

  it.each(['a=1&a=1', 'a=&a=1', 'a=1&%61=2', 'resource=x&resource=y'])('AZ-4 refuses a repeated parameter: %s', (text) => {
    expect(() => parseParams(text)).toThrow(expect.objectContaining({ code: 'invalid_request' }))
  })

  it.each(['a=%', 'a=%zz', 'a=%ff', 'a=%00'])('refuses what is not percent-encoded UTF-8 text: %s', (text) => {
    expect(() => parseParams(text)).toThrow(OAuthError)
  })

  it('is bounded', () => {
    const many = (count: number) => Array.from({ length: count }, (_, index) => `p${index}=1`).join('&')
    expect([...parseParams(many(64)).entries()]).toHaveLength(64)
    expect(() => parseParams(many(65))).toThrow(OAuthError)
    expect(() => parseParams(`a=${'x'.repeat(16_385)}`)).toThrow(OAuthError)
    expect(() => parseParams(`${'x'.repeat(129)}=a`)).toThrow(OAuthError)
  })

  it('reads back whatever URLSearchParams writes, and throws nothing but OAuthError', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }), fc.string({ unit: 'grapheme', minLength: 1 })), (values) => {
        const entries = Object.entries(values).filter(([name, value]) => !`${name}${value}`.includes('\0'))
        expect([...parseParams(new URLSearchParams(entries).toString()).entries()]).toEqual(entries)
      }),
    )
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        try {
          parseParams(text)
        } catch (error) {
          expect(error).toBeInstanceOf(OAuthError)
        }
      }),
    )
  })
})
