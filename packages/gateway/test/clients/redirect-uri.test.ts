import { describe, expect, it } from '@jest/globals'
import { checkRedirectUri, isAcceptableRedirectUri, isLoopbackRedirectUri, redirectUriProblem } from '../../src/clients/redirect-uri.ts'

const of = (...redirectUris: string[]) => ({ redirectUris })

describe('checkRedirectUri', () => {
  it.each([
    ['https://a.example/cb', 'https://a.example/cb', true],
    ['https://a.example/cb', 'https://a.example/cb/', false],
    ['https://a.example/cb', 'https://a.example/cb?x=1', false],
    ['https://a.example/cb', 'https://A.example/cb', false],
    ['https://a.example/cb', 'https://a.example:443/cb', false],
    ['https://a.example/cb', 'https://a.example:8443/cb', false],
    ['https://a.example/cb', 'https://a.example/x/../cb', false],
    ['https://a.example/cb', 'http://a.example/cb', false],
    ['https://a.example/*', 'https://a.example/cb', false],
    ['com.example.app:/cb', 'com.example.app:/cb', true],
  ])('AZ-1 registered %s, asked %s: %s', (registered, asked, matches) => {
    expect(checkRedirectUri(of(registered), asked)).toBe(matches)
  })

  it.each([
    ['http://127.0.0.1/callback', 'http://127.0.0.1:50123/callback', true],
    ['http://127.0.0.1:1/callback', 'http://127.0.0.1:2/callback', true],
    ['http://127.0.0.1:1/callback', 'http://127.0.0.1/callback', true],
    ['http://localhost:1/oauth/callback', 'http://localhost:2/oauth/callback', true],
    ['http://[::1]:1/cb?x=1', 'http://[::1]:2/cb?x=1', true],
    ['http://127.0.0.1:1/callback', 'http://127.0.0.1:2/other', false],
    ['http://127.0.0.1:1/callback', 'http://127.0.0.1:2/callback?x=1', false],
    ['http://127.0.0.1:1/callback', 'http://localhost:1/callback', false],
    ['http://127.0.0.1:1/callback', 'https://127.0.0.1:1/callback', false],
    ['http://127.0.0.1:1/callback', 'http://127.0.0.1:2@evil.example/callback', false],
    ['http://127.0.0.1:1/callback', 'http://127.0.0.1:99999/callback', false],
    ['http://localhost:1/cb', 'http://localhost.evil.example:1/cb', false],
    ['http://127.0.0.1:1/cb#', 'http://127.0.0.1:2/cb#', false],
    ['http://10.0.0.1:1/cb', 'http://10.0.0.1:2/cb', false],
  ])('AZ-2 on loopback the port alone is free: registered %s, asked %s: %s', (registered, asked, matches) => {
    expect(checkRedirectUri(of(registered), asked)).toBe(matches)
  })
})

describe('isAcceptableRedirectUri', () => {
  it.each([
    'https://claude.ai/api/mcp/auth_callback',
    'https://vscode.dev/redirect?x=1',
    'http://127.0.0.1:33418/',
    'http://localhost',
    'http://[::1]:8080/cb',
  ])('CR-22 takes %s', (uri) => {
    expect(redirectUriProblem(uri)).toBeUndefined()
  })

  it.each([
    ['cursor://anysphere.cursor-retrieval/oauth/cb', 'private-use schemes'],
    ['com.example.app:/cb', 'private-use schemes'],
    ['javascript:alert(1)', 'private-use schemes'],
    ['data:text/html,x', 'private-use schemes'],
    ['http://a.example/cb', 'loopback'],
    ['http://127.0.0.1.evil.example/', 'loopback'],
    ['http://0.0.0.0/cb', 'loopback'],
    ['https://a.example/cb#x', 'fragment'],
    ['https://a.example/cb#', 'fragment'],
    ['https://user@a.example/cb', 'user information'],
    ['https://user:pw@a.example/cb', 'user information'],
    ['https://@a.example/cb', 'user information'],
    ['https://:@a.example/cb', 'user information'],
    ['http://@127.0.0.1/cb', 'user information'],
    ['https://*.example/cb', 'wildcard'],
    ['https:/a.example/cb', 'absolute'],
    ['https:a.example/cb', 'absolute'],
    ['/cb', 'absolute'],
    ['', 'RFC 3986'],
    ['https://a.example\\@evil.example/', 'RFC 3986'],
    ['https://a.example/\n', 'RFC 3986'],
    [' https://a.example/', 'RFC 3986'],
    ['https://ä.example/', 'RFC 3986'],
    [`https://a.example/${'x'.repeat(2048)}`, 'longer'],
  ])('CR-22 refuses %s', (uri, why) => {
    expect(redirectUriProblem(uri)).toContain(why)
    expect(isAcceptableRedirectUri(uri)).toBe(false)
  })

  it('AZ-12 knows the ones that any program on the machine may serve', () => {
    expect(['http://localhost:1/cb', 'http://127.0.0.2/cb', 'http://[::1]/cb', 'https://localhost/cb'].every(isLoopbackRedirectUri)).toBe(true)
    expect(['https://localhost.example/cb', 'nonsense'].some(isLoopbackRedirectUri)).toBe(false)
  })
})
