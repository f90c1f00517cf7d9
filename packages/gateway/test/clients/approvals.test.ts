import { describe, expect, it } from '@jest/globals'
import { forgetApproval, readApproval, saveApproval } from '../../src/clients/approvals.ts'
import { readRefusedScopes, rememberRefusedScopes, takeRefusedScopes } from '../../src/clients/step-up.ts'
import { testDeps } from './deps.ts'

const request = {
  subject: 'https://login.example|alice',
  client: { clientId: 'https://client.example/c', metadataHash: 'h1' },
  serverId: 'todo',
  redirectUri: 'https://client.example/cb',
  scopes: ['read', 'write'],
}

describe('AZ-6 AZ-13 approvals', () => {
  it('answers for the same user, client, server, redirect host and fewer or equal scopes', async () => {
    const deps = testDeps()
    expect(await readApproval(deps, request)).toBe(false)
    await saveApproval(deps, request)
    expect(await readApproval(deps, request)).toBe(true)
    expect(await readApproval(deps, { ...request, scopes: ['write'] })).toBe(true)
    expect(await readApproval(deps, { ...request, redirectUri: 'https://client.example/other' })).toBe(true)
  })

  it.each([
    ['another user', { subject: 'https://login.example|bob' }],
    ['another client', { client: { clientId: 'https://client.example/d', metadataHash: 'h1' } }],
    ['changed metadata', { client: { clientId: 'https://client.example/c', metadataHash: 'h2' } }],
    ['another server', { serverId: 'other' }],
    ['another redirect host', { redirectUri: 'https://evil.example/cb' }],
    ['another port', { redirectUri: 'https://client.example:8443/cb' }],
    ['loopback instead', { redirectUri: 'http://localhost:1/cb' }],
    ['a scope more', { scopes: ['read', 'admin'] }],
  ])('asks again for %s', async (_, change) => {
    const deps = testDeps()
    await saveApproval(deps, request)
    expect(await readApproval(deps, { ...request, ...change })).toBe(false)
  })

  it('adds up scopes of one host, keeps hosts apart, and starts anew when the metadata changes', async () => {
    const deps = testDeps()
    const local = { ...request, redirectUri: 'http://127.0.0.1:1/cb', scopes: ['read'] }
    await saveApproval(deps, request)
    await saveApproval(deps, { ...request, scopes: ['admin'] })
    await saveApproval(deps, local)
    expect(await readApproval(deps, { ...request, scopes: ['admin', 'read'] })).toBe(true)
    expect(await readApproval(deps, { ...local, redirectUri: 'http://127.0.0.1:50999/cb' })).toBe(true)
    expect(await readApproval(deps, { ...local, scopes: ['write'] })).toBe(false)
    const changed = { ...request, client: { ...request.client, metadataHash: 'h2' }, scopes: ['read'] }
    await saveApproval(deps, changed)
    expect(await readApproval(deps, changed)).toBe(true)
    expect(await readApproval(deps, { ...changed, scopes: ['write'] })).toBe(false)
    expect(await readApproval(deps, request)).toBe(false)
  })

  it('lasts a year from its last use, and goes when it is forgotten', async () => {
    const day = 86_400_000
    const deps = testDeps()
    await saveApproval(deps, request)
    deps.pass(300 * day)
    expect(await readApproval(deps, request)).toBe(true)
    deps.pass(300 * day)
    expect(await readApproval(deps, request)).toBe(true)
    await forgetApproval(deps, { subject: request.subject, clientId: request.client.clientId, serverId: request.serverId })
    expect(await readApproval(deps, request)).toBe(false)
    await saveApproval(deps, request)
    deps.pass(366 * day)
    expect(await readApproval(deps, request)).toBe(false)
  })
})

describe('BC-12 refused scopes', () => {
  const key = { subject: 's|1', clientId: 'c', serverId: 'todo' }

  it('add up, can be read many times, and taken once', async () => {
    const deps = testDeps()
    await rememberRefusedScopes(deps, { ...key, scopes: ['a', 'b'] })
    await rememberRefusedScopes(deps, { ...key, scopes: ['b', 'c'] })
    expect(await readRefusedScopes(deps, key)).toEqual(['a', 'b', 'c'])
    expect(await readRefusedScopes(deps, { ...key, clientId: 'd' })).toEqual([])
    const taken = await Promise.all([takeRefusedScopes(deps, key), takeRefusedScopes(deps, key)])
    expect(taken.filter((scopes) => scopes.length > 0)).toEqual([['a', 'b', 'c']])
    expect(await readRefusedScopes(deps, key)).toEqual([])
  })

  it('are forgotten after an hour, and bounded', async () => {
    const deps = testDeps()
    await rememberRefusedScopes(deps, { ...key, scopes: Array.from({ length: 500 }, (_, index) => `s${index}`) })
    expect(await readRefusedScopes(deps, key)).toHaveLength(100)
    deps.pass(3_600_001)
    expect(await readRefusedScopes(deps, key)).toEqual([])
  })
})
