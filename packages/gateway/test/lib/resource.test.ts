import { describe, expect, it } from '@jest/globals'
import { sameResource } from '../../src/lib/resource.ts'

describe('PR-9: resource identifiers', () => {
  const ours = 'https://mcp.example.com/mcp'

  it.each([ours, `${ours}/`, 'HTTPS://MCP.Example.COM/mcp', 'https://MCP.example.com/mcp/'])('%s is ours', (given) =>
    expect(sameResource(given, ours)).toBe(true),
  )

  it.each([
    '',
    '/mcp',
    'mcp.example.com/mcp',
    'https://mcp.example.com',
    'https://mcp.example.com/MCP',
    'https://mcp.example.com/mcp//',
    'https://mcp.example.com/mcp?x',
    'https://mcp.example.com/mcp#x',
    'https://mcp.example.com/x/../mcp',
    'https://mcp.example.com:8443/mcp',
    'http://mcp.example.com/mcp',
    'https://user@mcp.example.com/mcp',
    'https://mcp.example.com.evil.example/mcp',
  ])('%s is not', (given) => expect(sameResource(given, ours)).toBe(false))

  it('the root is the same with and without its slash', () => {
    expect(sameResource('https://mcp.example.com/', 'https://mcp.example.com')).toBe(true)
  })
})
