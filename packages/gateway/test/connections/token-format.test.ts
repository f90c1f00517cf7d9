import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import { mintToken, newConnectionId, readToken } from '../../src/connections/token-format.ts'
import { createKeyRing } from '../../src/keys/key-ring.ts'
import { given } from './given.ts'

describe('tokens', () => {
  const deps = given()
  const id = newConnectionId(deps)

  it('say kind, connection and generation, and never twice the same', () => {
    const token = mintToken(deps, 'rt', id, 12)
    expect(token).toMatch(/^emcy_rt_[\w-]{22}\.12\.[\w-]{43}\.[\w-]{22}$/)
    expect(readToken(deps.keys, token)).toEqual({ kind: 'rt', connectionId: id, generation: 12 })
    expect(mintToken(deps, 'rt', id, 12)).not.toBe(token)
  })

  it('are refused when any one character is another', () => {
    const token = mintToken(deps, 'at', id, 1)
    fc.assert(
      fc.property(fc.nat(token.length - 1), fc.constantFrom(...'aZ09_-.~ é'), (at, character) => {
        fc.pre(token[at] !== character)
        expect(readToken(deps.keys, token.slice(0, at) + character + token.slice(at + 1))).toBeUndefined()
      }),
      { numRuns: 500 },
    )
    expect(readToken(deps.keys, `${token}x`)).toBeUndefined()
    expect(readToken(deps.keys, `${token}\n`)).toBeUndefined()
    expect(readToken(deps.keys, token.replace('.1.', '.01.'))).toBeUndefined()
  })

  it('of another secret are refused, and of a retired one read as long as it is in the ring', () => {
    const old = 'the-secret-before-this-one-0123456789'
    const token = mintToken({ ...deps, keys: createKeyRing([old]) }, 'at', id, 1)
    expect(readToken(deps.keys, token)).toBeUndefined()
    expect(readToken(createKeyRing(['the-secret-of-today-0123456789-abcdef', old]), token)?.connectionId).toBe(id)
  })
})
