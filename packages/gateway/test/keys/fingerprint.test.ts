import { describe, expect, it } from '@jest/globals'
import { fingerprint, sameFingerprint } from '../../src/keys/fingerprint.ts'

describe('fingerprints', () => {
  it('are SHA-256 in base64url', () => {
    expect(fingerprint('abc')).toBe('ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0')
    expect(fingerprint('')).toBe('47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU')
  })

  it('are the same only for the same token', () => {
    expect(sameFingerprint(fingerprint('a'), fingerprint('a'))).toBe(true)
    expect(sameFingerprint(fingerprint('a'), fingerprint('b'))).toBe(false)
  })

  it('of another length, or in characters of several bytes, compare without an error', () => {
    expect(sameFingerprint(fingerprint('a'), '')).toBe(false)
    expect(sameFingerprint(fingerprint('a'), `${fingerprint('a')}A`)).toBe(false)
    expect(sameFingerprint('é', 'ab')).toBe(false)
    expect(sameFingerprint('a'.repeat(43), '€'.repeat(43))).toBe(false)
  })
})
