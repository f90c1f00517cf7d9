import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { ConfigError } from '../../src/errors/errors.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'

const secretA = 'a-secret-of-at-least-32-characters-A'
const secretB = 'a-secret-of-at-least-32-characters-B'
const secretC = 'a-secret-of-at-least-32-characters-C'

describe('sealed values', () => {
  const keys = createKeyRing([secretA])

  it('open to the character, in their own context only', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), fc.string(), (plaintext, context, other) => {
        const sealed = keys.seal(plaintext, context)
        expect(keys.open(sealed, context)).toBe(plaintext)
        if (other !== context) expect(keys.open(sealed, other)).toBeUndefined()
      }),
    )
  })

  it('moved to a record with a similar key never open', () => {
    const sealed = keys.seal('downstream tokens', 'grant:a:b')
    for (const context of ['', 'grant:a', 'grant:a:b ', 'grant:a:B', 'grant:ab', 'connection:a:b', 'grant:a:b\0']) {
      expect(keys.open(sealed, context)).toBeUndefined()
    }
  })

  it('never open when any one character is changed, cut off or added', () => {
    const sealed = keys.seal('a', 'here')
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    for (let at = 0; at < sealed.length; at++) {
      for (const character of alphabet) {
        if (character === sealed[at]) continue
        expect(keys.open(sealed.slice(0, at) + character + sealed.slice(at + 1), 'here')).toBeUndefined()
      }
      expect(keys.open(sealed.slice(0, at), 'here')).toBeUndefined()
    }
    for (const other of [`${sealed}A`, `${sealed}=`, `${sealed} `, ` ${sealed}`, `${sealed.slice(0, 5)}\n${sealed.slice(5)}`, sealed + sealed]) {
      expect(keys.open(other, 'here')).toBeUndefined()
    }
    expect(keys.open(sealed, 'here')).toBe('a')
  })

  it('that are none are answered with undefined, whatever they are', () => {
    fc.assert(fc.property(fc.string(), (text) => expect(keys.open(text, 'here')).toBeUndefined()))
    fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => expect(keys.open(Buffer.from(bytes).toString('base64url'), 'here')).toBeUndefined()))
  })

  it('of the same text differ, hold no text, and begin with their version', () => {
    const [one, two] = [keys.seal('refresh-token-text', 'here'), keys.seal('refresh-token-text', 'here')]
    expect(one).not.toBe(two)
    expect(Buffer.from(one, 'base64url')[0]).toBe(1)
    expect(Buffer.from(one, 'base64url').toString('latin1')).not.toContain('refresh-token-text')
  })

  it('of another version do not open', () => {
    const bytes = Buffer.from(keys.seal('a', 'here'), 'base64url')
    bytes[0] = 2
    expect(keys.open(bytes.toString('base64url'), 'here')).toBeUndefined()
  })
})

describe('rotation', () => {
  const before = createKeyRing([secretA])
  const during = createKeyRing([secretB, secretA])
  const after = createKeyRing([secretB])

  it('opens and verifies what every key of the ring made', () => {
    expect(during.open(before.seal('old', 'here'), 'here')).toBe('old')
    expect(during.open(during.seal('new', 'here'), 'here')).toBe('new')
    expect(during.verify('data', 'token', before.sign('data', 'token'))).toBe(true)
    expect(during.verify('data', 'token', during.sign('data', 'token'))).toBe(true)
  })

  it('seals and signs with the first key', () => {
    expect(after.open(during.seal('new', 'here'), 'here')).toBe('new')
    expect(after.verify('data', 'token', during.sign('data', 'token'))).toBe(true)
    expect(before.open(during.seal('new', 'here'), 'here')).toBeUndefined()
    expect(before.verify('data', 'token', during.sign('data', 'token'))).toBe(false)
  })

  it('ends what only a key that left the ring made', () => {
    expect(after.open(before.seal('old', 'here'), 'here')).toBeUndefined()
    expect(after.verify('data', 'token', before.sign('data', 'token'))).toBe(false)
  })

  it('opens with a key of any place', () => {
    expect(createKeyRing([secretC, secretB, secretA]).open(before.seal('old', 'here'), 'here')).toBe('old')
  })
})

