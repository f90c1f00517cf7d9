import { expect, it } from '@jest/globals'
import { ownGrantKey, sharedGrantKey } from '../../src/grants/grant-key.ts'
import { downstreamScopes } from '../../src/grants/scope-map.ts'

const provider = { scopes: ['openid', 'offline_access', 'read', 'write'], scopeMap: { write: ['api:read', 'api:write'], everything: [] } }

it('asks the provider for each scope as the map says, or itself, and for what the gateway needs', () => {
  expect(downstreamScopes(provider, ['read'])).toEqual(['openid', 'offline_access', 'read'])
  expect(downstreamScopes(provider, ['write', 'read'])).toEqual(['openid', 'offline_access', 'api:read', 'api:write', 'read'])
  expect(downstreamScopes({ scopes: ['read'], scopeMap: {} }, [])).toEqual([])
})

it('asks for nothing that the team did not name', () => {
  expect(downstreamScopes(provider, ['admin', 'constructor', 'everything', 'openid', 'read', 'read'])).toEqual(['openid', 'offline_access', 'read'])
})

it('keeps the grants of connections, users and servers apart', () => {
  const keys = [
    ownGrantKey('default', 'abc'),
    ownGrantKey('other', 'abc'),
    sharedGrantKey('default', 'abc', 'todo'),
    sharedGrantKey('default', 'https://login.example.com|alice', 'todo'),
    sharedGrantKey('default', 'https://login.example.com|alice', 'crm'),
    sharedGrantKey('default', 'https://login.example.com|bob', 'todo'),
  ]
  expect(new Set(keys).size).toBe(keys.length)
  expect(keys[0]).toBe('grant:default:abc')
})
