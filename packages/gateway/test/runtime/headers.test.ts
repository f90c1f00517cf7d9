import { describe, expect, it } from '@jest/globals'
import fc from 'fast-check'
import type { WorkerHeaderNames } from '../../src/config.ts'
import { type ContractValues, clientHeaders, runtimeHeaders } from '../../src/runtime/headers.ts'

const names: WorkerHeaderNames = {
  workerSecret: 'x-emcy-worker-secret',
  accessToken: 'x-user-token',
  subject: 'x-emcy-subject',
  clientId: 'x-emcy-client-id',
  scopes: 'x-emcy-scopes',
  requestId: 'x-emcy-request-id',
}
const values: ContractValues = { workerSecret: 's3', accessToken: 'tok', subject: 'ann', clientId: 'https://c.example/x', scopes: ['a', 'b'], requestId: 'r1' }
const origin = 'https://mcp.example.com'

describe('BC-4 BC-5 TR-27: headers towards the runtime', () => {
  it('sets the contract once, whatever came in any spelling', () => {
    const spelling = fc
      .constantFrom(...Object.values(names), 'authorization', 'cookie', 'proxy-authorization', 'x-forwarded-for', 'forwarded', 'expect', 'x-emcy-anything')
      .chain((name) => fc.array(fc.constantFrom('-', '_'), { minLength: 8, maxLength: 8 }).map((signs) => name.replaceAll('-', () => signs.pop() ?? '-')))
    fc.assert(
      fc.property(fc.array(spelling), (spoofed) => {
        const headers = runtimeHeaders(Object.fromEntries(spoofed.map((name) => [name, 'spoofed'])), names, values, origin)
        expect(JSON.stringify(headers)).not.toContain('spoofed')
        expect(headers).toEqual({
          'x-emcy-worker-secret': 's3',
          'x-user-token': 'tok',
          'x-emcy-subject': 'ann',
          'x-emcy-client-id': 'https://c.example/x',
          'x-emcy-scopes': 'a b',
          'x-emcy-request-id': 'r1',
          host: 'mcp.example.com',
          'x-forwarded-host': 'mcp.example.com',
          'x-forwarded-proto': 'https',
          'accept-encoding': 'identity',
        })
      }),
    )
  })

  it('passes everything else as it came', () => {
    const passed = {
      accept: 'application/json, text/event-stream',
      'content-type': 'application/json; charset=utf-8',
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': '=?base64?ZXU=?=',
      'mcp-param-region': 'eu',
      'last-event-id': '5',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      tracestate: 'a=1',
      baggage: 'k=v',
      'x-tenant': 't1',
    }
    expect(runtimeHeaders(passed, names, values, origin)).toMatchObject(passed)
  })

  it('TR-24: takes out what a runtime could mistake for a header that was compared', () => {
    const headers = runtimeHeaders({ mcp_name: 'other', 'mcp-protocol_version': '2025-06-18', 'mcp-name': 'this' }, names, values, origin)
    expect(headers).toMatchObject({ 'mcp-name': 'this' })
    expect(Object.keys(headers)).not.toEqual(expect.arrayContaining(['mcp_name']))
    expect(JSON.stringify(headers)).not.toContain('2025-06-18')
  })

  it('takes out what Connection names, but never what is ours', () => {
    const inbound = {
      connection: 'close, X-Hop , x-emcy-worker-secret',
      'x-hop': '1',
      te: 'trailers',
      'keep-alive': '5',
      upgrade: 'h2c',
      'http2-settings': 'x',
    }
    const headers = runtimeHeaders(inbound, names, values, origin)
    expect(headers['x-emcy-worker-secret']).toBe('s3')
    for (const name of Object.keys(inbound)) expect(headers).not.toHaveProperty(name)
  })

  it('EX-5: without a user there is no token and no subject, whoever sends one', () => {
    const headers = runtimeHeaders(
      { 'x-user-token': 'spoofed', 'x-emcy-subject': 'root' },
      names,
      { ...values, accessToken: undefined, subject: undefined },
      origin,
    )
    expect(headers).not.toHaveProperty('x-user-token')
    expect(headers).not.toHaveProperty('x-emcy-subject')
  })

  it.each([['a\r\nx-admin: 1'], [' ann'], ['ann '], ['änne']])('refuses a subject that a header would change: %j', (subject) => {
    expect(() => runtimeHeaders({}, names, { ...values, subject }, origin)).toThrow(expect.objectContaining({ code: 'internal_error' }))
  })
})

describe('worker contract, rule 5: headers towards the client', () => {
  it('leaves credentials, cookies, software names and CORS behind', () => {
    const answer = {
      'www-authenticate': 'Bearer',
      'set-cookie': ['a=1'],
      server: 'uvicorn',
      'x-powered-by': 'Express',
      'access-control-allow-origin': '*',
      'access-control-expose-headers': 'x',
      'x-emcy-cost': '5',
      connection: 'keep-alive, x-hop',
      'x-hop': '1',
      'keep-alive': 'timeout=5',
      'transfer-encoding': 'chunked',
      'content-length': '5',
      date: 'now',
      'mcp-session-id': 'raw',
    }
    expect(clientHeaders({ ...answer, 'content-type': 'application/json', 'cache-control': 'no-cache', 'x-mine': '1' })).toEqual({
      'content-type': 'application/json',
      'cache-control': 'no-cache',
      'x-mine': '1',
    })
  })
})