describe('sealing anew', () => {
  const before = createKeyRing([secretA])
  const during = createKeyRing([secretB, secretA])

  it('leaves a value of the first key as it is, to the character', () => {
    const sealed = during.seal('text', 'here')
    expect(during.reseal(sealed, 'here')).toBe(sealed)
  })

  it('moves a value of another key under the first, in its own context only', () => {
    const sealed = before.seal('text', 'here')
    const moved = during.reseal(sealed, 'here') as string
    expect(createKeyRing([secretB]).open(moved, 'here')).toBe('text')
    expect(createKeyRing([secretB]).open(moved, 'there')).toBeUndefined()
    expect(during.reseal(sealed, 'there')).toBeUndefined()
  })

  it('gives nothing for what no key opens', () => {
    expect(during.reseal(createKeyRing([secretC]).seal('text', 'here'), 'here')).toBeUndefined()
    expect(during.reseal('no sealed value', 'here')).toBeUndefined()
  })
})

describe('names of keys', () => {
  it('stand in the order of the ring, one a secret, the same in every ring', () => {
    const [a] = createKeyRing([secretA]).ids
    expect(createKeyRing([secretC, secretA]).ids).toEqual([createKeyRing([secretC]).ids[0], a])
    expect(a).toMatch(/^[\w-]{8}$/)
    expect(new Set([secretA, secretB, secretC].flatMap((secret) => createKeyRing([secret]).ids)).size).toBe(3)
  })
})

describe('signatures', () => {
  const keys = createKeyRing([secretA])

  it('are 22 characters of base64url, the same for the same data', () => {
    expect(keys.sign('data', 'token')).toMatch(/^[\w-]{22}$/)
    expect(keys.sign('data', 'token')).toBe(keys.sign('data', 'token'))
    expect(createKeyRing([secretA]).sign('data', 'token')).toBe(keys.sign('data', 'token'))
  })

  it('hold for their data and purpose only', () => {
    fc.assert(
      fc.property(fc.string(), fc.string(), fc.string(), fc.string(), (data, purpose, otherData, otherPurpose) => {
        const mac = keys.sign(data, purpose)
        expect(keys.verify(data, purpose, mac)).toBe(true)
        if (otherData !== data || otherPurpose !== purpose) expect(keys.verify(otherData, otherPurpose, mac)).toBe(false)
      }),
    )
  })

  it('keep purpose and data apart, wherever one ends and the other begins', () => {
    expect(keys.sign('bc', 'a')).not.toBe(keys.sign('c', 'ab'))
    expect(keys.sign('', '1:a')).not.toBe(keys.sign(':a', '1'))
    expect(keys.sign('1:ab', '')).not.toBe(keys.sign('b', '1:a'))
  })

  it('that are changed or of another length do not hold', () => {
    const mac = keys.sign('data', 'token')
    for (const other of ['', mac.slice(1), `${mac}A`, `${mac}=`, `${mac.toLowerCase()}é`, '€'.repeat(22), mac.slice(0, 21)]) {
      expect(keys.verify('data', 'token', other)).toBe(false)
    }
  })
})

describe('secrets', () => {
  it.each([
    ['none', [], 'secrets'],
    ['a short one', ['x'.repeat(31)], 'secrets[0]'],
    ['a short second one', [secretA, 'short'], 'secrets[1]'],
    ['one that is not a string', [undefined as unknown as string], 'secrets[0]'],
    ['the same one twice', [secretA, secretB, secretA], 'secrets[2]'],
  ])('refuses %s, and does not repeat it', (_, secrets, option) => {
    const refusal = errorOf(() => createKeyRing(secrets))
    expect(refusal).toBeInstanceOf(ConfigError)
    expect((refusal as ConfigError).option).toBe(option)
    for (const secret of secrets) expect(String((refusal as Error).stack)).not.toContain(secret ?? 'no secret')
  })

  it('takes 32 characters', () => {
    const keys = createKeyRing(['x'.repeat(32)])
    expect(keys.open(keys.seal('a', 'here'), 'here')).toBe('a')
  })
})

function errorOf(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}
