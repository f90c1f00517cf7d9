import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { describe, expect, it } from '@jest/globals'
import { calculateJwkThumbprint, compactVerify, importJWK } from 'jose'
import { createSigningKey } from '../../src/keys/signing-key.ts'

const jwkOf = (key: KeyObject) => key.export({ format: 'jwk' }) as Record<string, string>
const ec = jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
const ed = jwkOf(generateKeyPairSync('ed25519').privateKey)
const rsa = jwkOf(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)

describe('a signing key', () => {
  it.each([
    ['ES256', ec],
    ['EdDSA', ed],
    ['RS256', rsa],
  ])('RFC 7515: signs with %s what another library verifies by the public key alone', async (alg, jwk) => {
    const key = createSigningKey(jwk)
    const input = `${Buffer.from(JSON.stringify({ alg })).toString('base64url')}.${Buffer.from('{}').toString('base64url')}`
    await expect(compactVerify(`${input}.${key.sign(input)}`, await importJWK(key.publicJwk, alg))).resolves.toBeDefined()
    expect(key.alg).toBe(alg)
    for (const secret of ['d', 'p', 'q', 'dp', 'dq', 'qi']) expect(key.publicJwk).not.toHaveProperty(secret)
  })

  it.each([ec, ed, rsa])('RFC 7638: is named by its thumbprint, or as the team says', async (jwk) => {
    expect(createSigningKey(jwk).kid).toBe(await calculateJwkThumbprint(jwk))
    expect(createSigningKey({ ...jwk, kid: 'mine' }).publicJwk.kid).toBe('mine')
  })

  it.each<[string, Record<string, unknown>, RegExp]>([
    ['a public key', { ...ec, d: undefined }, /private JWK/],
    ['a shared secret', { kty: 'oct', k: 'c2VjcmV0' }, /private JWK/],
    ['another curve', jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey), /P-256/],
    ['a key for agreement', jwkOf(generateKeyPairSync('x25519').privateKey), /Ed25519/],
    ['a short RSA key', jwkOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).privateKey), /2048 bits/],
    ['another algorithm', { ...ec, alg: 'RS256' }, /alg that is not ES256/],
    ['a key for encryption', { ...ec, use: 'enc' }, /use/],
    ['damaged members', { ...ec, d: 'x' }, /private JWK/],
    ['the halves of two keys', { ...ec, d: jwkOf(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey).d }, /private JWK/],
    ['a kind that does not exist', { kty: 'XX', d: 'x' }, /private JWK/],
  ])('%s is refused, and no part of it is shown', (_name, jwk, words) => {
    let message = ''
    try {
      createSigningKey(jwk)
    } catch (error) {
      message = (error as Error).message
    }
    expect(message).toMatch(words)
    expect(message).not.toContain(ec.d)
  })
})
